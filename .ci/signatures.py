"""Checks which other crates the public API names: a breaking release of such a crate
is a breaking release of this one.

It reads rustdoc's JSON, which is unstable. RUSTC_BOOTSTRAP unlocks it on stable; it
is set for rustdoc only, so that Cargo rebuilds no dependency.
"""

import json
import os
import pathlib
import subprocess
import sys

# Allowed everywhere.
ANYWHERE = {
    "alloc", "core", "std",
    "bytes", "http", "http_body", "http_body_util", "serde_core", "serde_json",
    "tower_layer", "tower_service",
}  # fmt: skip
# Allowed in these files only.
ONLY_IN = {
    "axum": ("src/axum.rs",),
    "axum_core": ("src/axum.rs",),
    "jsonwebtoken": ("src/jsonwebtoken.rs",),
    "redis": ("src/redis/",),
    "reqwest": ("src/callback/https.rs", "src/keys/https.rs"),
    # In a bound of the `Unpin` that it generates, which users cannot name.
    "pin_project_lite": ("src/verify_webhook/body.rs", "src/verify_webhook/future.rs"),
}


def rustdoc():
    """The public items of the crate, with all features: those of the whole workspace, so
    that Cargo compiles no dependency for this alone."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    target.mkdir(exist_ok=True)
    wrapper = target.absolute() / "rustdoc-json"
    wrapper.write_text('#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n')
    wrapper.chmod(0o755)
    command = "cargo doc --locked --quiet --workspace --lib --no-deps --all-features"
    flags = {
        "RUSTDOC": str(wrapper),
        "RUSTDOCFLAGS": "-Z unstable-options --output-format json",
    }
    subprocess.run(command.split(), check=True, env=os.environ | flags)
    return json.loads((target / "doc/tower_conductorone.json").read_text())


def named(node):
    """The IDs of the types and traits that an item names."""
    if isinstance(node, dict):
        if node.keys() >= {"path", "id", "args"} or node.keys() >= {"source", "id"}:
            yield str(node["id"])
        node = list(node.values())
    if isinstance(node, list):
        for member in node:
            yield from named(member)


crate = rustdoc()
wrong, seen = set(), set()
for item in crate["index"].values():
    implementation = item["inner"].get("impl", {})
    is_generated = implementation.get("blanket_impl") or implementation.get("is_synthetic")
    if item["crate_id"] != 0 or is_generated or "module" in item["inner"]:
        continue
    for path in filter(None, map(crate["paths"].get, named(item["inner"]))):
        if path["crate_id"] == 0:
            continue
        name = crate["external_crates"][str(path["crate_id"])]["name"]
        seen.add(name)
        span = item["span"] or {"filename": "?", "begin": [0]}
        if name not in ANYWHERE and not span["filename"].startswith(ONLY_IN.get(name, ("-",))):
            item_name = item["name"] or next(iter(item["inner"]))
            where = f"{span['filename']}:{span['begin'][0]}"
            wrong.add(f"{where}: `{item_name}` names {'::'.join(path['path'])}")
if "http" not in seen:
    wrong.add("cannot read this version of rustdoc's JSON (see `format_version`)")
print("\n".join(sorted(wrong)) or f"the public API names {len(seen)} crates, all allowed")
sys.exit(bool(wrong))
