"""Settings that change while a model is in memory: it leaves only where it would be loaded otherwise."""

import pytest
from fakes import ScriptedGenerator

from localrag.answer.assistant import Assistant
from localrag.errors import ModelMissing
from localrag.llm import loading
from localrag.settings import MODEL_SETTINGS, Settings, setting_infos
from localrag.worker.engine import Engine


class Closing(ScriptedGenerator):
    closed = False

    def close(self):
        self.closed = True


def configured(tmp_path, **options):
    settings, model = Settings(home=tmp_path), Closing([])
    engine = Engine(settings, Assistant(settings, model))
    engine.configure(**options)
    return engine, model


def test_model_stays_where_only_the_asking_changes(tmp_path):
    engine, model = configured(tmp_path, passages="12", answer_tokens=100)
    assert not model.closed and engine.load() == model.model
    assert engine._assistant.settings.passages == 12


@pytest.mark.parametrize("options", [{"threads": 3}, {"generator": "other"}, {"gpu_layers": 1}])
def test_model_leaves_where_it_would_be_loaded_otherwise(tmp_path, options):
    assert configured(tmp_path, **options)[1].closed


def test_model_stays_where_the_one_that_was_taken_by_itself_is_named(tmp_path, monkeypatch):
    def name(settings):
        if settings.generator == "gone":
            raise ModelMissing("it is not installed", "")
        return settings.generator or "best"

    monkeypatch.setattr(loading, "generator_name", name)
    assert not configured(tmp_path, generator="best")[1].closed
    assert configured(tmp_path, generator="gone")[1].closed
    assert configured(tmp_path, generator="best", threads=3)[1].closed


def test_the_same_once_more_changes_nothing(tmp_path):
    assert not configured(tmp_path, threads=0)[1].closed


def test_empty_text_takes_back_what_may_be_not_set():
    assert Settings(generator="one").with_options(generator="").generator is None
    with pytest.raises(Exception, match="passages"):
        Settings().with_options(passages="")


def test_what_a_model_is_loaded_with_are_settings():
    assert {knob.name for knob in setting_infos()} >= MODEL_SETTINGS
