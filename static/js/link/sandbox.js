// Link: the worker for decoders that the reader has dropped on the page. The server sends it with a
// content security policy of its own, which allows no connection and no script but blobs, so that a
// decoder can neither send what it sees nor load anything. It imports nothing for that reason.
//
// It takes `{ number, load: source }` and answers `{ number, name, title }` or `{ number, error }`; and
// `{ number, key, way, message, fresh, only }`, where `key` names a connection whose state begins anew
// if `fresh`, `way` is a direction and `only` a decoder, and answers `{ number, found }`.

const decoders = new Map();
const states = new Map();

/** Connections whose state is kept. */
const STATES = 5000;

async function load(source) {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    const module = await import(address);
    const { name, title = name, fit, decode } = module.default ?? module;
    if (typeof name !== "string" || !/^[\w.-]{1,40}$/.test(name)) throw new Error("it exports no name of letters, digits, dots and hyphens");
    if (typeof fit !== "function" || typeof decode !== "function") throw new Error("it does not export the functions fit and decode");
    decoders.set(name, { fit, decode });
    return { name, title: String(title).slice(0, 80) };
  } finally {
    URL.revokeObjectURL(address);
  }
}

function stateOf(key, way, fresh) {
  if (fresh || !states.has(key)) {
    states.delete(key);
    if (states.size >= STATES) states.delete(states.keys().next().value);
    const made = { in: {}, out: {} };
    made.in.peer = made.out;
    made.out.peer = made.in;
    states.set(key, made);
  }
  return states.get(key)[way];
}

/** Decodes by the decoder that fits best. */
function run({ key, way, message, fresh, only }) {
  const state = stateOf(key, way, fresh);
  let best = null;
  for (const [name, decoder] of decoders) {
    if (only !== null && only !== name) continue;
    const fit = only === name ? 100 : Number(decoder.fit(message)) || 0;
    if (fit > 0 && fit > (best?.fit ?? 0)) best = { name, fit, decoder };
  }
  if (!best) return null;
  try {
    const { summary = "", row, fields = null, error, links } = best.decoder.decode(message, state) ?? {};
    return { name: best.name, summary, row, fields, error, links };
  } catch (error) {
    return { name: best.name, summary: "", fields: null, error: `the decoder failed: ${error?.message ?? error}` };
  }
}

onmessage = async ({ data }) => {
  const { number } = data;
  try {
    postMessage("load" in data ? { number, ...(await load(data.load)) } : { number, found: run(data) });
  } catch (error) {
    postMessage({ number, found: null, error: String(error?.message ?? error) });
  }
};
