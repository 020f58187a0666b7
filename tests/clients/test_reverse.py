"""wstap behind nginx, Caddy and HAProxy, by the configurations of docs/operations.md."""

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

import httpx
import websockets
from httpx_sse import aconnect_sse

ROOT = Path(__file__).parents[2]
BINARY = os.environ.get("WSTAP_BINARY", str(ROOT / "target/debug/wstap"))
LIMIT = 30

# The proxy comes from 127.0.0.1, so that the client needs another address.
CLIENT = "127.0.0.2"


def examples(language):
    """The configurations of the page in a language."""
    page = (ROOT / "docs/operations.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Tap:
    """A server of its own on a free port."""

    def __init__(self, *flags):
        arguments = [BINARY, "--listen", "127.0.0.1:0", "--host", "tap.example", "--trusted-proxy", "127.0.0.1", *flags]
        self.process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
        words = ""
        while "Ctrl-C stops." not in words:
            line = self.process.stderr.readline()
            assert line, words
            words += line
        self.port = int(re.search(r"Events\s+https?://\S+:(\d+)/events", words)[1])

    def stop(self):
        self.process.terminate()
        self.process.wait(LIMIT)
        self.process.stderr.close()


class Behind(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=tap.example",
             "-addext", "subjectAltName=DNS:tap.example"],
            check=True, capture_output=True,
        )
        (self.folder / "both.pem").write_text(cert.read_text() + key.read_text())
        self.tls = ssl.create_default_context(cafile=str(cert))

    def tap(self, *flags):
        tap = Tap(*flags)
        self.addCleanup(tap.stop)
        return tap

    def configuration(self, text, tap, port):
        """An example with the addresses and files of this test."""
        replaced = [
            (r"127\.0\.0\.1:8080|127\.0\.0\.1:8443", f"127.0.0.1:{tap.port}"),
            (r"tap\.example:443", f"tap.example:{port}"),
            (r"listen 443", f"listen 127.0.0.1:{port}"),
            (r"bind :443", f"bind 127.0.0.1:{port}"),
            (r"/etc/ssl/tap\.example\.both\.pem", str(self.folder / "both.pem")),
            (r"/etc/ssl/tap\.example\.pem", str(self.folder / "cert.pem")),
            (r"/etc/ssl/tap\.example\.key", str(self.folder / "key.pem")),
        ]
        for pattern, value in replaced:
            text = re.sub(pattern, value, text)
        return text

    def run_proxy(self, arguments, port):
        log = open(self.folder / "proxy.log", "w")
        self.addCleanup(log.close)
        env = {**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        process = subprocess.Popen(arguments, stdout=log, stderr=log, env=env)

        def stop():
            process.terminate()
            process.wait(LIMIT)

        self.addCleanup(stop)
        for _ in range(LIMIT * 20):
            with socket.socket() as tcp:
                if tcp.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert process.poll() is None, (self.folder / "proxy.log").read_text()
            subprocess.run(["sleep", "0.05"], check=True)
        self.fail((self.folder / "proxy.log").read_text())

    async def check(self, port, by_header=True):
        """Streams, WebSockets and the address of the client, at the address of the proxy."""
        async with asyncio.timeout(LIMIT):
            url = f"https://tap.example:{port}"
            async with websockets.connect(
                f"wss://tap.example:{port}/ws?connectionId=before", ssl=self.tls, host="127.0.0.1", port=port,
                local_addr=(CLIENT, 0),
            ):
                pass
            transport = httpx.AsyncHTTPTransport(verify=self.tls, local_address=CLIENT)
            headers = {"host": f"tap.example:{port}"}
            extensions = {"sni_hostname": "tap.example"}
            inside = f"https://127.0.0.1:{port}"
            async with httpx.AsyncClient(transport=transport, timeout=None, headers=headers) as http:
                stream = aconnect_sse(http, "GET", f"{inside}/events?format=full", extensions=extensions)
                async with stream as source:
                    events = source.aiter_sse()
                    async with websockets.connect(
                        f"wss://tap.example:{port}/ws?connectionId=a", ssl=self.tls, host="127.0.0.1", port=port,
                        local_addr=(CLIENT, 0), origin=url,
                    ) as client:
                        # Each event is there before the next one is sent: nothing on the way gathers them.
                        connect = json.loads((await anext(events)).data)
                        self.assertEqual((connect["kind"], connect["connectionId"]), ("connect", "a"))
                        self.assertTrue(connect["remote"].startswith(f"{CLIENT}:"), connect)
                        for n in range(20):
                            await client.send(f"message {n}")
                            self.assertEqual(json.loads((await anext(events)).data)["message"], f"message {n}")
                        await client.send("x" * 500_000)
                        self.assertEqual(len(json.loads((await anext(events)).data)["message"]), 500_000)
                # A client cannot say that it is another one.
                forged = {"x-forwarded-for": "203.0.113.7", "x-forwarded-host": "evil.example"}
                if by_header:
                    forged["forwarded"] = "for=203.0.113.7"
                answer = await http.get(f"{inside}/api/listeners", headers=forged, extensions=extensions)
                self.assertEqual(answer.status_code, 200, answer.text)
                self.assertNotIn("203.0.113.7", answer.text)
                out = await http.delete(f"{inside}/api/session", extensions=extensions)
                self.assertIn("__Host-wstap=", out.headers["set-cookie"])
                self.assertIn("Secure", out.headers["set-cookie"])

    async def test_nginx(self):
        [example] = examples("nginx")
        tap, port = self.tap(), free_port()
        server = self.configuration(example, tap, port)
        path = self.folder / "nginx.conf"
        folder = self.folder
        path.write_text(
            f"daemon off; pid {folder}/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\n"
            f"access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n"
            f"fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n{server}}}\n"
        )
        self.run_proxy(["nginx", "-p", str(folder), "-c", str(path)], port)
        await self.check(port)

    async def test_caddy(self):
        [example] = examples("caddyfile")
        tap, port = self.tap(), free_port()
        path = self.folder / "Caddyfile"
        # The administration and the redirect of port 80 are not part of the example.
        options = "{\n    admin off\n    auto_https disable_redirects\n    http_port 0\n}\n"
        path.write_text(options + self.configuration(example, tap, port))
        self.run_proxy(["caddy", "run", "--adapter", "caddyfile", "--config", str(path)], port)
        await self.check(port)

    async def test_haproxy(self):
        example, _ = examples("haproxy")
        tap, port = self.tap(), free_port()
        path = self.folder / "haproxy.cfg"
        path.write_text(self.configuration(example, tap, port))
        self.run_proxy(["haproxy", "-f", str(path)], port)
        await self.check(port)

    async def test_haproxy_with_proxy_protocol(self):
        _, example = examples("haproxy")
        files = ["--tls-cert", str(self.folder / "cert.pem"), "--tls-key", str(self.folder / "key.pem")]
        tap, port = self.tap("--proxy-protocol", *files), free_port()
        path = self.folder / "haproxy.cfg"
        path.write_text(self.configuration(example, tap, port))
        self.run_proxy(["haproxy", "-f", str(path)], port)
        await self.check(port)


if __name__ == "__main__":
    unittest.main()
