import json
from dataclasses import replace

import pytest

from localrag.errors import UsageError
from localrag.models import catalog, speed
from localrag.models.speed import Measured, look_up

CODER = "qwen2.5-coder-1.5b-instruct"


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with two cores and 8 GB."""
    monkeypatch.setattr(catalog, "physical_cores", lambda: 2)
    monkeypatch.setattr(catalog, "total_memory", lambda: 8_000_000_000)


def took(settings, id=CODER, **facts):
    card = catalog.card(id)
    facts = {"read": 0.01, "write": 0.05, "bytes": card.bytes, **speed.how(settings), **facts}
    return Measured(model=id, weights=card.sha256, **facts)


def test_without_a_measurement_it_is_an_estimate_from_cores_shared_in_reading_alone(settings, monkeypatch):
    two = look_up(catalog.card(CODER), settings)
    monkeypatch.setattr(catalog, "physical_cores", lambda: 4)
    four = look_up(catalog.card(CODER), settings)
    assert two.known == "estimated from 2 cores" and four.known == "estimated from 4 cores"
    assert two.first / 2 < four.first < two.first and two.again < two.first / 3
    assert look_up(catalog.card(CODER), replace(settings, threads=1)).first > two.first


def test_what_was_measured_counts_as_it_is_and_for_others_by_their_active_weights(settings):
    speed.save(took(settings), settings)
    own, other = look_up(catalog.card(CODER), settings), look_up(catalog.card("qwen3-4b-instruct-2507"), settings)
    assert own.first == pytest.approx(speed._FIRST * 0.01 + speed._WRITTEN * 0.05) and own.known == "measured here"
    share = catalog.card("qwen3-4b-instruct-2507").bytes / catalog.card(CODER).bytes
    assert other.first == pytest.approx(own.first * share)
    assert other.known == f"estimated from {CODER}, measured here"
    quick, dense = (look_up(catalog.card(id), settings).first for id in ("gemma-4-26b-a4b-it", "gemma-4-12b-it"))
    assert quick < dense, "few of its weights work on each token"


def test_the_nearest_measured_model_tells_of_another(settings):
    speed.save(took(settings), settings)
    speed.save(took(settings, "smollm2-135m-instruct", read=9.0), settings)
    assert CODER in look_up(catalog.card("qwen3.5-9b"), settings).known
    assert "smollm2" in look_up(catalog.card("gemma-3-270m"), settings).known


@pytest.mark.parametrize(
    "changed", [{"threads": 3}, {"gpu_layers": 0}, {"version": "0"}, {"read": 0.0}, {"write": 1e9}, {"bytes": 0}]
)
def test_a_measurement_of_another_way_to_run_no_longer_counts(settings, changed):
    speed.save(took(settings, **changed), settings)
    assert speed.measured(catalog.card(CODER), settings) is None
    assert look_up(catalog.card(CODER), settings).known == "estimated from 2 cores"


def test_other_weights_under_the_same_name_are_another_model(settings):
    speed.save(replace(took(settings), weights="0" * 64), settings)
    assert speed.measured(catalog.card(CODER), settings) is None


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{}", b'{"measured": [{"model": 5}]}', b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_as_none_and_is_replaced(settings, damaged):
    settings.speed_file.parent.mkdir(parents=True)
    settings.speed_file.write_bytes(damaged)
    assert look_up(catalog.card(CODER), settings).known == "estimated from 2 cores"
    speed.save(took(settings), settings)
    assert len(json.loads(settings.speed_file.read_bytes())["measured"]) == 1
    assert speed.measured(catalog.card(CODER), settings) == took(settings)


def test_a_new_measurement_replaces_the_last_and_tells_of_other_work(settings):
    for read, busy in ((0.02, False), (0.03, True)):
        speed.save(took(settings, read=read, busy=busy), settings)
        assert speed.measured(catalog.card(CODER), settings).read == read
        assert ("beside other work" in look_up(catalog.card(CODER), settings).known) is busy


def test_a_model_that_reads_anew_says_what_that_costs(settings):
    anew, plain = (look_up(catalog.card(id), settings) for id in ("qwen3.5-4b", "qwen3-4b-instruct-2507"))
    assert anew.kept < anew.again < anew.first and plain.again == plain.kept
    assert not plain.loss and anew.anew in anew.loss and f"not {round(anew.kept)} s" in anew.loss
    speed.save(took(settings, anew="no simple RoPE"), settings)
    assert look_up(catalog.card(CODER), settings).loss, "what was measured knows better than the catalog"


def test_thinking_takes_time_before_an_answer(settings, monkeypatch):
    card = catalog.card("gpt-oss-20b")
    thinking = look_up(card, settings).first
    monkeypatch.setattr(catalog, "CATALOG", (replace(card, thinks=False),))
    assert thinking - look_up(card, settings).first > 10


def test_there_is_a_generator_for_every_size_of_machine(settings, monkeypatch):
    best = {4: "qwen3.5-2b", 8: "qwen3.5-4b", 16: "qwen3.5-9b", 24: "gemma-4-12b-it", 32: "gemma-4-26b-a4b-it"}
    for gigabytes, id in {**best, 48: "qwen3.6-35b-a3b"}.items():  # what is sold as 8 GB tells less
        monkeypatch.setattr(catalog, "total_memory", lambda size=gigabytes: size * 1_020_000_000)
        monkeypatch.setattr(catalog, "physical_cores", lambda: 16)
        assert speed.recommended(settings)[0].id == id
        monkeypatch.setattr(catalog, "physical_cores", lambda: 1)
        seconds = [look_up(card, settings).first for card in speed.recommended(settings)]
        assert seconds[0] <= speed._PATIENCE or min(seconds) > speed._PATIENCE, "slow ones come last"


def test_within_a_time_the_best_is_chosen_and_where_none_fits_the_quickest_is_named(settings):
    cards = speed.recommended(settings)
    for seconds in (3, 6, 10, 30, 1000):
        found = speed.within(seconds, cards, settings)
        assert all(look_up(card, settings).first <= seconds for card in found)
        left = [card for card in cards if look_up(card, settings).first <= seconds]
        assert found[0].rank == max(card.rank for card in left)
    with pytest.raises(UsageError) as caught:
        speed.within(0.1, cards, settings)
    quickest = min(cards, key=lambda card: look_up(card, settings).first)
    assert quickest.id in caught.value.hint and "0.1 s" in caught.value.message
    with pytest.raises(UsageError):
        speed.within(10, [], settings)


def test_a_better_model_is_named_for_a_weak_one_alone(settings, monkeypatch):
    monkeypatch.setattr(catalog, "physical_cores", lambda: 8)
    better = speed.better(CODER, settings)
    assert better is not None and better.id == "qwen3.5-4b"
    for id in ("qwen3.5-2b", "qwen3.5-4b", "my-own", "all-minilm-l6-v2"):
        assert speed.better(id, settings) is None, id
    monkeypatch.setattr(catalog, "total_memory", lambda: 2_500_000_000)
    assert speed.better("smollm2-135m-instruct", settings) is None, "nothing that is better fits"
