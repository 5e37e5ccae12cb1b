"""What `make lint` asks of the wire's description; exit status 1 and one line for each thing that is wrong.

docs/asyncapi.yaml is what wire.py's tables say now, it is a valid AsyncAPI 3.0.0 document, and every golden
message (tests/golden/*.json) is valid against the schema that the document gives its kind, and none of the
refused ones is.

The JSON schema of AsyncAPI itself comes only with an npm package, so a part of it stands beside this file:
asyncapi-3.0.0.json, whose first lines say what was left out and under which licence it stands.
"""

import difflib
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "host"))

from dronewall import asyncapi, wire  # noqa: E402


def differences(path: Path) -> list[str]:
    """The unified diff, by lines, between the file and what the tables say."""
    now = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    want = asyncapi.asyncapi_yaml().splitlines()
    return list(difflib.unified_diff(now, want, str(path.relative_to(ROOT)), "dronewall schema wire", lineterm=""))


def validator(document: dict[str, Any], kind: str) -> jsonschema.Draft7Validator:
    """What checks a payload against the schema that the document gives a kind of message."""
    schema = {"$ref": f"#/components/schemas/{kind}", "components": document["components"]}
    return jsonschema.Draft7Validator(schema)


def problems() -> list[str]:
    """Everything that is wrong, a line each; empty when nothing is."""
    path = ROOT / "docs" / "asyncapi.yaml"
    found = differences(path)
    if found:
        return [
            *found,
            "docs/asyncapi.yaml is not what wire.py says: dronewall schema wire > docs/asyncapi.yaml",
        ]
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    if document != asyncapi.asyncapi():
        return ["docs/asyncapi.yaml: YAML readers do not read what was written"]
    authority = json.loads((ROOT / "tools" / "asyncapi-3.0.0.json").read_text(encoding="utf-8"))
    for error in jsonschema.Draft7Validator(authority).iter_errors(document):
        found.append(f"docs/asyncapi.yaml: {'.'.join(map(str, error.absolute_path))}: {error.message[:300]}")
    for kind in asyncapi.NODE_KINDS + asyncapi.HOST_KINDS:
        jsonschema.Draft7Validator.check_schema(document["components"]["schemas"][kind])
    seen = set()
    for golden in json.loads((ROOT / "tests" / "golden" / "messages.json").read_text(encoding="utf-8")):
        kind = wire.parse_topic(golden["topic"])[2]
        seen.add(kind)
        for error in validator(document, kind).iter_errors(json.loads(golden["text"])):
            where = ".".join(map(str, error.absolute_path))
            found.append(f"tests/golden/messages.json: {golden['name']}: {where}: {error.message[:300]}")
    for kind in asyncapi.NODE_KINDS + asyncapi.HOST_KINDS:
        if kind not in seen:
            found.append(f"tests/golden/messages.json: no message of kind {kind}")
    for refused in json.loads((ROOT / "tests" / "golden" / "refused.json").read_text(encoding="utf-8")):
        if refused.get("schema") and validator(document, refused["schema"]).is_valid(json.loads(refused["text"])):
            found.append(f"tests/golden/refused.json: {refused['name']}: valid by docs/asyncapi.yaml")
    return found


if __name__ == "__main__":
    lines = problems()
    print("\n".join(lines) if lines else "docs/asyncapi.yaml and the golden messages: valid")
    sys.exit(1 if lines else 0)
