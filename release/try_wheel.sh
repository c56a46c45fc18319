#!/usr/bin/env bash
# Install dist/localrag-*.whl with uv, pip and pipx, each into an empty environment outside of the clone, and with each
# read examples/ and ask a question. `make try-wheel` runs it. It needs 3 GB of disk.
set -euo pipefail
cd "$(dirname "$0")/.."
clone=$PWD
bin=$clone/.venv/bin
python=$("$bin/python" -c 'import sys; print(sys._base_executable)')
models=$("$bin/python" -c 'from localrag.settings import load_settings; print(load_settings().models_dir)')
work=$(mktemp -d "${TMPDIR:-/tmp}/localrag-wheel.XXXXXX")
localrag=
trap '[[ -z $localrag ]] || "$localrag" models unload >/dev/null || true; rm -rf "$work"' EXIT

step() { # NAME COMMAND...: run it, and say how long it took
    local name=$1 begun=$SECONDS
    shift
    "$@"
    echo "try_wheel: $name: $((SECONDS - begun)) s"
}

# What the wheel needs, once for all three. pip's cache has the llama-cpp-python that was built for .venv.
fill_wheelhouse() {
    "$bin/python" -m pip wheel --quiet --constraint requirements.lock --wheel-dir "$work/wheels" dist/localrag-*.whl pip
}

install_uv() {
    UV_CACHE_DIR=$work/cache "$bin/uv" tool install --quiet --no-index --find-links "$work/wheels" \
        --no-python-downloads --python "$python" "$wheel"
    localrag=$HOME/.local/bin/localrag
    rm -rf "$work/cache"
}

install_pip() {
    "$python" -m venv "$HOME/venv"
    "$HOME/venv/bin/pip" install --quiet --no-compile --no-index --find-links "$work/wheels" "$wheel"
    localrag=$HOME/venv/bin/localrag
}

install_pipx() {
    PIP_NO_INDEX=1 PIP_FIND_LINKS=$work/wheels "$bin/pipx" install --quiet --backend pip --pip-args=--no-compile \
        --python "$python" "$wheel"
    localrag=$HOME/.local/bin/localrag
}

# By the first way, which is uv: its environments have no pip. The embedder takes longer, and comes from the clone's.
install_models() {
    cp -a "$models/all-minilm-l6-v2" "$work/models/"
    "$localrag" models install "$LOCALRAG_GENERATOR" >install.txt
}

ask_examples() {
    "$localrag" --version
    "$localrag" doctor >doctor.txt || { cat doctor.txt; return 1; }
    "$localrag" ingest "$clone/examples" --name examples --json >ingest.json
    "$localrag" ask "For how long is former pay protected after redeployment?" --library examples --json >answer.json
    "$localrag" models unload >/dev/null
    "$bin/python" - <<'CHECK'
import json
from pathlib import Path

read, answer = (json.loads(Path(name).read_text()) for name in ("ingest.json", "answer.json"))
assert read["complete"] and len(read["read"]) == 14 and not read["failed"], read
assert answer["tokens"]["generated"] and answer["citations"], answer
assert all(each["verified"] for each in answer["citations"]), answer["citations"]
print("try_wheel:", answer["answer"])
CHECK
}

step "wheelhouse" fill_wheelhouse
wheel=$(echo "$work"/wheels/localrag-*.whl)
unset "${!LOCALRAG_@}" "${!PYTHON@}" "${!XDG_@}" VIRTUAL_ENV
export PATH=/usr/local/bin:/usr/bin:/bin LOCALRAG_GENERATOR=smollm2-135m-instruct
for way in uv pip pipx; do
    export HOME=$work/$way LOCALRAG_HOME=$work/$way/localrag
    mkdir -p "$LOCALRAG_HOME" "$work/models" && ln -s "$work/models" "$LOCALRAG_HOME/models" && cd "$HOME"
    step "$way: install" "install_$way"
    [[ -e $work/models/$LOCALRAG_GENERATOR ]] || step "$way: models" install_models
    step "$way: ask" ask_examples
    du -sh "$HOME" | sed "s/^/try_wheel: $way: /"
    cd "$work" && rm -rf "$HOME" && localrag=
done
echo "try_wheel: uv, pip and pipx: $SECONDS s"
