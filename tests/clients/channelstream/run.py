"""Runs the tests of Channelstream itself, as they are in its source package, against wstap.

`run.py PACKAGE.tar.gz`; a package beside this file stands in for the one that they import.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

SHA256 = "fbd82819ea58812ac92d68e9df9f7290f8a51846f3566876a1ad44b51b1d52ea"

# They look at objects in the memory of the original, and not at what it answers; so does all of
# tests_basic.py.
WITHIN = [
    "TestMessageViews::test_good_json_no_channel",
    "TestMessageViews::test_catchup_messages",
    "TestMessageEditViews::test_good_json_no_channel",
    "TestMessageDeleteViews::test_good_json_no_channel",
]

# 7 of tests_integration.py, 20 of tests_views.py.
EXPECTED = 27


def main(package):
    assert hashlib.sha256(package.read_bytes()).hexdigest() == SHA256, f"{package} is another one"
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(package) as archive:
            members = [member for member in archive.getmembers() if "/tests/" in member.name and member.isfile()]
            # Python before 3.11.4 has no filters; what is unpacked is known by its hash.
            filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(folder, members, **filters)
        tests = next(Path(folder).glob("*/tests"))
        skipped = [f"--deselect=tests_views.py::{name}" for name in WITHIN]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *skipped]
        ran = subprocess.run(
            [*command, "tests_integration.py", "tests_views.py"],
            cwd=tests,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=300,
        )
    print(ran.stdout)
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert ran.returncode == 0 and passed and int(passed[1]) == EXPECTED, f"{EXPECTED} were to pass"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
