"""Libraries that report on their users are kept from it, also where nobody confines the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from localrag.security.offline import kernel

# A graph of one addition; `confine` without the switches keeps the control from sending anything.
SESSION = """
import sys
from localrag.security import offline
if "control" in sys.argv:
    offline.confine(without=["switches"])
else:
    offline.set_switches("ORT_DISABLE_TELEMETRY")
import onnx, onnxruntime
from onnx import TensorProto, helper
one = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
two = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [one], [two])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
print(session.run(None, {"x": __import__("numpy").ones(1, "float32")})[0])
"""


def left_by_onnxruntime(home: Path, *arguments: str) -> list[str]:
    """What a run of it leaves in an empty home folder: the name of this machine, and reports that wait to be sent."""
    home.mkdir()
    # Not those that say it is a test, under which it reports nothing.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SESSION, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout == "[2.]\n", done.stderr
    return sorted(path.name for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))


@pytest.mark.skipif(kernel.machine() is None, reason="its control is only safe under the filter of Linux")
def test_onnxruntime_keeps_no_name_of_this_machine_and_reports_nothing(tmp_path: Path) -> None:
    assert left_by_onnxruntime(tmp_path / "one") == []
    assert left_by_onnxruntime(tmp_path / "two", "control") == ["deviceid", "onnxruntime.db"]


def test_the_embedder_sets_the_switch_before_it_loads_onnxruntime() -> None:
    code = """
import os, sys
from pathlib import Path
class Stop:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))
            os._exit(0)
sys.meta_path.insert(0, Stop())
from localrag.embeddings.embedders import OnnxEmbedder
OnnxEmbedder("x", Path(), Path(), "")
"""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "1\n", done.stderr
