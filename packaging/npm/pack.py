"""Makes the npm packages: pack.py PROGRAM VERSION ARCHITECTURE FOLDER.

`wstap` is the client of static/js/wstap and a command, which runs the program in the package
`@wstap/linux-ARCHITECTURE`. npm installs the one that fits. The same program and SOURCE_DATE_EPOCH give
the same bytes.
"""

import gzip
import io
import json
import os
import pathlib
import sys
import tarfile


def pack(path, files, time):
    """Writes a package as `npm pack` does, from names, contents and modes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data, mode in sorted(files):
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mode, entry.mtime = len(data), mode, time
            tar.addfile(entry, io.BytesIO(data))
    path.write_bytes(gzip.compress(out.getvalue(), 9, mtime=0))


def main():
    program, version, architecture, folder = sys.argv[1:]
    time = int(os.environ["SOURCE_DATE_EPOCH"])
    platform = f"linux-{architecture}"
    licences = [(name, pathlib.Path(name).read_bytes(), 0o644) for name in ("LICENSE-MIT", "LICENSE-APACHE")]

    binary = {
        "name": f"@wstap/{platform}",
        "version": version,
        "description": f"The program of wstap for {platform}.",
        "license": "MIT OR Apache-2.0",
        "os": ["linux"],
        "cpu": [architecture],
        "files": ["wstap"],
    }
    files = [
        ("package.json", json.dumps(binary, indent=2).encode(), 0o644),
        ("wstap", pathlib.Path(program).read_bytes(), 0o755),
        *licences,
    ]
    pack(pathlib.Path(folder, f"wstap-{platform}-{version}.tgz"), files, time)

    client = pathlib.Path("static/js/wstap")
    package = json.loads((client / "package.json").read_text())
    assert package["version"] == version, f"{client}/package.json has another version"
    package["bin"] = {"wstap": "command.cjs"}
    package["optionalDependencies"] = {f"@wstap/{platform}": version}
    package["files"].append("command.cjs")
    command = pathlib.Path("packaging/npm/command.cjs").read_bytes()
    files = [("package.json", json.dumps(package, indent=2).encode(), 0o644), *licences]
    files.append(("command.cjs", command, 0o755))
    for path in client.iterdir():
        if path.suffix in (".js", ".ts"):
            files.append((path.name, path.read_bytes(), 0o644))
    files.append(("README.md", pathlib.Path("docs/javascript.md").read_bytes(), 0o644))
    pack(pathlib.Path(folder, f"wstap-{version}.tgz"), files, time)


main()
