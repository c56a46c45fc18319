"""Every dependency is known by what it could report and by its licence, and the bill of materials holds them all."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from localrag.security.offline import SWITCHES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def packages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_packages", ROOT / "release/packages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_direct_dependency_stands_in_the_table_and_no_other() -> None:
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    needed = {re.match(r"[a-z0-9-]+", line)[0] for line in (*PROJECT["dependencies"], *extras)}  # type: ignore[index]
    listed = re.findall(r"^\| `([a-z0-9-]+)`", PAGE, re.MULTILINE)
    assert set(listed) == needed
    assert listed == sorted(listed)


def test_every_switch_that_the_table_names_is_set() -> None:
    named = set(re.findall(r"`([A-Z][A-Z_]{5,})`", PAGE))
    assert named <= SWITCHES.keys()
    assert {"ORT_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"} <= named


def test_the_libraries_know_the_switches_by_these_names() -> None:
    """A switch that a new version no longer reads would be set in vain."""
    from importlib import metadata

    for package, file, switch in (
        ("huggingface_hub", "constants.py", "HF_HUB_OFFLINE"),
        ("huggingface_hub", "constants.py", "HF_HUB_DISABLE_TELEMETRY"),
        ("huggingface_hub", "constants.py", "DO_NOT_TRACK"),
        ("huggingface_hub", "constants.py", "HF_HUB_DISABLE_IMPLICIT_TOKEN"),
        ("onnxruntime", "Privacy.md", "ORT_DISABLE_TELEMETRY"),
        ("ray", "usage_constants.py", "RAY_USAGE_STATS_ENABLED"),
    ):
        found = [path for path in metadata.files(package) or () if path.name == file]
        assert any(switch in path.read_text(encoding="utf-8") for path in found), f"{package} no longer reads {switch}"


def test_no_package_that_runs_with_localrag_has_a_licence_that_binds(packages: ModuleType) -> None:
    found = packages.installed()
    assert {"torch", "onnxruntime", "textual", "transformers", "cryptography"} <= found.keys()
    assert not {"pytest", "ruff", "mypy", "keyring", "textual-image"} & found.keys()
    assert {
        each.name: packages.objection(each.licence) for each in found.values() if packages.objection(each.licence)
    } == {}


@pytest.mark.parametrize(
    ("licence", "fine"),
    [
        ("MIT", True),
        ("BSD License", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("MPL-2.0 AND MIT", True),
        ("GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("MIT AND GPL-2.0-only", False),
        ("LGPL-3.0-or-later", False),
        ("GNU Affero General Public License v3", False),
        ("BUSL-1.1", False),
        ("", False),
        ("Ours alone", False),
    ],
)
def test_the_check_knows_which_licences_bind(packages: ModuleType, licence: str, fine: bool) -> None:
    assert (packages.objection(licence) == "") is fine


def test_the_bill_of_materials_holds_every_package_and_what_it_needs(packages: ModuleType) -> None:
    found = packages.installed()
    bill = packages.bill(found)
    assert bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.6"
    assert bill["metadata"]["component"]["name"] == "localrag"
    refs = [bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])]
    assert len(refs) == len(set(refs)) == len(found)
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[\w.%-]+", ref) for ref in refs)
    assert all(each["licenses"][0] for each in bill["components"])
    needs = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert set(needs) == set(refs) and {ref for those in needs.values() for ref in those} <= set(refs)
    assert found["onnxruntime"].purl in needs[refs[0]]
    assert packages.bill(found)["serialNumber"] == bill["serialNumber"]
