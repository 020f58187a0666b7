"""Prints the licences of all crates that are compiled into the program: licences.py TARGET.

The texts are those that the crates have in their sources; equal texts are printed once.
"""

import collections
import json
import pathlib
import subprocess
import sys

NAMES = ("license", "licence", "copying", "copyright", "notice", "unlicense")


def crates(target):
    """Returns the crates that the program needs at run time, sorted."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--features", "jemalloc"]
    command += ["--filter-platform", target]
    metadata = json.loads(subprocess.check_output(command))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    seen, waiting = set(), [root]
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            is_normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_normal and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    return sorted((packages[it] for it in seen), key=lambda it: (it["name"], it["version"]))


def texts(package):
    """Returns the texts of the licences of a crate."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name.lower().replace("_", "-").startswith(NAMES)
    )
    return ["\n".join(path.read_text(errors="replace").split("\r\n")).strip() for path in files]


def main():
    users = collections.defaultdict(list)
    print("wstap contains these crates, under these licences.\n")
    for package in crates(sys.argv[1]):
        name = f"{package['name']} {package['version']}"
        licence = package["license"] or "see the text of its licence"
        print(f"{name}: {licence}")
        for text in texts(package):
            users[text].append(name)
    print("\nSQLite, which libsqlite3-sys contains, is in the public domain.")
    for text, names in sorted(users.items(), key=lambda it: it[1]):
        print(f"\n{'-' * 80}\n{', '.join(names)}\n\n{text}")


main()
