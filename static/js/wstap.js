// `/wstap.js`: the client module at its stable address. See `wstap/index.js`.
//
// All modules are named here, so that a browser requests them at once and not level by level.

import "./wstap/address.js";
import "./wstap/answer.js";
import "./wstap/backoff.js";
import "./wstap/channel.js";
import "./wstap/codes.js";
import "./wstap/connection.js";
import "./wstap/keeper.js";
import "./wstap/outbox.js";
import "./wstap/payload.js";
import "./wstap/session.js";
import "./wstap/sse.js";
import "./wstap/stream.js";
import "./wstap/target.js";
import "./wstap/token.js";

export * from "./wstap/index.js";
