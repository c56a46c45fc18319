from dataclasses import replace

import pytest

from localrag.llm import calibration
from localrag.llm.calibration import Calibration
from localrag.settings import Settings


def test_speeds_are_smoothed_model_by_model_and_add_up(tmp_path):
    file = tmp_path / "calibration.json"
    first = calibration.record(file, "a", tokens=1000, seconds=10.0)
    assert first.seconds_to_read(1000) == pytest.approx(10, rel=0.01)
    second = calibration.record(file, "a", tokens=1000, seconds=5.0)
    assert 5 < second.seconds_to_read(1000) < 10
    calibration.record(file, "b", tokens=500, seconds=1.0)
    assert calibration.load(file, "a") == second
    assert calibration.load(file, "b").seconds_to_read(500) == pytest.approx(1, rel=0.01)
    assert calibration.load(file, "c").seconds_to_read(1000) is None
    # Tiny samples and no time are passed over.
    assert calibration.record(file, "d", tokens=20, seconds=1.0).read_speed is None
    assert calibration.record(file, "d", tokens=500, seconds=0.0).read_speed is None
    known = Calibration(100.0)
    whole = known.seconds_to_read(8000)
    assert whole == pytest.approx(known.seconds_to_read(3000) + known.seconds_to_read(5000, after=3000))
    assert whole > 8 * known.seconds_to_read(1000)


def test_saving_speeds_alone_keeps_what_else_is_known(tmp_path):
    file = tmp_path / "calibration.json"
    calibration.save(file, "a", Calibration(50.0, weights="abc", measured="2027-01-02"))
    calibration.save(file, "a", Calibration(60.0))
    known = calibration.load(file, "a")
    assert (known.read_speed, known.weights, known.measured) == (60, "abc", "2027-01-02")
    file = tmp_path / "calibration.json"
    calibration.save(file, "a", Calibration(50.0, answer_from=0.3, weights="abc"))
    calibration.save(file, "a", replace(calibration.load(file, "a", "def"), read_speed=60.0))
    known = calibration.load(file, "a", "abc")
    assert (known.read_speed, known.answer_from) == (60, 0.3)
    calibration.save(file, "a", Calibration(70.0, weights="def"))  # measured anew: nothing of the others counts
    assert calibration.load(file, "a", "def").answer_from == 0.5


def test_a_threshold_from_real_questions_comes_before_a_calibration(tmp_path):
    file, model = tmp_path / "calibration.json", "qwen2.5-coder-1.5b-instruct"
    calibration.save(file, model, Calibration(50.0, answer_from=0.1, weights="abc"))
    assert calibration.load(file, model).answer_from == 0.7
    assert calibration.load(file, f"{model}+adapter").answer_from == 0.7


def test_a_small_model_is_given_less_text():
    small = ("smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct+legal")
    for model in (*small, "qwen2.5-coder-1.5b-instruct", "qwen3-30b-a3b", "mystery"):
        assert calibration.read_limit(Settings(read_tokens=5000), model) == (1000 if model in small else 5000)


@pytest.mark.parametrize("model", ["mystery", "qwen2.5-coder-1.5b-instruct+legal"])
def test_another_model_has_the_threshold_measured_for_its_weights(tmp_path, model):
    file = tmp_path / "calibration.json"
    default = calibration.load(file, model)
    calibration.save(file, model, replace(default, answer_from=0.33, weights="abc"))
    assert calibration.load(file, model, "abc").answer_from == 0.33
    assert calibration.load(file, model, "def").answer_from == default.answer_from


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"a": 5}', b'{"a": {"unknown": 1}}', b'{"a": {"read_speed": "x", "weights": 5}}', b"\xff\xfe"],
)
def test_a_damaged_file_is_taken_for_none_and_replaced(tmp_path, content):
    file = tmp_path / "calibration.json"
    file.write_bytes(content)
    assert calibration.load(file, "a") == calibration.load(tmp_path / "none.json", "a")
    calibration.record(file, "a", tokens=1000, seconds=10.0)
    assert calibration.load(file, "a").seconds_to_read(1000) == pytest.approx(10, rel=0.01)


def test_a_full_disk_does_not_cost_the_answer(tmp_path):
    (tmp_path / "in the way").write_text("")
    seen = calibration.record(tmp_path / "in the way" / "calibration.json", "a", tokens=1000, seconds=10.0)
    assert seen.seconds_to_read(1000) == pytest.approx(10, rel=0.01)
