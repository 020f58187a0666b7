"""Python's websockets on both sides of wstap: as without it, and told."""

import asyncio
import base64
import contextlib
import http
import json
import logging
import os
import random
import re
import subprocess
import unittest
from pathlib import Path

import httpx
import websockets
from websockets.asyncio.server import serve

BINARY = os.environ.get("WSTAP_BINARY", str(Path(__file__).parents[2] / "target/debug/wstap"))
LIMIT = 20


class Tap:
    """wstap in front of a server, on free ports, with all that it tells."""

    def __init__(self, upstream, *flags):
        addresses = ["--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0"]
        self.process = subprocess.Popen([BINARY, "--upstream", upstream, *addresses, *flags], stderr=subprocess.PIPE, text=True)
        words = ""
        while not (observers := re.search(r"(http:\S+)/events\s", words)):
            line = self.process.stderr.readline()
            assert line, words
            words += line
        self.observers = observers[1]
        self.ws = "ws" + re.search(r"(?:http|ws)(://[^\s/]+)", words)[1]
        self.events = []

    async def __aenter__(self):
        self.client = httpx.AsyncClient(timeout=None)
        request = self.client.build_request("GET", f"{self.observers}/events?format=ndjson")
        self.stream = await self.client.send(request, stream=True)
        self.reader = asyncio.create_task(self.read())
        return self

    async def read(self):
        async for line in self.stream.aiter_lines():
            if line.strip():
                self.events.append(json.loads(line))

    async def __aexit__(self, *_):
        self.reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.reader
        await self.stream.aclose()
        await self.client.aclose()
        self.process.terminate()
        self.process.wait(LIMIT)
        self.process.stderr.close()

    async def over(self, count=1):
        """Waits for the ends of so many connections; returns the last one's events."""
        while len(self.of("close")) < count:
            assert not self.reader.done(), self.events
            await asyncio.sleep(0.01)
        return self.of("connect"), self.of("message"), self.of("close")

    def of(self, kind):
        return [event for event in self.events if event["kind"] == kind]


class Through(unittest.IsolatedAsyncioTestCase):
    @contextlib.asynccontextmanager
    async def through(self, handler, *, flags=(), **options):
        """A server and wstap in front of it, for a while."""
        async with asyncio.timeout(LIMIT), serve(handler, "127.0.0.1", 0, **options) as server:
            port = server.sockets[0].getsockname()[1]
            async with Tap(f"ws://127.0.0.1:{port}", *flags) as tap:
                yield tap

    async def test_compressed_fragmented_and_binary_messages_are_read(self):
        async def echo(socket):
            async for message in socket:
                await socket.send(message)

        said = ["grüße 🦀", "", "x" * 70_000, b"\x00\xff", b"", random.Random(1).randbytes(70_000), '{"a":[1.0,2]}', " [ 1 ] "]
        for compression in ["deflate", None]:
            with self.subTest(compression=compression):
                async with self.through(echo, compression=compression) as tap:
                    async with websockets.connect(f"{tap.ws}/chat", compression=compression) as socket:
                        for message in said:
                            await socket.send(message)
                            self.assertEqual(await socket.recv(), message)
                        await socket.send(["one ", "two ", "three"])
                        self.assertEqual(await socket.recv(), "one two three")
                    [connect], messages, [close] = await tap.over()
                    self.assertEqual("permessage-deflate" in (connect.get("extensions") or ""), compression is not None)
                    whole = [*said, "one two three"]
                    for direction in ["in", "out"]:
                        events = [event for event in messages if event["direction"] == direction]
                        self.assertEqual(len(events), len(whole))
                        for event, message in zip(events, whole):
                            self.expect(event, message)
                            self.assertEqual(bool(event.get("compressed")), compression is not None)
                    fragmented = [event for event in messages if event["direction"] == "in"][-1]
                    # The last frame of an iterator is empty.
                    self.assertGreaterEqual(fragmented["fragments"], 3)
                    self.assertEqual(close["messages"], {"in": len(whole), "out": len(whole)})
                    self.assertEqual((close["close"]["code"], close["close"]["clean"], close["close"]["by"]), (1000, True, "client"))

    def expect(self, event, message):
        if isinstance(message, bytes):
            self.assertEqual((event["opcode"], event["encoding"]), ("binary", "base64"))
            self.assertEqual(base64.b64decode(event["message"]), message)
            self.assertEqual(event["size"], len(message))
            return
        self.assertEqual(event["opcode"], "text")
        self.assertEqual(event["size"], len(message.encode()))
        if event["message"] != message:
            self.assertEqual(event["message"], json.loads(message))

    async def test_pings_pass_in_both_directions_and_are_told_when_asked_for(self):
        async def ping(socket):
            await (await socket.ping(b"from the server"))
            await socket.recv()

        async with self.through(ping, flags=["--tap-control"]) as tap:
            async with websockets.connect(tap.ws) as socket:
                self.assertGreater(await (await socket.ping(b"from the client")), 0)
                await socket.send("done")
                await socket.wait_closed()
            _, messages, _ = await tap.over()
            told = {(event["direction"], event["opcode"]) for event in messages}
            self.assertTrue({("in", "ping"), ("out", "pong"), ("out", "ping"), ("in", "pong")} <= told, told)

    async def test_pings_are_not_told_unasked(self):
        async def wait(socket):
            await socket.recv()

        async with self.through(wait) as tap:
            async with websockets.connect(tap.ws) as socket:
                await (await socket.ping())
                await socket.send("done")
            _, messages, _ = await tap.over()
            self.assertEqual([event["opcode"] for event in messages], ["text"])

    async def test_a_close_by_the_server_keeps_its_code_and_reason(self):
        async def leave(socket):
            await socket.close(4999, "grüße")

        async with self.through(leave) as tap:
            async with websockets.connect(tap.ws) as socket:
                with self.assertRaises(websockets.ConnectionClosedError) as closed:
                    await socket.recv()
                self.assertEqual((closed.exception.rcvd.code, closed.exception.rcvd.reason), (4999, "grüße"))
            _, _, [close] = await tap.over()
            self.assertEqual({"code": 4999, "reason": "grüße", "clean": True, "by": "server"}, close["close"])

    async def test_a_refusal_passes_with_its_body(self):
        def refuse(connection, request):
            return connection.respond(http.HTTPStatus.FORBIDDEN, "not you\n")

        async def never(socket):
            raise AssertionError("it was refused")

        async with self.through(never, process_request=refuse) as tap:
            with self.assertRaises(websockets.InvalidStatus) as refused:
                await websockets.connect(f"{tap.ws}/door")
            self.assertEqual((refused.exception.response.status_code, refused.exception.response.body), (403, b"not you\n"))
            connects, _, [close] = await tap.over()
            self.assertEqual((connects, close["status"], close["path"]), ([], 403, "/door"))

    async def test_what_one_side_sends_at_once_arrives_in_order(self):
        async def burst(socket):
            for n in range(5000):
                await socket.send(f"{n}")
            await socket.close()

        async with self.through(burst) as tap:
            async with websockets.connect(tap.ws) as socket:
                self.assertEqual([message async for message in socket], [f"{n}" for n in range(5000)])
            _, messages, [close] = await tap.over()
            missed = sum(event["missed"] for event in tap.of("gap"))
            self.assertEqual(len(messages) + missed, 5000)
            told = [int(event["message"]) for event in messages]
            self.assertEqual(told, sorted(told))
            self.assertEqual(close["messages"]["out"], 5000)

    async def test_64_mib_pass_though_no_event_could_hold_them(self):
        whole = random.Random(2).randbytes(64 << 20)

        async def echo(socket):
            await socket.send(await socket.recv())

        options = {"compression": None, "max_size": None, "ping_interval": None}
        async with self.through(echo, **options) as tap:
            async with websockets.connect(tap.ws, **options) as socket:
                await socket.send(whole)
                self.assertTrue(await socket.recv() == whole)
            _, messages, [close] = await tap.over()
            self.assertEqual([event["size"] for event in messages], [64 << 20] * 2)
            self.assertTrue(all("note" in event for event in messages), "what is left out is said")
            self.assertEqual(close["close"]["code"], 1000)


if __name__ == "__main__":
    # unittest's loop tells what takes a tenth of a second; some of this is large.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    unittest.main()
