// Plain HTTP through reverse proxies: wstap (release build, default flags), nginx and HAProxy, in the same run.
//
//   node benches/http/run.mjs [--rounds 3] [--seconds 4] [--gigabytes 1]
//
// wrk keeps 32 requests in flight, over connections that stay and over a connection for each request; curl
// moves a gigabyte each way. The proxies take turns, and each figure is the median of the rounds. Each has the
// first processor; wrk, curl and the origin share the second one. The origin is nginx, and for uploads Node.
// Of nginx, `proxy_pass` without and with `keepalive` is measured; of HAProxy `http-reuse never`, one upstream
// connection for each client as in wstap, and `http-server-close`, one for each request.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort } from "../../tests/applications/process.mjs";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "3" }, seconds: { type: "string", default: "4" }, gigabytes: { type: "string", default: "1" } } });
const [rounds, seconds, gigabytes] = [values.rounds, values.seconds, values.gigabytes].map(Number);
const WSTAP = process.env.WSTAP_BINARY ?? new URL("../../target/release/wstap", import.meta.url).pathname;
const CONNECTIONS = 32;

const folder = mkdtempSync(join(tmpdir(), "wstap-http-"));
const large = join(folder, "large");
writeFileSync(large, "");
truncateSync(large, gigabytes * 1e9);
const started = [];
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };

/** Starts a program on a processor, and waits until its port answers. */
async function start(processor, port, program, ...args) {
  const child = spawn("taskset", ["-c", processor, program, ...args], { env, stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  child.stderr.on("data", (data) => { words = (words + data).slice(-4096); });
  started.push(child);
  for (let tries = 0; ; tries += 1) {
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise((done) => socket.once("connect", () => done(true)).once("error", () => done(false)));
    socket.destroy();
    if (open) return child;
    if (tries > 200 || child.exitCode !== null) throw new Error(`${program} does not listen: ${words}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

/** Runs nginx with one process. */
function nginx(processor, name, port, http) {
  const file = join(folder, `${name}.conf`);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((part) => `${part}_temp_path ${folder}/${name}-${part};`).join(" ");
  writeFileSync(file, `daemon off; master_process off; pid ${folder}/${name}.pid; error_log stderr crit; events { worker_connections 4096; }\nhttp { access_log off; keepalive_requests 1000000000; ${paths} ${http} }\n`);
  return start(processor, port, "nginx", "-c", file);
}

function haproxy(name, port, origin, upload, option) {
  const file = join(folder, `${name}.cfg`);
  writeFileSync(file, `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  ${option}
frontend in
  bind 127.0.0.1:${port}
  use_backend uploads if { path /upload }
  default_backend origin
backend origin
  server one 127.0.0.1:${origin}
backend uploads
  server one 127.0.0.1:${upload}
`);
  return start("0", port, "haproxy", "-f", file);
}

function throughNginx(name, port, origin, upload, keepalive) {
  const kept = keepalive ? 'proxy_http_version 1.1; proxy_set_header Connection "";' : "";
  const upstream = (label, at) => `upstream ${label} { server 127.0.0.1:${at}; ${keepalive ? `keepalive ${CONNECTIONS};` : ""} }`;
  return nginx("0", name, port, `${upstream("origin", origin)} ${upstream("uploads", upload)}
server { listen 127.0.0.1:${port}; client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0; ${kept}
  location / { proxy_pass http://origin; } location /upload { proxy_http_version 1.1; proxy_pass http://uploads; } }`);
}

function wstap(port, tap, origin, upload) {
  const file = join(folder, "wstap.toml");
  writeFileSync(file, `[[upstream]]\npath = "/upload"\nurl = "http://127.0.0.1:${upload}"\n`);
  return start("0", port, WSTAP, "--upstream", `http://127.0.0.1:${origin}`, "--config", file, "--listen", `127.0.0.1:${port}`, "--tap-listen", `127.0.0.1:${tap}`);
}

/** Processor seconds that a process has used. */
function used({ pid }) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** wrk's rate, 99th percentile in ms, and microseconds of the proxy's processor for each request. */
function requests(child, port, isKept) {
  const args = ["-c", "1", "wrk", "-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "--latency", ...(isKept ? [] : ["-H", "Connection: close"]), `http://127.0.0.1:${port}/`];
  const before = used(child);
  const words = execFileSync("taskset", args, { encoding: "utf8" });
  const cpu = used(child) - before;
  const [, total] = /(\d+) requests in/.exec(words);
  const [, p99, unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(words);
  if (/Non-2xx/.test(words)) throw new Error(words);
  // Without keep-alive wrk counts the end of each connection as an error of reading, and only that.
  if (/connect [1-9]|write [1-9]|timeout [1-9]/.test(words)) throw new Error(words);
  return { rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(words)[1]), p99: Number(p99) * { us: 1e-3, ms: 1, s: 1e3 }[unit], cpu: (cpu / Number(total)) * 1e6 };
}

/** Bytes a second of curl, and processor seconds of the proxy. */
function transfer(child, port, isUpload) {
  const what = isUpload ? ["-T", large, "-H", "Expect:", `http://127.0.0.1:${port}/upload`] : [`http://127.0.0.1:${port}/large`];
  const before = used(child);
  const { stdout, status } = spawnSync("taskset", ["-c", "1", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_upload} %{size_download} %{time_total}", ...what], { encoding: "utf8" });
  const [code, up, down, time] = stdout.split(" ").map(Number);
  if (status !== 0 || code !== 200 || (isUpload ? up : down) !== gigabytes * 1e9) throw new Error(`curl: ${status} ${stdout}`);
  return { rate: gigabytes / time, cpu: used(child) - before };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

try {
  const [origin, upload, tap, ...ports] = await Promise.all(Array.from({ length: 8 }, freePort));
  await nginx("1", "origin", origin, `server { listen 127.0.0.1:${origin}; location / { return 200 "${"x".repeat(128)}"; } location /large { alias ${large}; } }`);
  const server = `require("http").createServer((request, response) => { request.resume(); request.on("end", () => response.end("ok")); }).listen(${upload}, "127.0.0.1")`;
  await start("1", upload, process.execPath, "-e", server);
  const proxies = [
    ["wstap", await wstap(ports[0], tap, origin, upload)],
    ["nginx, no `keepalive`", await throughNginx("closing", ports[1], origin, upload, false)],
    ["nginx, `keepalive`", await throughNginx("keeping", ports[2], origin, upload, true)],
    ["HAProxy, `http-reuse never`", await haproxy("never", ports[3], origin, upload, "http-reuse never")],
    ["HAProxy, `http-server-close`", await haproxy("close", ports[4], origin, upload, "option http-server-close")],
  ].map(([name, child], n) => ({ name, child, port: ports[n], kept: [], fresh: [], down: [], up: [] }));
  for (let round = 0; round < rounds; round += 1) {
    for (const { child, port, kept, fresh, down, up } of proxies) {
      kept.push(requests(child, port, true));
      fresh.push(requests(child, port, false));
      down.push(transfer(child, port, false));
      up.push(transfer(child, port, true));
    }
  }
  const of = (list, figure) => median(list.map((one) => one[figure]));
  const [first] = proxies;
  const beside = (proxy, way, figure) => (of(first[way], figure) / of(proxy[way], figure)).toFixed(2);
  const version = (program, ...args) => /[\d.]+\d/.exec(Object.values(spawnSync(program, args, { env, encoding: "utf8" })).filter((part) => typeof part === "string").join(" "))[0];
  console.log(`nginx ${version("nginx", "-v")}, HAProxy ${version("haproxy", "-v")}, wrk with ${CONNECTIONS} connections, ${rounds} rounds of ${seconds} s\n`);
  for (const [way, title] of [["kept", "kept"], ["fresh", "one a request"]]) {
    console.log(`| connections of clients: ${title} | requests/s | p99 | processor, a request | wstap: rate | p99 | processor |\n|---|---:|---:|---:|---:|---:|---:|`);
    for (const proxy of proxies) console.log(`| ${proxy.name} | ${of(proxy[way], "rate").toFixed(0)} | ${of(proxy[way], "p99").toFixed(2)} ms | ${of(proxy[way], "cpu").toFixed(1)} µs | ${beside(proxy, way, "rate")} | ${beside(proxy, way, "p99")} | ${beside(proxy, way, "cpu")} |`);
    console.log("");
  }
  console.log(`| ${gigabytes} GB | down | processor | up | processor | wstap: down | processor | up | processor |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|`);
  for (const proxy of proxies) {
    console.log(`| ${proxy.name} | ${["down", "up"].map((way) => `${of(proxy[way], "rate").toFixed(2)} GB/s | ${of(proxy[way], "cpu").toFixed(2)} s`).join(" | ")} | ${["down", "up"].map((way) => `${beside(proxy, way, "rate")} | ${beside(proxy, way, "cpu")}`).join(" | ")} |`);
  }
} finally {
  for (const child of started) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
