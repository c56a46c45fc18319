"""Load the generator, installed or of a model server: the only place that turns a model id into a model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag import llm, policy
from localrag.errors import LocalragError, ModelError
from localrag.llm import calibration
from localrag.models import endpoint
from localrag.models.records import ModelStore
from localrag.settings import MODEL_SETTINGS, Settings

if TYPE_CHECKING:
    from localrag.llm import Generator


def load_generator(settings: Settings, **options: Any) -> Generator:
    """Load the model that answers: that of a server, the one set or chosen, or the best installed."""
    if settings.generator_server:
        from localrag.llm.server import ServerGenerator

        server = endpoint.parsed(settings.generator_server, "generator_server")
        return ServerGenerator(server, settings.generator, settings.context_tokens)
    from localrag.llm.llama import LlamaGenerator

    return LlamaGenerator(**{**generator_arguments(settings), **options})


def generator_arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments of `LlamaGenerator` for the default generator."""
    model = ModelStore(settings).default("generator")
    weights = model.sha256 + (model.adapter_sha256 or "")
    known = calibration.load(settings.calibration_file, generator_name(settings), weights)
    return {
        "model": model.id,
        "path": model.path,
        "adapter": model.adapter,
        "context": settings.context_tokens,
        "threads": settings.threads,
        "gpu_layers": settings.gpu_layers,
        "apart": known.apart,
    }


def generators(settings: Settings) -> tuple[str, ...]:
    """Return the ids of the models that can answer: installed and allowed, or of the server, none if it is silent."""
    if url := settings.generator_server:
        with suppress(LocalragError):
            return endpoint.models_at(endpoint.parsed(url, "generator_server"))
        return ()
    installed = ModelStore(settings).installed("generator")
    return tuple(model.id for model in installed if policy.allows_model(*model.hashes))


def generator_name(settings: Settings) -> str:
    """Return the id of the model that would answer, with its adapter, or ""."""
    if settings.generator_server:
        server = endpoint.parsed(settings.generator_server, "generator_server")
        with suppress(ModelError):
            return endpoint.model_at(server, settings.generator)[0]
        return settings.generator or ""
    model = ModelStore(settings).preferred("generator")
    if model is None:
        return ""
    return model.id if model.adapter is None else f"{model.id}+{model.adapter.stem}"


def same_model(before: Settings, after: Settings) -> bool:
    """Return whether two settings load the same model in the same way."""
    if any(getattr(before, name) != getattr(after, name) for name in MODEL_SETTINGS - {"generator"}):
        return False
    if before.generator == after.generator:
        return True
    # A resumed conversation names the model that was chosen automatically.
    with suppress(ModelError):
        return generator_name(before) == generator_name(after) != ""
    return False


def generator_identity(settings: Settings) -> str:
    """Return all that decides whether a prompt cache entry fits: hashes, build, how the model runs; or its server."""
    if settings.generator_server:
        return f"{settings.generator_server}\n{generator_name(settings)}"
    model = ModelStore(settings).default("generator")
    how = (str(llm.STEP), str(settings.gpu_layers))
    return "\n".join((model.sha256, model.adapter_sha256 or "", _build(), *how))


def _build() -> str:
    """Return llama.cpp's version and the sizes of its libraries, since builds differ between machines."""
    from importlib.metadata import version
    from importlib.util import find_spec

    spec = find_spec("llama_cpp")
    places = spec.submodule_search_locations if spec is not None else None
    libraries = sorted(path for place in places or () for path in Path(place).glob("lib/*"))
    return " ".join([version("llama-cpp-python"), *(str(path.stat().st_size) for path in libraries)])
