// Credentials, which are strings or functions that fetch them.

/** @typedef {string | (() => string | Promise<string>)} Token */

/**
 * Fetches a credential. Returns `undefined` if there is none to fetch, and `null` if it cannot be
 * fetched within `limit` milliseconds.
 * @param {Token | undefined} token
 * @param {number} limit
 */
export async function fetchToken(token, limit) {
  if (typeof token !== "function") return token;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const late = new Promise((/** @type {(value: null) => void} */ done) => { timer = setTimeout(done, limit, null); });
  try {
    return await Promise.race([token(), late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

/** The characters of a subprotocol (RFC 9110 section 5.6.2). */
const SUBPROTOCOL = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Returns how a WebSocket of a wstap shows a credential: subprotocols to offer beside `protocols`, since
 * addresses stand in logs, or a ticket for the address if the credential has characters that no
 * subprotocol has. A browser drops a connection of which no offered subprotocol is selected, so that one
 * without a token is always offered. Returns `null` if no ticket could be had.
 * @param {URL} root
 * @param {string} token
 * @param {string[]} protocols
 * @param {number} limit
 * @returns {Promise<{ protocols: string[], ticket?: string } | null>}
 */
export async function shown(root, token, protocols, limit) {
  if (SUBPROTOCOL.test(token)) {
    return { protocols: [...(protocols.length > 0 ? protocols : ["wstap"]), `wstap.bearer.${token}`] };
  }
  try {
    const response = await fetch(new URL("api/tickets", root), { method: "POST", headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(limit) });
    const { ticket } = await response.json();
    return typeof ticket === "string" ? { protocols, ticket } : null;
  } catch {
    return null;
  }
}

/**
 * Decides whether a client comes back after its credential was refused or has ended: if the credential is
 * a function, which may have a new one. A new one that is refused at once ends it.
 */
export class Renewal {
  #refused = 0;
  #isFunction;

  /** @param {Token | undefined} token */
  constructor(token) {
    this.#isFunction = typeof token === "function";
  }

  /** A credential was accepted. */
  accepted() {
    this.#refused = 0;
  }

  /** A credential was refused, or has ended. Returns whether another one is asked for. */
  mayRenew() {
    this.#refused += 1;
    return this.#isFunction && this.#refused < 2;
  }
}

/** Resolves after a time. In node this alone keeps no program running. @param {number} ms */
export const pause = (ms) => new Promise((done) => { /** @type {any} */ (setTimeout(done, ms)).unref?.(); });
