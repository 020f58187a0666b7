"""A wstap server on a free port, and a WebSocket client of the standard library."""

import base64
import os
import re
import socket
import ssl
import struct
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
BINARY = os.environ.get("WSTAP_BINARY", str(ROOT / "target/debug/wstap"))
LIMIT = 40


def wait_for(what, condition, limit=LIMIT):
    """Returns the first true value of `condition`, which is called again until the limit."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not happen within {limit} s"
        time.sleep(0.1)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A running wstap. `port` serves clients, `tap_port` the stream, the API and the metrics."""

    def __init__(self, *flags, env=None, binary=BINARY):
        arguments = [binary, "--listen", "127.0.0.1:0", *flags]
        if "--upstream" in flags:
            arguments += ["--tap-listen", "127.0.0.1:0"]
        environment = {**os.environ, **(env or {})}
        # A pipe that is not read would fill and stop the server.
        self.log = tempfile.NamedTemporaryFile("r")
        with open(self.log.name, "w") as log:
            self.process = subprocess.Popen(arguments, stderr=log, env=environment)
        wait_for(f"the start of {arguments}", self.is_started)
        self.port = int(re.search(r"(?:http|https|ws|wss)://\S+?:(\d+)", self.words)[1])
        self.tap_port = int(re.search(r"Events\s+https?://\S+?:(\d+)/events", self.words)[1])

    def is_started(self):
        assert self.process.poll() is None, Path(self.log.name).read_text()
        self.words = Path(self.log.name).read_text()
        return "Ctrl-C stops." in self.words

    def stop(self):
        """Ends the server; again without effect."""
        self.process.terminate()
        self.process.wait(LIMIT)
        self.log.close()


class WebSocket:
    """Sends text frames. What the server sends is not read; it stays in the socket."""

    def __init__(self, port, path="/ws", headers=(), tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: localhost:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            *headers,
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.socket.recv(4096)
            assert part, head
            head += part
        assert head.startswith(b"HTTP/1.1 101"), head

    def send(self, text):
        data = text.encode()
        assert len(data) < 65536
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        # A mask of zeros leaves the payload as it is.
        self.socket.sendall(b"\x81" + size + b"\0\0\0\0" + data)

    def close(self):
        self.socket.close()


def insecure_tls():
    """A context for a server with a certificate that the test has made."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
