// Close codes and statuses, and which of them a client comes back after.

/** The names that wstap gives close codes. */
const NAMES = new Map([
  [1000, "closed"], [1001, "stopping"], [1009, "too_large"], [1011, "internal"], [1013, "full"], [1014, "unavailable"],
  [4400, "malformed"], [4401, "unauthorized"], [4403, "forbidden"], [4404, "not_found"], [4408, "timeout"], [4409, "replaced"], [4429, "slow_down"],
]);

/** Close codes after which the same would happen again, or which end the connection on purpose. */
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010, 4400, 4401, 4403, 4404, 4409]);

/** The least delay, in milliseconds, after a code that asks a client to come back later. */
export const LATER = 2000;

/** Returns the name of a close code. @param {number} code */
export const codeName = (code) => NAMES.get(code) ?? "broken";

/** Returns whether a client comes back after a close code. @param {number} code */
export const comesBack = (code) => !FINAL.has(code);

/** Returns whether a request may be repeated after a status. @param {number} status */
export const mayAskAgain = (status) => status >= 500 || status === 408 || status === 425 || status === 429;

/** An error with wstap's code, such as "forbidden", or "unsure" if the result is unknown. */
export class WstapError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = "WstapError";
    this.code = code;
  }
}
