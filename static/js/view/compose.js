// View: a message that is typed, as the data to send.

import { filled } from "../model/burst.js";
import { fromHex } from "../model/text.js";

/** A message of which `{{n}}` and `{{time}}` are filled in: the `n`th one, now. Fails as `compose` does. */
export function composeNth(n, kind, text, channel = "") {
  return compose(kind, filled(text, n, Date.now()), channel);
}

/**
 * The data of a message `{ data }`, to the server itself or published in a channel, or `{ fault }`, a
 * sentence. JSON is sent as it was typed, with every digit.
 */
export function compose(kind, text, channel = "") {
  if (kind === "binary") {
    if (channel !== "") return { fault: "A channel takes JSON or text; its name above has to go." };
    const array = fromHex(text);
    return array ? { data: array } : { fault: "Binary is written in pairs of hexadecimal digits, such as 00 ff 1a." };
  }
  if (kind === "json") {
    try {
      JSON.parse(text);
    } catch (error) {
      return { fault: `That is no JSON: ${error.message}. Send it as text if it is meant so.` };
    }
  }
  if (channel === "") return { data: text };
  const message = kind === "json" ? text.trim() : JSON.stringify(text);
  return { data: `{"type":"publish","params":{"channel":${JSON.stringify(channel)},"message":${message}}}` };
}
