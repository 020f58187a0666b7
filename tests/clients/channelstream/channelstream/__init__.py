"""Stands in for the package of this name, so that its own tests run against wstap, over HTTP."""

import atexit
import json
import os
import re
import subprocess
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from itsdangerous import TimestampSigner
from marshmallow.exceptions import ValidationError

BINARY = os.environ.get("WSTAP_BINARY", str(Path(__file__).parents[4] / "target/debug/wstap"))
SECRET = "secret"


class Server:
    """A server of wstap, on a free port."""

    def __init__(self, *flags):
        command = [BINARY, "--listen", "127.0.0.1:0", "--channelstream-secret", SECRET, *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        words = ""
        while "Ctrl-C stops." not in words:
            line = self.process.stderr.readline()
            assert line, words
            words += line
        self.url = re.search(r"Events\s+(http:\S+)/events", words)[1] + "/channelstream"
        atexit.register(self.stop)

    def stop(self):
        atexit.unregister(self.stop)
        self.process.terminate()
        self.process.wait(20)
        self.process.stderr.close()

    def ask(self, method, path, headers, body):
        """Returns status, headers and body of an answer, whatever the status."""
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


class Running:
    """The server that the views speak to, and the one that an application was made with."""

    server = None

    @classmethod
    def start(cls, *flags):
        cls.stop()
        cls.server = Server(*flags)
        return cls.server

    @classmethod
    def stop(cls):
        if cls.server is not None:
            cls.server.stop()
            cls.server = None


def call(method, path, body):
    """Makes a signed call, as a server that knows the secret does."""
    server = Running.server or Running.start()
    headers = {
        "x-channelstream-secret": TimestampSigner(SECRET).sign("channelstream").decode(),
        "Content-Type": "application/json",
    }
    sent = None if body is None else json.dumps(body, default=str).encode()
    status, _, answer = server.ask(method, path, headers, sent)
    if status == 422:
        raise ValidationError(json.loads(answer))
    assert status == 200, (status, answer)
    answer = json.loads(answer)
    if isinstance(answer, dict) and "conn_id" in answer:
        answer["conn_id"] = uuid.UUID(answer["conn_id"])
    return answer
