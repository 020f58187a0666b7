// View: what somebody has typed, as what goes out.

import { fromHex } from "../model/text.js";

/** What a message would be sent as, or a sentence that says why it cannot. */
export function compose(kind, text) {
  if (kind === "binary") {
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
  return { data: text };
}
