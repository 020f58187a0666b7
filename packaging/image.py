"""Makes a container image as an OCI image layout: image.py PROGRAM VERSION ARCHITECTURE FOLDER.

The image has one layer with one program and an empty folder for the log. No daemon is needed. The same
program and SOURCE_DATE_EPOCH give the same bytes.
"""

import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile

# Neither root nor a user of the host, by the custom of images without a system.
USER = 65532


def layer(program, time):
    """Returns the uncompressed layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo("data")
        folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o700, time
        folder.uid = folder.gid = USER
        tar.addfile(folder)
        file = tarfile.TarInfo("wstap")
        data = pathlib.Path(program).read_bytes()
        file.size, file.mode, file.mtime = len(data), 0o755, time
        tar.addfile(file, io.BytesIO(data))
    return out.getvalue()


def main():
    program, version, architecture, folder = sys.argv[1:]
    time = int(os.environ["SOURCE_DATE_EPOCH"])
    created = datetime.datetime.fromtimestamp(time, datetime.timezone.utc)
    created = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    blobs = pathlib.Path(folder, "blobs", "sha256")
    blobs.mkdir(parents=True)

    def put(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def put_json(value, media_type):
        return put(json.dumps(value, sort_keys=True).encode(), media_type)

    kind = "application/vnd.oci.image"
    tar = layer(program, time)
    compressed = put(gzip.compress(tar, 9, mtime=0), f"{kind}.layer.v1.tar+gzip")
    labels = {
        "org.opencontainers.image.title": "wstap",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        "org.opencontainers.image.description": "WebSocket traffic as Server-Sent Events",
    }
    config = {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "Entrypoint": ["/wstap"],
            # The server listens to the network of the container. It starts with credentials, or with
            # --no-auth.
            "Env": ["WSTAP_LISTEN=0.0.0.0:8080"],
            "ExposedPorts": {"8080/tcp": {}},
            "Volumes": {"/data": {}},
            "Labels": labels,
            "StopSignal": "SIGTERM",
            # Not in the OCI specification; docker and podman read it.
            "Healthcheck": {
                "Test": ["CMD", "/wstap", "check", "--live"],
                "Interval": 10_000_000_000,
                "Timeout": 5_000_000_000,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        "history": [{"created": created, "created_by": "packaging/build"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": put_json(config, f"{kind}.config.v1+json"),
        "layers": [compressed],
        "annotations": labels,
    }
    entry = put_json(manifest, f"{kind}.manifest.v1+json")
    entry["platform"] = {"architecture": architecture, "os": "linux"}
    entry["annotations"] = {"org.opencontainers.image.ref.name": version}
    index = {"schemaVersion": 2, "mediaType": f"{kind}.index.v1+json", "manifests": [entry]}
    pathlib.Path(folder, "index.json").write_text(json.dumps(index, sort_keys=True))
    pathlib.Path(folder, "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


main()
