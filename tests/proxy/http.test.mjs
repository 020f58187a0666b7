// The plain HTTP of the server behind: pages, streams, uploads, and what a proxy must refuse.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import test from "node:test";

import { front, serve, until, within } from "./harness.mjs";

/** Asks, and gives back the answer with its body in parts as they come. */
async function ask(url, { body, ...options } = {}) {
  const asked = request(url, { agent: new Agent(), ...options });
  asked.end(body);
  const [answer] = await within("an answer", once(asked, "response"));
  return answer;
}

async function read(answer) {
  const parts = [];
  for await (const part of answer) parts.push(part);
  return Buffer.concat(parts);
}

/** Sends bytes as they are; gives back all that comes until the other side closes or `enough`. */
async function raw(url, bytes, enough = () => false) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port });
  let answer = "";
  socket.setEncoding("latin1").on("data", (data) => { answer += data; });
  socket.on("error", () => {});
  const closed = once(socket, "close");
  socket.write(bytes);
  await within(`an answer to ${JSON.stringify(bytes)}`, Promise.race([closed, until("enough", () => enough(answer))]));
  socket.destroy();
  return answer;
}

const curl = async (...args) => {
  const child = spawn("curl", ["-s", "--max-time", "15", ...args], { stdio: ["ignore", "pipe", "ignore"] });
  return String(await read(child.stdout));
};

test("server_sent_events_of_the_upstream_come_one_by_one", async (t) => {
  let send;
  const { url } = await serve(t, (asked, answer) => {
    answer.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    answer.flushHeaders();
    send = (word) => answer.write(`data: ${word}\n\n`);
    asked.on("close", () => { send = null; });
  });
  const tap = await front(t, url);

  // The head is here before the first event is sent, and each event before the next one.
  const answer = await ask(`${tap.url}/stream`);
  assert.equal(answer.headers["content-type"], "text/event-stream");
  const parts = answer[Symbol.asyncIterator]();
  for (const word of ["one", "two", "three"]) {
    send(word);
    assert.equal(String((await within(word, parts.next())).value), `data: ${word}\n\n`);
  }
  // Who leaves is gone for the server too.
  answer.destroy();
  await until("the end of the request", () => send === null);
});

test("the_paths_of_the_observers_belong_to_the_upstream", async (t) => {
  const { url } = await serve(t, (asked, answer) => answer.end(`upstream ${asked.url}`));
  const tap = await front(t, url);
  for (const path of ["/", "/events", "/api/info", "/metrics", "/healthz", "/ws", "/es-client", "/listen", "/api/connections"]) {
    assert.equal(String(await read(await ask(tap.url + path))), `upstream ${path}`);
    const seen = String(await read(await ask(tap.observers + (path === "/events" || path === "/listen" ? "/nothing" : path))));
    assert.ok(!seen.startsWith("upstream"), `${path} of the observers: ${seen}`);
  }
});

test("uploads_and_downloads_are_streamed_both_ways_at_once", async (t) => {
  const { url } = await serve(t, (asked, answer) => {
    answer.writeHead(200);
    asked.pipe(answer);
  });
  const tap = await front(t, url);
  const asked = request(tap.url, { method: "POST", agent: new Agent() });
  asked.write("first ");
  const [answer] = await within("an answer before the end of the question", once(asked, "response"));
  const parts = answer[Symbol.asyncIterator]();
  assert.equal(String((await within("the first part", parts.next())).value), "first ");
  asked.write("second");
  assert.equal(String((await within("the second part", parts.next())).value), "second");
  asked.end();
  assert.ok((await within("the end", parts.next())).done);
});

test("64_mib_go_up_and_down_unchanged", async (t) => {
  const block = Buffer.alloc(1 << 20, "0123456789abcdef✓");
  const whole = createHash("sha256");
  for (let n = 0; n < 64; n += 1) whole.update(block);
  const expected = whole.digest("hex");
  const { url } = await serve(t, async (asked, answer) => {
    if (asked.method === "PUT") {
      const seen = createHash("sha256");
      for await (const part of asked) seen.update(part);
      return answer.end(JSON.stringify([asked.headers["content-length"] ?? asked.headers["transfer-encoding"], seen.digest("hex")]));
    }
    answer.writeHead(200, asked.url === "/sized" ? { "content-length": 64 << 20 } : {});
    for (let n = 0; n < 64; n += 1) if (!answer.write(block)) await once(answer, "drain");
    answer.end();
  });
  const tap = await front(t, url);
  for (const [path, length] of [["/sized", String(64 << 20)], ["/chunked", undefined]]) {
    const answer = await ask(tap.url + path);
    assert.equal(answer.headers["content-length"], length);
    const seen = createHash("sha256");
    for await (const part of answer) seen.update(part);
    assert.equal(seen.digest("hex"), expected, path);
  }
  for (const headers of [{ "content-length": 64 << 20 }, { "transfer-encoding": "chunked" }]) {
    const asked = request(tap.url, { method: "PUT", headers, agent: new Agent() });
    const answered = once(asked, "response");
    for (let n = 0; n < 64; n += 1) if (!asked.write(block)) await once(asked, "drain");
    asked.end();
    const [length, seen] = JSON.parse(await read((await within("an answer", answered))[0]));
    assert.deepEqual([length, seen], [String(Object.values(headers)[0]), expected]);
  }
});

test("head_options_and_not_modified_have_no_body_and_keep_their_headers", async (t) => {
  const { url } = await serve(t, (asked, answer) => {
    if (asked.headers["if-none-match"] === '"v1"') return answer.writeHead(304, { etag: '"v1"' }).end();
    if (asked.method === "OPTIONS") return answer.writeHead(204, { allow: "GET" }).end();
    answer.writeHead(200, { "content-length": 5, etag: '"v1"', "content-type": "text/x-odd" }).end(asked.method === "HEAD" ? undefined : "hello");
  });
  const tap = await front(t, url);
  // One connection carries all three, so that a body too much would be seen.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (const [options, status, length, body] of [
    [{ method: "HEAD" }, 200, "5", ""],
    [{ method: "GET", headers: { "if-none-match": '"v1"' } }, 304, undefined, ""],
    [{ method: "OPTIONS" }, 204, undefined, ""],
    [{ method: "GET" }, 200, "5", "hello"],
  ]) {
    const answer = await ask(tap.url, { ...options, agent });
    assert.equal(String(await read(answer)), body);
    assert.equal(answer.statusCode, status);
    assert.equal(answer.headers["content-length"], length);
  }
});

test("100_continue_comes_from_the_upstream", async (t) => {
  let allowed = 0;
  const { server, url } = await serve(t, async (asked, answer) => answer.end(`${(await read(asked)).length} bytes`));
  server.on("checkContinue", async (asked, answer) => {
    if (asked.url === "/no") return answer.writeHead(413, { connection: "close" }).end("too much");
    allowed += 1;
    answer.writeContinue();
    answer.end(`${(await read(asked)).length} bytes`);
  });
  const tap = await front(t, url);
  const body = `data-binary=${"x".repeat(100_000)}`;
  const expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "10", "--data-binary", body];
  assert.equal(await curl("-w", " %{http_code} %{size_upload}", ...expect, `${tap.url}/yes`), `${body.length} bytes 200 ${body.length}`);
  assert.equal(allowed, 1, "the upstream was asked");
  const refused = await curl("-w", " %{http_code}", ...expect, `${tap.url}/no`);
  assert.match(refused, /too much 413$/);
});

test("trailers_pass_in_both_directions", async (t) => {
  const { url } = await serve(t, async (asked, answer) => {
    const body = await read(asked);
    answer.writeHead(200, { trailer: "x-sum", "transfer-encoding": "chunked" });
    answer.write(body);
    answer.addTrailers({ "x-sum": asked.trailers["x-sum"] ?? "none" });
    answer.end();
  });
  const tap = await front(t, url);
  const asked = request(tap.url, { method: "POST", headers: { trailer: "x-sum", te: "trailers", "transfer-encoding": "chunked" }, agent: new Agent() });
  const answered = once(asked, "response");
  asked.write("body");
  asked.addTrailers({ "x-sum": "4" });
  asked.end();
  const [answer] = await within("an answer", answered);
  assert.equal(String(await read(answer)), "body");
  assert.equal(answer.trailers["x-sum"], "4");
});

test("headers_of_one_hop_stay_there", async (t) => {
  let seen;
  const { url } = await serve(t, (asked, answer) => {
    seen = asked;
    answer.writeHead(200, { connection: "close, x-own", "x-own": "hop", "x-end": "kept", "set-cookie": ["a=1", "b=2"], server: "upstream/1" }).end("ok");
  });
  const tap = await front(t, url);
  const headers = { connection: "keep-alive, x-private", "x-private": "hop", "keep-alive": "timeout=5", "proxy-connection": "keep-alive", te: "gzip", "x-end": "kept", "x-forwarded-for": "192.0.2.1", "accept-encoding": "br" };
  const answer = await ask(`${tap.url}/a?b=%2F`, { headers });
  assert.equal(String(await read(answer)), "ok");
  assert.equal(seen.url, "/a?b=%2F");
  for (const name of ["x-private", "keep-alive", "proxy-connection", "te"]) assert.equal(seen.headers[name], undefined, name);
  assert.equal(seen.headers["x-end"], "kept");
  assert.equal(seen.headers["accept-encoding"], "br");
  // An upstream on this machine gets the Host of the client: checks of the same origin pass.
  assert.equal(seen.headers.host, new URL(tap.url).host);
  assert.match(seen.headers["x-forwarded-for"], /127\.0\.0\.1$/);
  assert.equal(answer.headers["x-own"], undefined);
  assert.equal(answer.headers["x-end"], "kept");
  assert.equal(answer.headers.server, "upstream/1");
  assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
});

test("requests_that_two_servers_would_cut_differently_are_refused", async (t) => {
  const reached = [];
  const { url } = await serve(t, (asked, answer) => {
    reached.push(asked.url);
    answer.end("ok");
  });
  const tap = await front(t, url);
  const head = "Host: localhost\r\nConnection: close\r\n";
  const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
  const tricks = {
    "both lengths": `POST /t HTTP/1.1\r\n${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    "two lengths": `POST /t HTTP/1.1\r\n${head}Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    "a length with a sign": `POST /t HTTP/1.1\r\n${head}Content-Length: +${smuggled.length}\r\n\r\n${smuggled}`,
    "a space before the colon": `POST /t HTTP/1.1\r\n${head}Content-Length : ${smuggled.length}\r\n\r\n${smuggled}`,
    "a folded header": `POST /t HTTP/1.1\r\n${head}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    "a coding after chunked": `POST /t HTTP/1.1\r\n${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
    "an unknown coding": `POST /t HTTP/1.1\r\n${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
    "a chunk size with a sign": `POST /t HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n${smuggled}`,
    "a chunk size that wraps": `POST /t HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n${smuggled}`,
    "a line feed in a header": `GET /t HTTP/1.1\r\n${head}X: a\rContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  };
  for (const [name, bytes] of Object.entries(tricks)) {
    const answer = await raw(tap.url, bytes, (answer) => answer.includes("\r\n\r\n"));
    // A body that turns out to be odd may be refused by ending the connection.
    assert.ok(answer === "" || /^HTTP\/1\.1 (400|501|502) /.test(answer), `${name}: ${answer}`);
    assert.ok(!reached.includes("/smuggled"), `${name}: the upstream was asked for /smuggled`);
  }
  assert.match(await raw(tap.url, `GET /after HTTP/1.1\r\n${head}\r\n`), /^HTTP\/1\.1 200 /);
});

test("an_upstream_that_is_not_there_is_502_with_a_reason_and_comes_back", async (t) => {
  const { server, url } = await serve(t, (_, answer) => answer.end("ok"));
  const tap = await front(t, url);
  const { port } = new URL(url);
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  const answer = await ask(tap.url);
  assert.equal(answer.statusCode, 502);
  assert.equal(answer.headers["content-type"], "application/problem+json");
  assert.equal(JSON.parse(await read(answer)).code, "unavailable");
  server.listen(Number(port), "127.0.0.1");
  assert.equal(String(await read(await ask(tap.url))), "ok");
});

test("an_answer_that_breaks_off_is_not_made_whole", async (t) => {
  const { url } = await serve(t, (asked, answer) => {
    answer.writeHead(200, asked.url === "/sized" ? { "content-length": 1000 } : {});
    answer.write("half of it");
    setImmediate(() => answer.destroy());
  });
  const tap = await front(t, url);
  for (const path of ["/sized", "/chunked"]) {
    await assert.rejects(async () => read(await ask(tap.url + path)), /aborted|ECONNRESET|socket hang up/, path);
  }
});

test("a_thousand_requests_on_kept_connections_each_get_their_own_answer", async (t) => {
  const { url } = await serve(t, async (asked, answer) => {
    const body = await read(asked);
    answer.end(`${asked.method} ${asked.url} ${body}`);
  });
  const tap = await front(t, url);
  const agent = new Agent({ keepAlive: true, maxSockets: 10 });
  t.after(() => agent.destroy());
  await Promise.all(Array.from({ length: 1000 }, async (_, n) => {
    const options = n % 2 ? { method: "POST", body: `body ${n}` } : {};
    const answer = await ask(`${tap.url}/${n}`, { ...options, agent });
    assert.equal(String(await read(answer)), n % 2 ? `POST /${n} body ${n}` : `GET /${n} `);
  }));
});

test("connections_that_the_upstream_has_ended_cost_no_request", async (t) => {
  const { url } = await serve(t, (_, answer) => {
    // It says nothing of ending, and ends.
    answer.end("ok", () => setImmediate(() => answer.req.socket.destroy()));
  });
  const tap = await front(t, url);
  for (let n = 0; n < 200; n += 1) assert.equal(String(await read(await ask(`${tap.url}/${n}`))), "ok");
});

test("a_request_for_another_server_goes_to_the_upstream_all_the_same", async (t) => {
  const { url } = await serve(t, (asked, answer) => answer.end(`${asked.method} ${asked.url} at ${asked.headers.host}`));
  const tap = await front(t, url);
  const host = new URL(url).host;
  const whole = (answer) => answer.includes(" at ");
  assert.match(await raw(tap.url, "GET http://other.example/a?b HTTP/1.1\r\nHost: other.example\r\n\r\n", whole), /GET \/a\?b at other\.example/);
  assert.match(await raw(tap.url, "GET /old HTTP/1.0\r\n\r\n", whole), new RegExp(`^HTTP/1\\.. 200 [^]*GET /old at ${host}`));
  assert.match(await raw(tap.url, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", whole), /OPTIONS \* at x/);
  const tunnel = await raw(tap.url, "CONNECT other.example:80 HTTP/1.1\r\nHost: other.example:80\r\nConnection: close\r\n\r\n", (answer) => answer.includes("\r\n\r\n"));
  assert.doesNotMatch(tunnel, /^HTTP\/1\.1 2/);
});

test("long_heads_pass", async (t) => {
  const { url } = await serve(t, (asked, answer) => answer.writeHead(200, { "x-long": asked.headers["x-long"] }).end(String(asked.url.length)));
  const tap = await front(t, url);
  const long = "x".repeat(8000);
  const answer = await ask(`${tap.url}/${"y".repeat(4000)}`, { headers: { "x-long": long } });
  assert.equal(String(await read(answer)), "4001");
  assert.equal(answer.headers["x-long"], long);
});
