// Model: completion of expressions. Names of fields are those of full events, and those in the messages
// that this page has seen; no DOM.

const FIELDS = {
  kind: "connect, message, close, join, leave or request", connectionId: "whose it is", direction: "in or out", opcode: "text, binary, ping, pong",
  size: "bytes of the message", message: "what was sent", channel: "of a message, a join, a leave", user: "who sent it, who came or left", to: "users that it was for", except: "users that it was not for", path: "of a connect", remote: "address of the client",
  headers: "of a connect", subprotocol: "of a connect", duration: "seconds, of a close", "close.code": "of a close", "close.reason": "of a close",
  "close.by": "client, server, tap or network", "close.clean": "whether both sides said goodbye", "messages.in": "of a close", "messages.out": "of a close",
  "bytes.in": "of a close", "bytes.out": "of a close", encoding: "base64, of binary", upstream: "of a connect in proxy mode", wire: "bytes on the wire", compressed: "true where it was", truncated: "true where it is cut", note: "what is odd about it", synthetic: "sent by hand", id: "of the event", time: "as text",
};

const VALUES = {
  kind: ['"connect"', '"message"', '"close"', '"join"', '"leave"', '"request"'], direction: ['"in"', '"out"'], opcode: ['"text"', '"binary"', '"ping"', '"pong"'],
  "close.by": ['"client"', '"server"', '"tap"', '"network"'], "close.clean": ["true", "false"], synthetic: ["true"], encoding: ['"base64"'],
};

const CALLS = { "contains(": "a part of a text", "startsWith(": "the beginning of a text", "endsWith(": "the end of a text", "matches(": "a regular expression" };
const FUNCTIONS = { "has(": "whether a field is there", "size(": "length of a text or list" };

export class Names {
  #most;
  #paths = new Map();
  #values = new Map([["channel", new Set()], ["user", new Set()]]);

  constructor(most = 500) {
    this.#most = most;
  }

  /** Learns the channel and the user of an event, and the names in its message. */
  see(event) {
    for (const [name, values] of this.#values) {
      if (typeof event?.[name] === "string" && values.size < this.#most) values.add(JSON.stringify(event[name]));
    }
    if (event?.kind === "message") this.learn(event.message);
  }

  /** Learns the names in a message, a few levels deep. */
  learn(message, path = "message", depth = 0) {
    if (message === null || typeof message !== "object" || Array.isArray(message) || depth > 4) return;
    for (const [key, value] of Object.entries(message).slice(0, 40)) {
      if (!/^[A-Za-z_][A-Za-z0-9_]{0,60}$/.test(key)) continue;
      const name = `${path}.${key}`;
      if (!this.#paths.has(name) && this.#paths.size >= this.#most) return;
      this.#paths.set(name, typeof value === "object" ? "" : `such as ${String(JSON.stringify(value)).slice(0, 24)}`);
      this.learn(value, name, depth + 1);
    }
  }

  /** The completions at the caret: `{ from, to, items: [{ text, about }] }`. */
  complete(expression, caret) {
    const before = expression.slice(0, caret);
    if (insideString(before)) return { from: caret, to: caret, items: [] };
    const compared = /([A-Za-z_][\w.]*)\s*(?:==|!=)\s*("?[\w]*)$/.exec(before);
    const values = compared && (VALUES[compared[1]] ?? this.#values.get(compared[1]));
    if (values) {
      const items = [...values].filter((value) => value.startsWith(compared[2])).map((text) => ({ text, about: compared[1] }));
      return { from: caret - compared[2].length, to: caret, items };
    }
    const word = /[A-Za-z_][\w.]*$/.exec(before)?.[0] ?? "";
    const from = caret - word.length;
    // A name stands at the beginning or after an operator.
    if (!/(^|[\s(![,&|<>=+\-*/])$/.test(before.slice(0, from))) return { from, to: caret, items: [] };
    if (/[)\]"\w]\s+$/.test(before)) return { from: caret, to: caret, items: operators() };
    const dot = word.lastIndexOf(".");
    const names = [...Object.entries(FIELDS), ...this.#paths].filter(([name]) => name.startsWith(word) && name !== word);
    const items = names.map(([text, about]) => ({ text, about }));
    if (dot === -1) items.push(...Object.entries(FUNCTIONS).filter(([name]) => word !== "" && name.startsWith(word)).map(([text, about]) => ({ text, about })));
    else items.push(...Object.entries(CALLS).filter(([name]) => name.startsWith(word.slice(dot + 1))).map(([text, about]) => ({ text: word.slice(0, dot + 1) + text, about })));
    return { from, to: caret, items: items.slice(0, 50) };
  }
}

function operators() {
  return [["==", "is"], ["!=", "is not"], ["&&", "and"], ["||", "or"], [">", "more than"], ["<", "less than"]].map(([text, about]) => ({ text: `${text} `, about }));
}

function insideString(text) {
  let quote = "";
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\" && quote) at += 1;
    else if (quote) quote = text[at] === quote ? "" : quote;
    else if (text[at] === '"' || text[at] === "'") quote = text[at];
  }
  // A quote that was just opened may begin a known value.
  return quote !== "" && !/(?:==|!=)\s*"\w*$/.test(text);
}
