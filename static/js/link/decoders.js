// Link: the decoders, which are loaded when the first message is looked at. Without them the page
// shows what was sent as it is.

let loading = null;

/** Loads the decoders; resolves with null where there are none. */
function load() {
  loading ??= import("../decode/index.js").catch(() => null);
  return loading;
}

/** All decoders: `[{ name, title }]`. */
export async function names() {
  return (await load())?.names ?? [];
}

/**
 * Decodes a message `{ subprotocol, path, opcode, text, bytes, value, direction }`: by the decoder
 * of that name, or by the one that fits best. Resolves with `{ name, summary, fields, error, fits }`,
 * or null if none fits.
 */
export async function decode(message, name, state) {
  const module = await load();
  if (!module) return null;
  let fits = [];
  try {
    fits = module.decodersFor(message) ?? [];
    const chosen = name ?? fits[0];
    if (!chosen) return null;
    return { ...module.decode(chosen, message, state), fits };
  } catch (error) {
    // A decoder that fails must not take the page with it.
    return { name: name ?? fits[0] ?? "", summary: "", fields: null, error: `the decoder failed: ${error.message}`, fits };
  }
}
