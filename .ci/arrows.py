"""Checks that the dependencies between the rooms of src/ point inwards.

A room is a folder or a file at the top of src/. It may use every room of a ring
further in, and what ALSO lists. Test code is not checked.
"""

import pathlib
import re
import sys

# Innermost first.
RINGS = [
    "config_error domain error_chain excerpt fill future header http_client json random readable url",  # helpers
    "callback clock event keys ledger replay",  # the typed model, and ports with defaults
    "observe rejection typed verify",  # the core
    "deliver_once event_router tenant verify_webhook",  # the Tower edge
    "axum guide jsonwebtoken redis testing",  # adapters, which nothing else uses
]
# Exceptions: (room, the room that it uses) within a ring or outwards, and the reason.
ALSO = {
    ("domain", "config_error"): "an invalid domain is a configuration error",
    ("domain", "url"): "a domain is the host of a URL",
    ("http_client", "error_chain"): "an error is reported with its causes",
    ("http_client", "url"): "only loopback hosts may go without TLS",
    ("callback", "clock"): "a callback must be posted before its deadline",
    ("callback", "event"): "a callback posts the reply to an event",
    ("verify", "rejection"): "verify/rejections.rs turns the errors of the steps into rejections",
    ("observe", "rejection"): "the log tells why a request was refused",
    ("verify", "observe"): "the log tells how each request was answered",
    ("typed", "verify"): "`Typed` is made from a webhook",
    ("event_router", "deliver_once"): "a handler may take the `DeliveryRun` or the `DeliveryHandle`",
    ("verify_webhook", "tenant"): "the builder takes tenants",
    ("verify_webhook", "axum"): "only axum knows the original path of a nested route",
}
# Only the edge and the adapters may use these crates.
TOWER = re.compile(r"(?<![\w:])(tower\w*|axum\w*)::")

RING = {room: number for number, rooms in enumerate(RINGS) for room in rooms.split()}
EDGE = RING["verify_webhook"]
LITERAL = re.compile(
    r"""//[^\n]*|r(\#+)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'""", re.DOTALL
)
TESTS = re.compile(r"#\[cfg\(test\)\]\nmod \w+ \{\n.*?^\}", re.DOTALL | re.MULTILINE)


def code_of(file):
    """The code without comments, literals and test modules, on the same lines."""
    blank = lambda found: "\n" * found[0].count("\n")
    return TESTS.sub(blank, LITERAL.sub(blank, file.read_text()))


def first_names(text, start):
    """The name at `start`, or the first name of each member of a group."""
    if text[start] != "{":
        return re.match(r"\w+", text[start:]).group().split()
    group = text[start + 1 : text.index(";", start)]
    while (outer := re.sub(r"\{[^{}]*\}", "", group)) != group:
        group = outer
    return re.findall(r"(?:^|,)\s*(\w+)", group)


def arrows(root):
    """Yields where a room names a room or a crate: file, line, room, name."""
    for file in sorted(root.rglob("*.rs")):
        module = [part for part in file.relative_to(root).with_suffix("").parts if part != "mod"]
        parent = file.parent / "mod.rs" if file.name != "mod.rs" else file.parent.parent / "mod.rs"
        declared = (parent if parent.exists() else root / "lib.rs").read_text()
        if module == ["lib"] or re.search(rf"#\[cfg\(test\)\]\nmod {module[-1]};", declared):
            continue
        text = code_of(file)
        for found in re.finditer(r"\b(crate::|(?:super::)+)(?=[\w{])", text):
            supers = found[1].count("super")
            if supers in (0, len(module)):
                line = text.count("\n", 0, found.start()) + 1
                for name in first_names(text, found.end()):
                    yield file, line, module[0], name
        for found in TOWER.finditer(text):
            if RING.get(module[0], 0) < EDGE:
                yield file, text.count("\n", 0, found.start()) + 1, module[0], found[0]


wrong, used = [], set()
for file, line, room, name in arrows(pathlib.Path("src")):
    if name == room:
        continue
    used.add((room, name))
    if room not in RING:
        wrong.append(f"{file}:{line}: `{room}` is in no ring: add it to {__file__}")
    elif name.endswith("::"):
        wrong.append(f"{file}:{line}: `{room}` must not use `{name[:-2]}`: only the edge may")
    elif name not in RING:
        wrong.append(f"{file}:{line}: `crate::{name}` is a re-export of lib.rs: name its room")
    elif RING[name] >= RING[room] and (room, name) not in ALSO:
        wrong.append(f"{file}:{line}: `{room}` must not use `{name}`")
for arrow in ALSO.keys() - used:
    wrong.append(f"{__file__}: {arrow} is not needed any more: remove it")
print("\n".join(wrong) or f"{len(used)} dependencies between rooms, all allowed")
sys.exit(bool(wrong))
