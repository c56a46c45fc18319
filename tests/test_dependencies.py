"""Every dependency is known by what it could report and by its licence, and the bill of materials holds them all."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from scripts import script

from localrag.security.offline import SWITCHES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def packages() -> ModuleType:
    return script("release/packages.py")


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
    for package, file, switches in (
        ("huggingface_hub", "constants.py", "HF_HUB_OFFLINE HF_HUB_DISABLE_TELEMETRY DO_NOT_TRACK"),
        ("huggingface_hub", "constants.py", "HF_HUB_DISABLE_IMPLICIT_TOKEN"),
        ("onnxruntime", "Privacy.md", "ORT_DISABLE_TELEMETRY"),
        ("ray", "_common/usage/usage_constants.py", "RAY_USAGE_STATS_ENABLED"),
    ):
        found = find_spec(package)
        assert found is not None and found.submodule_search_locations
        text = Path(found.submodule_search_locations[0], file).read_text(encoding="utf-8")
        assert [switch for switch in switches.split() if switch not in text] == [], f"{package} no longer reads it"


def test_no_package_that_runs_with_localrag_has_a_licence_that_binds(packages: ModuleType) -> None:
    found = packages.installed()
    assert {"torch", "onnxruntime", "textual", "transformers", "cryptography"} <= found.keys()
    assert not {"pytest", "ruff", "mypy", "keyring", "textual-image"} & found.keys()
    assert {
        each.name: packages.objection(each.licence) for each in found.values() if packages.objection(each.licence)
    } == {}


def test_the_check_knows_which_licences_bind(packages: ModuleType) -> None:
    fine = ["MIT", "BSD License", "Apache-2.0 OR BSD-3-Clause", "MPL-2.0 AND MIT"]
    binding = ["GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "LGPL-3.0-or-later", "BUSL-1.1", "", "Ours"]
    binding += ["GNU Affero General Public License v3"]
    assert [each for each in (*fine, *binding) if not packages.objection(each)] == fine


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
