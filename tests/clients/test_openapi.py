"""What the server says of its HTTP side, held against it by schemathesis: every answer has a status,
a media type, fields and a body that are described; what the description forbids is refused, and what
it allows is taken; nothing that it makes up is a 500."""

import asyncio
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import httpx
import jsonschema_rs
import openapi_spec_validator
import websockets
from test_clients import Tap

HERE = Path(__file__).parent
LIMIT = 110


async def stays(url):
    """A client that comes back whenever it is closed. It is what DELETE finds."""
    while True:
        try:
            async with websockets.connect(url, max_queue=None) as socket:
                await socket.send('{"type":"subscribe","params":{"channels":["news"]}}')
                await socket.wait_closed()
        except (OSError, websockets.WebSocketException):
            pass
        await asyncio.sleep(0.02)


def references(value):
    """All that a document refers to."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        if isinstance(value.get("discriminator"), dict):
            yield from value["discriminator"].get("mapping", {}).values()
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inside:
        yield from references(one)


class OpenApi(unittest.IsolatedAsyncioTestCase):
    async def test_schemathesis_finds_nothing(self):
        with Tap("--history-events", "1000") as tap, tempfile.TemporaryDirectory() as folder:
            client = asyncio.create_task(stays(f"{tap.ws}?connectionId=a"))
            command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml")]
            command += ["run", f"{tap.url}/api/openapi.json", "--url", tap.url, "--no-color"]
            # It leaves things where it runs.
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            running = await asyncio.create_subprocess_exec(*command, cwd=folder, **pipes)
            try:
                words, _ = await asyncio.wait_for(running.communicate(), LIMIT)
            finally:
                client.cancel()
                if running.returncode is None:
                    running.kill()
            words = words.decode()
            self.assertEqual(running.returncode, 0, words)
            self.assertRegex(words, r"Test cases:\s+\d{3,} generated, \d+ passed")

    async def test_both_descriptions_are_what_they_claim_to_be(self):
        with Tap() as tap:
            http, frames = (httpx.get(f"{tap.url}/api/{name}.json").json() for name in ("openapi", "asyncapi"))
        openapi_spec_validator.validate(http)
        asyncapi = json.loads((HERE.parent / "pages/node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text())
        self.assertEqual([str(fault) for fault in jsonschema_rs.validator_for(asyncapi).iter_errors(frames)], [])
        for document in (http, frames):
            for reference in references(document):
                found = document
                for part in reference.removeprefix("#/").split("/"):
                    found = found[part]

    async def test_streams_begin_as_they_are_described(self):
        with Tap() as tap:
            async with asyncio.timeout(LIMIT), httpx.AsyncClient(base_url=tap.url) as http:
                stream = (await http.get("/api/openapi.json")).json()["paths"]["/events"]["get"]
                media = set(stream["responses"]["200"]["content"])
                seen = set()
                for parameter in stream["parameters"]:
                    schema = parameter["schema"]
                    values = schema.get("enum") or schema.get("items", {}).get("enum") or [parameter["example"]]
                    for value in values:
                        given = {"params" if parameter["in"] == "query" else "headers": {parameter["name"]: str(value[0] if isinstance(value, list) else value)}}
                        async with http.stream("GET", "/events", **given) as answer:
                            self.assertEqual(answer.status_code, 200, given)
                            kind = answer.headers["content-type"].split(";")[0]
                            self.assertIn(kind, media)
                            seen.add(kind)
                            self.assertTrue(await anext(answer.aiter_bytes()))
                    if parameter["in"] == "query" and parameter["name"] != "last_event_id":
                        answer = await http.get("/events", params={parameter["name"]: "\0"})
                        self.assertEqual((answer.status_code, answer.json()["code"]), (400, "malformed"), parameter)
                self.assertEqual(seen, media)


if __name__ == "__main__":
    unittest.main()
