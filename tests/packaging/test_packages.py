"""What packaging/build makes of a program, each installed and run.

PACKAGES names a folder that packaging/build has made; without it, the packages are built of the program under test,
twice, and compared. Needs skopeo and umoci (Debian packages), node and npm.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from wstap_server import BINARY, LIMIT, ROOT, Server, WebSocket


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def build(folder):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1763670000"}
    run(str(ROOT / "packaging/build"), "--program", BINARY, str(folder), env=environment)


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.packages = Path(os.environ.get("PACKAGES") or cls.folder / "packages").absolute()
        if "PACKAGES" not in os.environ:
            build(cls.packages)
        cls.version = run(BINARY, "--version").split()[-1]

    def one(self, pattern):
        found = list(self.packages.glob(pattern))
        self.assertEqual(len(found), 1, pattern)
        return found[0]

    def twenty_seconds(self, program):
        """The first steps of the README: a listener hears what a client sends."""
        server = Server(binary=str(program))
        self.addCleanup(server.stop)
        stream = urllib.request.urlopen(f"http://127.0.0.1:{server.port}/events", timeout=LIMIT)
        client = WebSocket(server.port)
        client.send('{"connectionId":"a"}')
        client.send('{"connectionId":"a","message":"hello"}')
        lines = (line.decode().strip() for line in itertools.islice(stream, 20))
        self.assertIn('data: {"connectionId":"a","message":"hello"}', lines)
        client.close()
        stream.close()

    @unittest.skipIf("PACKAGES" in os.environ, "the packages are given")
    def test_same_inputs_give_the_same_bytes(self):
        again = self.folder / "again"
        build(again)
        self.assertEqual((self.packages / "SHA256SUMS").read_text(), (again / "SHA256SUMS").read_text())

    def test_checksums_are_those_of_the_files(self):
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=self.packages)

    def test_tarball_has_program_pages_completions_and_licences(self):
        with tarfile.open(self.one("*.tar.gz")) as tar:
            names = {name.split("/", 1)[1] for name in tar.getnames() if "/" in name}
            tar.extractall(self.folder / "tar")
            self.assertEqual({(it.uid, it.gid) for it in tar}, {(0, 0)})
        for name in ("wstap", "man/wstap.1", "completions/wstap.bash", "systemd/wstap.service", "LICENSE-MIT",
                     "LICENSE-APACHE", "THIRD-PARTY.txt", "UPGRADING.md", "monitoring/alerts.yml"):
            self.assertIn(name, names)
        self.twenty_seconds(next((self.folder / "tar").glob("*/wstap")))

    def test_licences_name_every_crate_and_have_its_text(self):
        text = (self.packages / "THIRD-PARTY.txt").read_text()
        for part in ("tokio 1.", "rustls 0.", "libsqlite3-sys", "Permission is hereby granted"):
            self.assertIn(part, text)
        self.assertNotIn("see the text of its licence\n\n", text)

    def test_image_has_the_program_alone_and_is_not_run_by_root(self):
        image = next(self.packages.glob("*-image"))
        reference = f"oci:{image}:{self.version}"
        config = json.loads(run("skopeo", "inspect", "--config", reference))["config"]
        self.assertEqual(config["Entrypoint"], ["/wstap"])
        self.assertEqual(config["User"], "65532:65532")
        raw = json.loads((image / "index.json").read_text())["manifests"][0]["digest"].split(":")[1]
        manifest = json.loads((image / "blobs/sha256" / raw).read_text())
        config = json.loads((image / "blobs/sha256" / manifest["config"]["digest"].split(":")[1]).read_text())
        self.assertEqual(config["config"]["Healthcheck"]["Test"], ["CMD", "/wstap", "check", "--live"])
        bundle = self.folder / "bundle"
        run("umoci", "unpack", "--rootless", "--image", f"{image}:{self.version}", str(bundle))
        self.assertEqual(sorted(it.name for it in (bundle / "rootfs").iterdir()), ["data", "wstap"])
        self.twenty_seconds(bundle / "rootfs/wstap")

    def test_wheel_installs_the_command(self):
        target = self.folder / "venv"
        run(sys.executable, "-m", "venv", str(target))
        wheel = self.one("*.whl")
        began = time.monotonic()
        run(str(target / "bin/pip"), "install", "--no-index", str(wheel))
        program = target / "bin/wstap"
        self.assertIn(self.version, run(str(program), "--version"))
        print(f"pip install to the first answer: {time.monotonic() - began:.1f} s")
        self.twenty_seconds(program)

    def test_npm_package_installs_the_command_and_the_client(self):
        project = self.folder / "npm"
        project.mkdir()
        (project / "package.json").write_text('{"private":true,"type":"module"}')
        tarballs = [str(it) for it in (self.packages / "npm").glob("*.tgz")]
        self.assertEqual(len(tarballs), 2)
        run("npm", "install", "--offline", "--no-audit", "--no-fund", *tarballs, cwd=project)
        self.assertIn(self.version, run("npx", "--offline", "wstap", "--version", cwd=project))
        run("node", "-e", "import('wstap').then((it) => { if (!Object.keys(it).length) process.exit(1); })", cwd=project)
        self.twenty_seconds(project / "node_modules/.bin/wstap")

    def test_debian_package_has_unit_user_and_configuration(self):
        found = list(self.packages.glob("*.deb"))
        if not found and "PACKAGES" not in os.environ and not shutil.which("cargo-deb"):
            self.skipTest("cargo-deb is missing")
        names = run("dpkg-deb", "-c", str(found[0]))
        for name in ("./usr/bin/wstap", "wstap.service", "wstap.socket", "./etc/wstap/wstap.toml", "./etc/default/wstap",
                     "./usr/share/man/man1/wstap.1.gz", "bash-completion/completions/wstap", "THIRD-PARTY.txt"):
            self.assertIn(name, names)
        control = self.folder / "control"
        run("dpkg-deb", "-e", str(found[0]), str(control))
        self.assertEqual((control / "conffiles").read_text().split(), ["/etc/default/wstap", "/etc/wstap/wstap.toml"])
        self.assertIn("useradd --system", (control / "postinst").read_text())
        self.assertIn(f"Version: {self.version}\n", (control / "control").read_text())


class Configuration(unittest.TestCase):
    def test_settings_of_the_commented_configuration_are_valid(self):
        lines = (ROOT / "packaging/wstap.toml").read_text().splitlines()
        settings = [line.removeprefix("#") for line in lines if line.startswith("#") and not line.startswith("# ")]
        # Files and an upstream that are not here.
        absent = ("token-file", "data-dir", "upstream")
        settings = [line for line in settings if not line.startswith(absent)]
        self.assertGreater(len(settings), 15)
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("\n".join(settings))
            file.flush()
            run(BINARY, "check", "--config", file.name)


if __name__ == "__main__":
    unittest.main()
