"""What localrag consists of when it is installed: its licences, and a bill of materials (CycloneDX 1.6).

    make licences      lists every package that runs with localrag; fails where a licence is not to be had (see below)
    make sbom          writes localrag.cdx.json

Both read what the installed packages say of themselves, with every package that localrag pulls in and no other.
Limits: a wheel may hold libraries of other licences than it names; those that are known are listed in BUNDLED.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

SPEC = "1.6"
# Licences of packages whose metadata name none, from the file LICENSE in their source.
SAID = {"pyrage": "MIT", "sqlcipher3": "Zlib"}
# Libraries inside wheels whose licence differs. Those of rapidocr are not loaded: it is taken for its networks alone.
BUNDLED = {
    "shapely": "GEOS: LGPL-2.1-or-later, a library of its own file",
    "opencv-python-headless": "FFmpeg: LGPL-2.1-or-later, libraries of their own files",
    "sqlcipher3": "SQLCipher: BSD-3-Clause",
}
_PERMISSIVE = re.compile(
    r"\b(MIT|MIT-0|MIT-CMU|BSD|0BSD|Apache|ISC|PSF|Zlib|MPL|CC0|BSL-1\.0|CNRI-Python|Unlicense|HPND)\b", re.I
)
# Copyleft that reaches beyond its own files, and licences that only look open.
_REFUSED = re.compile(
    r"(?<![A-Za-z])(A?GPL|GNU (Affero )?General Public|SSPL|BUSL|Business Source|Elastic|Commons Clause|RAIL|CC-BY-NC|"
    r"Proprietary|LGPL|GNU Lesser)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package; `needs` are the keys of those that it pulls in."""

    key: str
    name: str
    version: str
    licence: str
    needs: tuple[str, ...]

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.key}@{self.version.replace('+', '%2B')}"


def key_of(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(root: str = "localrag") -> dict[str, Package]:
    """Every package that `root` pulls in on this system without extras, itself first."""
    found: dict[str, Package] = {}
    waiting = [(root, frozenset[str]())]
    while waiting:
        name, extras = waiting.pop(0)
        if key_of(name) in found:
            continue
        there = metadata.distribution(name)
        needs = list(_needs(there, extras))
        found[key_of(name)] = Package(
            key_of(name), there.metadata["Name"], there.version, _licence(there), tuple(key_of(n) for n, _ in needs)
        )
        waiting += needs
    return found


def _needs(there: metadata.Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in there.requires or ():
        needed = Requirement(line)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield needed.name, frozenset(needed.extras)


def _licence(there: metadata.Distribution) -> str:
    """As the package says: an SPDX expression, else its classifiers, else its own words."""
    said = there.metadata
    if expression := said.get("License-Expression"):
        return str(expression)
    classified = [text.split(" :: ")[-1] for text in said.get_all("Classifier") or () if text.startswith("License ::")]
    classified = [text for text in classified if text != "OSI Approved"]
    own = str(said.get("License") or "").strip().splitlines()
    return ", ".join(classified) or (own[0][:80] if own else "") or SAID.get(key_of(said["Name"]), "")


def objection(licence: str) -> str:
    """What speaks against a licence; empty where nothing does."""
    if refused := _REFUSED.search(licence):
        return f"{refused[0]} is not to be among what everybody installs"
    return "" if _PERMISSIVE.search(licence) else "no licence that is known to be permissive"


def bill(packages: dict[str, Package]) -> dict[str, Any]:
    """The bill of materials, as CycloneDX has it."""
    root, *others = packages.values()
    made = datetime.fromtimestamp(float(os.environ.get("SOURCE_DATE_EPOCH") or time.time()), UTC)
    content = json.dumps([[each.purl, each.licence] for each in packages.values()])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {"timestamp": made.isoformat(timespec="seconds"), "component": _component(root, "application")},
        "components": [_component(each, "library") for each in others],
        "dependencies": [
            {"ref": each.purl, "dependsOn": sorted({packages[key].purl for key in each.needs})}
            for each in packages.values()
        ],
    }


def _component(each: Package, kind: str) -> dict[str, Any]:
    simple = re.fullmatch(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*", each.licence)
    licence = {"expression": each.licence} if simple and "-" in each.licence else {"license": {"name": each.licence}}
    told: dict[str, Any] = {
        "type": kind,
        "bom-ref": each.purl,
        "name": each.name,
        "version": each.version,
        "purl": each.purl,
        "licenses": [licence],
    }
    if each.key in BUNDLED:
        told["properties"] = [{"name": "localrag:bundled", "value": BUNDLED[each.key]}]
    return told


def main() -> None:
    packages = installed()
    match sys.argv[1:]:
        case ["licences"]:
            wrong = 0
            for each in sorted(packages.values(), key=lambda each: each.key):
                said = objection(each.licence)
                wrong += bool(said)
                more = f" ({BUNDLED[each.key]})" if each.key in BUNDLED else ""
                print(
                    f"{'!' if said else ' '} {each.name} {each.version}: {each.licence or '?'}{more}",
                    said and f"— {said}",
                )
            print(f"{len(packages)} packages, {wrong} with a licence that is not to be had")
            sys.exit(1 if wrong else 0)
        case ["sbom", file]:
            Path(file).write_text(json.dumps(bill(packages), indent=2) + "\n", encoding="utf-8")
            print(f"{file}: {len(packages)} packages")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
