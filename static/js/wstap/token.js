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

/** Resolves after a time. In node this alone keeps no program running. @param {number} ms */
export const pause = (ms) => new Promise((done) => { /** @type {any} */ (setTimeout(done, ms)).unref?.(); });
