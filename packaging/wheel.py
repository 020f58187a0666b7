"""Makes a Python wheel that installs the program: wheel.py PROGRAM VERSION ARCHITECTURE FOLDER.

A static program runs with every C library, so that the wheel has the tags of glibc and of musl. The same
program and SOURCE_DATE_EPOCH give the same bytes.
"""

import base64
import hashlib
import os
import pathlib
import sys
import time
import zipfile

METADATA = """\
Metadata-Version: 2.1
Name: wstap
Version: {version}
Summary: Makes WebSocket traffic visible: WebSocket clients in, Server-Sent Events out.
License: MIT OR Apache-2.0
Keywords: websocket,sse,eventsource,tap,debugging
Requires-Python: >=3.8
Description-Content-Type: text/markdown

"""


def main():
    program, version, architecture, folder = sys.argv[1:]
    tags = [
        f"manylinux_2_17_{architecture}",
        f"manylinux2014_{architecture}",
        f"musllinux_1_1_{architecture}",
    ]
    name = f"wstap-{version}"
    info = f"{name}.dist-info"
    wheel = "Wheel-Version: 1.0\nGenerator: wstap\nRoot-Is-Purelib: false\n"
    wheel += "".join(f"Tag: py3-none-{tag}\n" for tag in tags)
    readme = pathlib.Path("README.md").read_text()
    files = [
        (f"{name}.data/scripts/wstap", pathlib.Path(program).read_bytes(), 0o755),
        (f"{info}/METADATA", (METADATA.format(version=version) + readme).encode(), 0o644),
        (f"{info}/WHEEL", wheel.encode(), 0o644),
        (f"{info}/LICENSE-MIT", pathlib.Path("LICENSE-MIT").read_bytes(), 0o644),
        (f"{info}/LICENSE-APACHE", pathlib.Path("LICENSE-APACHE").read_bytes(), 0o644),
    ]
    record = ""
    for path, data, _ in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    record += f"{info}/RECORD,,\n"
    files.append((f"{info}/RECORD", record.encode(), 0o644))
    date = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    out = pathlib.Path(folder, f"{name}-py3-none-{'.'.join(tags)}.whl")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, data, mode in files:
            entry = zipfile.ZipInfo(path, date)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)


main()
