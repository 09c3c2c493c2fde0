"""Reads `cargo metadata`: does every dependency of the library itself allow the
Rust version that is the first argument?"""

import json
import sys

wanted = tuple(map(int, sys.argv[1].split(".")))
metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}

reached, todo = set(), [metadata["resolve"]["root"]]
while todo:
    package = todo.pop()
    if package in reached:
        continue
    reached.add(package)
    for dependency in nodes[package]["deps"]:
        if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
            todo.append(dependency["pkg"])

too_new = []
for package in map(packages.get, reached):
    version = package["rust_version"]
    if version and tuple(map(int, version.split("."))) > wanted:
        too_new.append(f"{package['name']} {package['version']} needs Rust {version}")
print(f"{len(reached)} packages, {len(too_new)} need a newer Rust than {sys.argv[1]}")
print("\n".join(too_new))
sys.exit(bool(too_new))
