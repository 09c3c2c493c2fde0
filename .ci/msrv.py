"""Reads `cargo metadata`: does every dependency of the library and its tests allow
the Rust version that is the first argument?"""

import json
import sys

wanted = tuple(map(int, sys.argv[1].split(".")))[:2]
metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}

root = metadata["resolve"]["root"]
reached, todo = set(), [root]
while todo:
    package = todo.pop()
    if package in reached:
        continue
    reached.add(package)
    for dependency in nodes[package]["deps"]:
        is_dev = all(kind["kind"] == "dev" for kind in dependency["dep_kinds"])
        if package == root or not is_dev:
            todo.append(dependency["pkg"])

too_new = []
for package in map(packages.get, reached):
    version = package["rust_version"]
    if version and tuple(map(int, version.split(".")))[:2] > wanted:
        too_new.append(f"{package['name']} {package['version']} needs Rust {version}")
print(f"{len(reached)} packages, {len(too_new)} need a newer Rust than {sys.argv[1]}")
print("\n".join(too_new))
sys.exit(bool(too_new))
