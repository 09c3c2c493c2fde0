#!/usr/bin/env python3
"""Makes what the tests know of ConductorOne's messages from a schema file.

    python3 tests/data/model.py SCHEMA.json

writes `model.json` beside this script, which `tests/event/model.rs` holds the
typed model against, and `*.unpopulated.json` among the fixtures: the `*.minimal.json`
with every field present, as Go's protojson writes them with `EmitUnpopulated`.
Without a schema file, only the fixtures are made, from the `model.json` that is
there.

The schema file has `messages` (by name, each with `fields` and `oneof`) and
`enums` (by name, the first value is number 0). A field has a `kind`, with `ref`
for a message or an enum, `items` for a list, `values` for a map.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
FIXTURES = HERE.parent.parent / "src/testing/fixtures"

# What no payload has in it: the envelope and the replies are not made of the
# model's messages; no field has either of the last two for its type.
LEFT_OUT = ("Body", "Response", "StringMapRules", "ProvisionPolicyInput")

# The objects that come with a task.
OBJECTS = {
    "c1.api.accessreview.v1.AccessReview": "AccessReview",
    "c1.api.app.v1.App": "App",
    "c1.api.app.v1.AppEntitlement": "AppEntitlement",
    "c1.api.app.v1.AppResource": "AppResource",
    "c1.api.app.v1.AppResourceType": "AppResourceType",
    "c1.api.app.v1.AppUser": "AppUser",
    "c1.api.user.v1.User": "User",
}

# What a field has that is not set; a message, a time and free-form JSON: null.
UNSET = {
    "string": "",
    "bool": False,
    "int32": 0,
    "uint32": 0,
    "int64": "0",
    "number": 0,
    "list": [],
    "map": {},
}


def kind(field):
    kept = {name: field[name] for name in ("kind", "ref") if name in field}
    nested = {name: kind(field[name]) for name in ("items", "values") if name in field}
    return kept | nested


def line(value):
    return json.dumps(value, ensure_ascii=False)


def block(entries, indent):
    """An object with a line for each member."""
    if not entries:
        return "{}"
    pad = " " * indent
    members = ",\n".join(f"{pad}  {line(name)}: {value}" for name, value in entries)
    return f"{{\n{members}\n{pad}}}"


def write_model(schema):
    messages = []
    for name, message in sorted(schema["messages"].items()):
        if name.startswith(LEFT_OUT):
            continue
        fields = sorted(message["fields"].items())
        parts = [("fields", block([(field, line(kind(of))) for field, of in fields], 6))]
        if oneofs := sorted(message.get("oneof", {}).items()):
            parts.append(("oneofs", block([(group, line(of)) for group, of in oneofs], 6)))
        messages.append((name, block(parts, 4)))
    enums = [(name, line(values)) for name, values in sorted(schema["enums"].items())]
    parts = [("messages", block(messages, 2)), ("enums", block(enums, 2))]
    (HERE / "model.json").write_text(block(parts, 0) + "\n")


def unset(model, field):
    if field["kind"] == "enum":
        return model["enums"][field["ref"]][0]
    return UNSET.get(field["kind"])


def populated(model, field, value):
    match field["kind"]:
        case "message" if value is not None:
            return with_all_fields(model, field["ref"], value)
        case "list" if value is not None:
            return [populated(model, field["items"], item) for item in value]
        case "map" if value is not None:
            return {key: populated(model, field["values"], of) for key, of in value.items()}
        case "any" if value is not None:
            name = OBJECTS.get(value.get("@type", "").rsplit("/", 1)[-1])
            return with_all_fields(model, name, value) if name else value
    return value


def with_all_fields(model, name, value):
    message = model["messages"][name]
    in_oneof = {member for group in message.get("oneofs", {}).values() for member in group}
    whole = {"@type": value["@type"]} if "@type" in value else {}
    for field, of in message["fields"].items():
        if value.get(field) is not None:
            whole[field] = populated(model, of, value[field])
        elif field not in in_oneof:
            whole[field] = unset(model, of)
    return whole


def write_fixtures(model):
    for minimal in sorted(FIXTURES.glob("*/*minimal.json")):
        payload = json.loads(minimal.read_text())
        name = payload["@type"].rsplit(".", 1)[-1]
        text = json.dumps(with_all_fields(model, name, payload), ensure_ascii=False, indent=2)
        file = minimal.with_name(minimal.name.replace("minimal", "unpopulated"))
        file.write_text(text + "\n")


if len(sys.argv) > 1:
    write_model(json.loads(Path(sys.argv[1]).read_text()))
write_fixtures(json.loads((HERE / "model.json").read_text()))
