"""The tap with clients that nobody here wrote: Python websockets, httpx-sse, curl."""

import asyncio
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

import httpx
import websockets
from httpx_sse import aconnect_sse

BINARY = os.environ.get("WSTAP_BINARY", str(Path(__file__).parents[2] / "target/debug/wstap"))
LIMIT = 20


class Tap:
    """A server of its own, on a free port."""

    def __init__(self, *flags):
        self.process = subprocess.Popen([BINARY, "--listen", "127.0.0.1:0", *flags], stderr=subprocess.PIPE, text=True)
        words = ""
        while "Ctrl-C stops." not in words:
            line = self.process.stderr.readline()
            assert line, words
            words += line
        self.url = re.search(r"Events\s+(http:\S+)/events", words)[1]
        self.ws = self.url.replace("http", "ws") + "/ws"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(LIMIT)
        self.process.stderr.close()


class Clients(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.limit = asyncio.timeout(LIMIT)
        await self.limit.__aenter__()

    async def asyncTearDown(self):
        await self.limit.__aexit__(None, None, None)

    async def test_httpx_sse_reads_what_websockets_sends(self):
        with Tap() as tap:
            async with httpx.AsyncClient(timeout=None) as http, aconnect_sse(http, "GET", f"{tap.url}/events") as source:
                events = source.aiter_sse()
                async with websockets.connect(tap.ws) as socket:
                    await socket.send('{"connectionId":"python"}')
                    await socket.send("grüße 🦀")
                    await socket.send(b"\x00\xff")
                    await socket.ping()
                    await socket.close(4002, "done")
                read = [await anext(events) for _ in range(4)]
                self.assertEqual([json.loads(event.data) for event in read], [
                    {"connectionId": "python"},
                    {"connectionId": "python", "message": "grüße 🦀"},
                    {"connectionId": "python", "message": "AP8=", "encoding": "base64"},
                    {"close": {"connectionId": "python", "code": 4002, "reason": "done", "clean": True}},
                ])
                self.assertEqual([event.event for event in read], ["message"] * 4)
                self.assertEqual(read[0].retry, 2000)
                self.assertEqual(sorted({event.id for event in read}), [event.id for event in read])

    async def test_compression_is_offered_in_vain_and_fragments_are_joined(self):
        with Tap() as tap:
            async with websockets.connect(f"{tap.ws}?connectionId=a&ack=1") as socket:
                self.assertNotIn("Sec-WebSocket-Extensions", socket.response.headers)
                await socket.send(["one ", "two ", "three"])
                ack = json.loads(await socket.recv())["ack"]
                event = httpx.get(f"{tap.url}/api/events/{ack}").json()
                self.assertEqual((event["message"], event["size"]), ("one two three", 13))

    async def test_a_close_by_the_server_is_clean_for_its_client(self):
        with Tap() as tap:
            async with websockets.connect(f"{tap.ws}?connectionId=a") as socket:
                answer = httpx.post(f"{tap.url}/api/connections/a/messages", json={"hello": [1, 2]})
                self.assertEqual(answer.status_code, 202)
                self.assertEqual(json.loads(await socket.recv()), {"hello": [1, 2]})
                self.assertEqual(httpx.delete(f"{tap.url}/api/connections/a?code=4005&reason=bye").status_code, 204)
                with self.assertRaises(websockets.ConnectionClosedError) as closed:
                    await socket.recv()
                self.assertEqual((closed.exception.rcvd.code, closed.exception.rcvd.reason), (4005, "bye"))
            last = httpx.get(f"{tap.url}/api/events?last=1&kind=close").json()[0]
            self.assertEqual(last["close"], {"code": 4005, "reason": "bye", "clean": True, "by": "tap"})

    async def test_a_message_that_is_too_large_is_told_to_its_sender(self):
        with Tap("--max-message-bytes", "1000") as tap:
            # Not "async with": where the server has gone in the middle of a send, websockets 15 stumbles
            # over its own transport when it closes once more (AttributeError in its send_context).
            socket = await websockets.connect(f"{tap.ws}?connectionId=a")
            with self.assertRaises(websockets.ConnectionClosedError) as closed:
                await socket.send("x" * 5_000_000)
                await socket.recv()
            self.assertEqual(closed.exception.rcvd.code, 1009)

    async def test_a_refusal_before_the_handshake_has_its_reason(self):
        with Tap("--max-connections", "1") as tap:
            async with websockets.connect(tap.ws):
                with self.assertRaises(websockets.InvalidStatus) as refused:
                    await websockets.connect(tap.ws)
                self.assertEqual(refused.exception.response.status_code, 503)
                self.assertEqual(json.loads(refused.exception.response.body)["code"], "full")

    async def test_a_stop_is_told_to_every_client(self):
        with Tap() as tap:
            async with websockets.connect(f"{tap.ws}?connectionId=a") as socket:
                tap.process.terminate()
                with self.assertRaises(websockets.ConnectionClosedOK) as closed:
                    await socket.recv()
                self.assertEqual(closed.exception.rcvd.code, 1001)
            self.assertEqual(tap.process.wait(LIMIT), 0)

    async def test_a_client_written_to_the_readme_of_channelize_works(self):
        with Tap() as tap:
            async with websockets.connect(f"{tap.ws}?ping=time", ping_interval=None) as socket:
                subscribe = json.dumps({"type": "subscribe", "params": {"channels": ["news", "alerts"]}}, indent=2)
                await socket.send(subscribe)
                while len(httpx.get(f"{tap.url}/api/channels").json()) < 2:
                    await asyncio.sleep(0.01)
                self.assertEqual(httpx.post(f"{tap.url}/api/channels/news/messages", json={"n": 1.5}).status_code, 202)
                self.assertEqual(json.loads(await socket.recv()), {"channel": "news", "data": {"n": 1.5}})
                # Its clients may write their commands in binary frames, too.
                await socket.send(json.dumps({"type": "unsubscribe", "params": {"channels": ["news"]}}).encode())
                while len(httpx.get(f"{tap.url}/api/channels").json()) > 1:
                    await asyncio.sleep(0.01)
                httpx.post(f"{tap.url}/api/channels/news/messages", json=1)
                httpx.post(f"{tap.url}/api/channels/alerts/messages", json=2)
                self.assertEqual(json.loads(await socket.recv()), {"channel": "alerts", "data": 2})

    async def test_curl_reads_the_stream_line_by_line(self):
        with Tap() as tap:
            curl = await asyncio.create_subprocess_exec("curl", "-sN", f"{tap.url}/events", stdout=subprocess.PIPE)
            self.assertEqual(await curl.stdout.readline(), b": wstap\n")
            async with websockets.connect(f"{tap.ws}?connectionId=a"):
                lines = [await curl.stdout.readline() for _ in range(3)]
            self.assertEqual(lines[0], b"retry: 2000\n")
            self.assertRegex(lines[1], rb"^id: \d+-\d+\n$")
            self.assertEqual(lines[2], b'data: {"connectionId":"a"}\n')
            curl.terminate()
            await curl.wait()

    async def test_curl_gets_heads_options_and_errors(self):
        with Tap() as tap:
            def curl(*arguments):
                return subprocess.run(["curl", "-s", *arguments], capture_output=True, text=True, timeout=LIMIT).stdout

            head = curl("-I", f"{tap.url}/events")
            self.assertIn("200 OK", head)
            self.assertIn("content-type: text/event-stream", head)
            options = curl("-i", "-X", "OPTIONS", "-H", "Origin: http://localhost:3000", f"{tap.url}/events")
            self.assertIn("204 No Content", options)
            self.assertIn("access-control-allow-origin: *", options)
            missing = curl("-i", f"{tap.url}/nothing")
            self.assertIn("404 Not Found", missing)
            self.assertIn('"code":"not_found"', missing)
            self.assertIn("HTTP/1.0 200 OK", curl("-0", "-i", "--max-time", "1", f"{tap.url}/events"))


if __name__ == "__main__":
    unittest.main()
