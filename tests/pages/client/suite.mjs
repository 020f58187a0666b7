// The tests of the client that hold in node and in browsers alike. `run` returns what became of each.
//
// `peer` is the server of peer.mjs, `tap` a real wstap. Nothing here is of node or of a page.

const LIMIT = 20_000;
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** Waits for a condition, and names it when it does not come. */
async function until(what, condition) {
  for (const end = Date.now() + LIMIT; ; await sleep(5)) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`${what} did not come`);
  }
}

function equal(found, expected, what = "") {
  const [one, other] = [found, expected].map((value) => JSON.stringify(value));
  if (one !== other) throw new Error(`${what} ${one} is not ${other}`);
}

const within = (promise, what) => Promise.race([promise, sleep(LIMIT).then(() => { throw new Error(`${what} did not come`); })]);

/** The code of the error that a promise is rejected with. */
const code = (promise) => within(promise, "a rejection").then((value) => { throw new Error(`it resolved with ${value}`); }, (error) => {
  if (typeof error.code !== "string") throw error;
  return error.code;
});

/** The tests, by name. Each gets its own key, and closes what it opens. */
const TESTS = {
  async "a frame is answered, and every end of a connection is known"({ connect, heard }) {
    const hub = connect("fair");
    equal(hub.state, "connecting");
    await within(hub.ready, "the connection");
    equal(hub.state, "open");
    equal(await hub.send("x"), "2-0");
    await within(hub.close(), "the end");
    equal(hub.state, "closed");
    equal(await code(hub.ready), "closed");
    equal(await code(hub.send("late")), "closed");
    equal((await heard())[0].frames.length, 2);
  },

  async "a server that never answers the handshake is given up and tried again"({ connect, states }) {
    const hub = connect("hanging", { timeout: 200 });
    const told = states(hub);
    await until("the second attempt", () => told.filter(({ state }) => state === "connecting").length > 1);
    equal(/did not answer within 0.2 s/.test(told.find(({ state }) => state === "waiting").words), true);
  },

  async "a server that accepts and does not register is given up, and the next one is used"({ connect, heard }) {
    const hub = connect("mute", { timeout: 300 });
    equal(await within(hub.send("x").then((id) => typeof id), "the answer"), "string");
    const sent = (await heard()).slice(0, -1).flatMap(({ frames }) => frames);
    equal(sent.every((frame) => frame.startsWith('{"type":"register"')), true, "nothing is sent before the registration is confirmed");
  },

  async "a server that dies without a word is noticed by the heartbeat"({ connect, heard, states }) {
    const hub = connect("deaf", { timeout: 2000, heartbeat: 100 });
    const told = states(hub);
    equal(await code(hub.send("lost")), "unsure");
    equal(await within(hub.send("x").then((id) => typeof id), "the answer of the next"), "string");
    equal(told.some(({ words }) => words === "the server was silent for too long"), true);
    const lost = (await heard()).find(({ frames }) => frames.includes("lost"));
    equal(lost.frames.some((frame) => /^\{"type":"ping","params":\{"id":\d+\}\}$/.test(frame)), true);
  },

  async "a server that answers heartbeats stays"({ connect, heard, states }) {
    const hub = connect("fair", { timeout: 5000, heartbeat: 20 });
    const told = states(hub);
    await until("five heartbeats", async () => (await heard())[0]?.frames.filter((frame) => /"ping"/.test(frame)).length >= 5);
    equal(told.map(({ state }) => state), ["connecting", "open"]);
    equal(await hub.send("x").then(() => "sent"), "sent");
  },

  async "no lie of a server is taken for an answer"({ connect, unhandled }) {
    const hub = connect("lying");
    const news = hub.channel("news");
    const errors = [];
    hub.on("error", ({ error }) => errors.push(error.code));
    equal(await within(news.subscribe(), "the first answer"), "2-0");
    equal(await Promise.all([hub.send("a"), hub.send("b"), hub.send("c")]), ["3-0", "4-0", "5-0"]);
    equal(errors.every((one) => one === "forged"), true);
    equal(unhandled, []);
  },

  async "a refused frame that nobody awaits is an error event, and no unhandled rejection"({ connect, unhandled }) {
    const hub = connect("refusing");
    const errors = [];
    hub.on("error", ({ error }) => errors.push(error.code));
    hub.send("x");
    hub.channel("a").publish(1);
    hub.channel("a").subscribe();
    hub.channel("a").unsubscribe();
    await until("the errors", () => errors.length === 4);
    equal(await code(hub.send("y")), "forbidden");
    equal(await code(Promise.all([hub.send("z")])), "forbidden");
    await sleep(20);
    equal([errors.length, unhandled.length], [4, 0]);
  },

  async "now() in a listener of the state is heard"({ Backoff, connect, states }) {
    const hub = connect("full", { backoff: new Backoff({ first: 3_600_000, random: () => 1 }) });
    const told = states(hub);
    hub.on("state", ({ state }) => { if (state === "waiting") hub.now(); });
    await within(hub.ready, "the second connection");
    equal(told.map(({ state }) => state), ["connecting", "waiting", "connecting", "open"]);
  },

  async "a refusal is final until somebody tries again"({ connect, states }) {
    const hub = connect("taken");
    const told = states(hub);
    equal(await code(hub.ready), "replaced");
    equal([hub.state, told.at(-1).status], ["ended", 4409]);
    equal(await code(hub.send("x")), "replaced");
    const ended = hub.ready;
    hub.now();
    await until("the second attempt", () => told.filter(({ state }) => state === "ended").length === 2);
    equal(await code(ended), "replaced");
  },

  async "without retry one attempt is made, whatever fails"({ connect, states }) {
    for (const [behaviour, options] of [["forbidden", {}], ["hanging", { timeout: 100 }], ["fair", { token: () => { throw new Error("none"); } }], ["fair", { timeout: 100, token: () => new Promise(() => {}) }]]) {
      const hub = connect(behaviour, { retry: false, ...options });
      const told = states(hub);
      await within(hub.ready.catch(() => {}), "the end");
      await sleep(30);
      equal(told.map(({ state }) => state), ["connecting", "ended"], behaviour);
    }
  },

  async "text, bytes and Blobs are sent as they are, in order, and odd values are refused"({ connect, heard }) {
    const hub = connect("fair");
    const shared = new Uint8Array([9, 1, 2, 9]).subarray(1, 3);
    const values = ["text", new Blob([new Uint8Array([3, 4])]), shared, new Uint8Array([5]).buffer, new DataView(new Uint8Array([6]).buffer), { a: 1, b: undefined, c: [null, "ü"] }, null, 0, false, new Date(0)];
    await within(Promise.all(values.map((value) => hub.send(value))), "the answers");
    const [{ frames }] = await heard();
    equal(frames.slice(1), ["text", { bytes: [3, 4] }, { bytes: [1, 2] }, { bytes: [5] }, { bytes: [6] }, '{"a":1,"c":[null,"ü"]}', "null", "0", "false", '"1970-01-01T00:00:00.000Z"']);
    const circular = {};
    circular.self = circular;
    const odd = [undefined, () => {}, Symbol("s"), 1n, NaN, Infinity, [undefined], { a: NaN }, { a: new Uint8Array(1) }, { a: new Blob([]) }, [new Map()], { a: { b: new Set() } }, { a: () => {} }, new Date(NaN), circular];
    for (const value of odd) {
      equal(await code(hub.send(value)), "malformed");
      equal(await code(hub.channel("news").publish(value)), "malformed");
    }
    const changed = new Uint8Array([1]);
    const sent = hub.send(changed);
    changed[0] = 2;
    await sent;
    equal((await heard())[0].frames.at(-1), { bytes: [1] });
    await hub.channel("news").publish(new Blob([new Uint8Array([0, 255])]));
    equal(JSON.parse((await heard())[0].frames.at(-1)).params, { channel: "news", message: "AP8=", encoding: "base64" });
  },

  async "close ends deliveries at once, and resolves though the server clings"({ connect }) {
    const hub = connect("talking");
    const told = [];
    let closed;
    hub.on("message", ({ data }) => {
      told.push(data);
      closed ??= hub.close();
    });
    hub.send("x");
    await until("a message", () => told.length > 0);
    await within(closed, "the end");
    await sleep(20);
    equal(told, ["m0"]);
    const clung = connect("clinging");
    await clung.send("x");
    await within(clung.close(), "the end of the other");
    equal(clung.state, "closed");
    const never = connect("hanging");
    await within(never.close(), "the end of what never began");
  },

  async "the secret stays the same for all connections, and is in no address and no log"({ connect, heard }) {
    const hub = connect("fair");
    const logged = [];
    hub.on("frame", ({ data }) => logged.push(data));
    equal(await code(hub.send("break")), "unsure");
    await hub.send("x");
    const all = await heard();
    const secrets = all.map(({ frames }) => JSON.parse(frames[0]).params.secret);
    equal([all.length, secrets[0] === secrets[1], /^[0-9a-f]{32}$/.test(secrets[0])], [2, true, true]);
    equal([all.some(({ url }) => url.includes(secrets[0])), logged.join().includes(secrets[0])], [false, false]);
    const other = connect("fair");
    await other.ready;
    equal(JSON.parse((await heard())[2].frames[0]).params.secret === secrets[0], false);
  },

  async "relative addresses are those of the page"({ Connection, EventStream, isPage, peer }) {
    if (!isPage) {
      for (const Made of [Connection, EventStream]) {
        try {
          new Made("/tap", { WebSocket: class {} });
        } catch (error) {
          equal(/no address of a wstap/.test(error.message), true);
          continue;
        }
        throw new Error("there is nothing that it could be relative to");
      }
      return;
    }
    const urls = [];
    class Socket {
      constructor(url) {
        urls.push(url);
      }

      close() {}
    }
    const hubs = ["/tap", "tap/", "../x?y#z"].map((url) => new Connection(url, { WebSocket: Socket, ack: false }));
    await until("the addresses", () => urls.length === 3);
    for (const hub of hubs) hub.close();
    const host = peer.replace("http", "ws");
    equal(urls, [`${host}/tap/ws`, `${host}/tap/ws`, `${host}/x/ws`]);
  },

  async "the real server registers, answers, and tells apart what others send"({ real, ask, post }) {
    const hub = real();
    const told = [];
    hub.on("message", ({ data }) => told.push(data));
    await within(hub.ready, "the connection");
    const forged = Array.from({ length: 20 }, (_, n) => JSON.stringify({ ack: "1-0", frame: n }));
    const [ids] = await Promise.all([Promise.all(Array.from({ length: 20 }, (_, n) => hub.send({ n }))), ...forged.map((text) => post(`api/connections/${hub.id}/messages`, text))]);
    const events = await ask(`api/events?connection=${hub.id}&kind=message&direction=in`);
    equal(ids, events.map(({ id }) => id));
    await until("the messages", () => told.length === 20);
    equal([...told].sort(), [...forged].sort());
  },

  async "a newer connection of another client with the same id is the end"({ real, ask }) {
    const hub = real();
    await hub.send("x");
    const other = real({ id: hub.id });
    await other.send("y");
    await until("the end", () => hub.state === "ended");
    equal(await code(hub.ready), "replaced");
    equal((await ask(`api/connections/${other.id}`)).connectionId, other.id);
  },

  async "a channel resumes where it was: history fills the hole exactly"({ real, ask, post, remove }) {
    const hub = real();
    const channel = `kept/${hub.id}`;
    const kept = hub.channel(channel);
    const told = [];
    for (const type of ["message", "gap", "resumed"]) kept.on(type, ({ data, complete }) => told.push(data ?? complete ?? type));
    await kept.subscribe();
    await kept.publish(0);
    // While the tap closes the connection and it comes back, others publish.
    const publishing = (async () => { for (let n = 1; n <= 20; n += 1) await post(`api/channels/${encodeURIComponent(channel)}/messages`, String(n)); })();
    await remove(`api/connections/${hub.id}?code=4000`);
    await publishing;
    await until("all of it", () => told.filter((one) => typeof one === "number").length === 21);
    equal(told.filter((one) => one !== true), Array.from({ length: 21 }, (_, n) => n));
    equal(told.includes(true), true, "it came back, and nothing is lost");
    const events = await ask(`api/events?channel=${encodeURIComponent(channel)}&kind=message`);
    equal(kept.position, events.at(-1).id);
  },

  async "a hole that history does not fill is a gap"({ Backoff, real, post, remove }) {
    const gate = { open: false };
    const hub = real({ backoff: new Backoff({ first: 1, most: 1 }), token: async () => { if (!gate.open && gate.shut) throw new Error("not yet"); return undefined; } });
    const lost = hub.channel(`lost/${hub.id}`);
    const told = [];
    for (const type of ["message", "gap", "resumed"]) lost.on(type, ({ data, complete }) => told.push([type, data ?? complete ?? null]));
    await lost.subscribe();
    gate.shut = true;
    await remove(`api/connections/${hub.id}?code=4000`);
    await until("the break", () => hub.state !== "open");
    for (const n of [1, 2]) await post(`api/channels/${encodeURIComponent(lost.name)}/messages`, String(n));
    gate.open = true;
    await until("the way back", () => told.length === 2);
    equal(told, [["gap", null], ["resumed", false]]);
    await lost.publish(new Uint8Array([0, 255]));
    await until("the message", () => told.length === 3);
    equal([...told[2][1]], [0, 255]);
  },

  async "the stream is followed, resumed and closed"({ EventStream, Backoff, tap, real, ask, remove }) {
    const hub = real();
    const stream = new EventStream(tap, { connection: hub.id, kind: "message", backoff: new Backoff({ first: 1, most: 5 }) });
    const told = [];
    stream.on("message", ({ data }) => told.push(data.message));
    await within(stream.ready, "the stream");
    equal(stream.state, "open");
    for (let n = 0; n < 5; n += 1) await hub.send(`${n}`);
    for (const { id, query } of await ask("api/listeners")) if (String(query).includes(hub.id)) await remove(`api/listeners/${id}`);
    for (let n = 5; n < 10; n += 1) await hub.send(`${n}`);
    await until("all", () => told.length === 10);
    equal(told, Array.from({ length: 10 }, (_, n) => n));
    await within(stream.close(), "the end");
    await hub.send("late");
    await sleep(20);
    equal([told.length, stream.state, await code(stream.ready)], [10, "closed", "closed"]);
  },

  async "a stream that hangs is opened again"({ EventStream, peer }) {
    const stream = new EventStream(`${peer}/hanging`, { silence: 100 });
    const words = [];
    stream.on("state", (state) => words.push(state.words));
    await until("the words", () => words.includes("nothing came for a long time"));
    await within(stream.close(), "the end");
  },
};

/** Runs all tests at once: most of their time is waiting. Returns `[{ name, fault }]`. */
export async function run(environment) {
  const { Connection, Backoff, WebSocket, tap, peer } = environment;
  const isPage = typeof document === "object";
  const one = async ([name, test], n) => {
    const key = `t${n}-${Math.random().toString(36).slice(2)}`;
    const opened = [];
    const open = (url, options) => {
      const made = new Connection(url, { id: key, backoff: new Backoff({ first: 1, most: 20 }), ...(WebSocket && { WebSocket }), ...options });
      opened.push(made);
      return made;
    };
    const call = async (path, options) => {
      const response = await fetch(`${tap}/${path}`, options);
      if (!response.ok) throw new Error(`${path} answers ${response.status}: ${await response.text()}`);
      return response;
    };
    const tools = {
      ...environment,
      isPage,
      connect: (behaviour, options) => open(`${peer.replace("http", "ws")}/${behaviour}/${key}/ws`, options),
      // Heartbeats go out between all that is sent.
      real: (options) => open(tap, { heartbeat: 10, ...options }),
      heard: async () => (await fetch(`${peer}/heard/${key}`)).json(),
      states(hub) {
        const told = [];
        hub.on("state", (state) => told.push(state));
        return told;
      },
      ask: async (path) => (await call(path)).json(),
      post: (path, body) => call(path, { method: "POST", headers: { "content-type": "application/json" }, body }),
      remove: (path) => call(path, { method: "DELETE" }),
    };
    try {
      await within(test(tools), "the end of the test");
      return { name };
    } catch (error) {
      return { name, fault: `${error.message}\n${error.stack}` };
    } finally {
      for (const hub of opened) hub.close();
    }
  };
  return Promise.all(Object.entries(TESTS).map(one));
}
