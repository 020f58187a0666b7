// Promises whose rejection needs no handler.

/**
 * A promise that is rejected without ending the program: a send that nobody awaits may be refused.
 * `report` is then called with the error, so that it does not vanish.
 * @template T
 * @extends {Promise<T>}
 */
export class Answer extends Promise {
  #isObserved = false;

  static get [Symbol.species]() {
    return Promise;
  }

  /**
   * @template T
   * @param {Promise<T>} promise
   * @param {(error: any) => void} report
   * @returns {Answer<T>}
   */
  static of(promise, report) {
    const answer = new Answer((/** @type {(value: T | PromiseLike<T>) => void} */ keep, fail) => { promise.then(keep, fail); });
    // A handler that is added in the same turn counts.
    super.prototype.then.call(answer, undefined, (error) => { setTimeout(() => { if (!answer.#isObserved) report(error); }); });
    return answer;
  }

  /**
   * @template [A=T], [B=never]
   * @param {((value: T) => A | PromiseLike<A>) | null} [kept]
   * @param {((reason: any) => B | PromiseLike<B>) | null} [failed]
   * @returns {Promise<A | B>}
   */
  then(kept, failed) {
    this.#isObserved = true;
    return super.then(kept, failed);
  }
}

/**
 * A promise with the functions that settle it. Its rejection needs no handler.
 * @template T
 */
export class Deferred {
  isSettled = false;
  /** @type {(value: T) => void} */
  #keep = () => {};
  /** @type {(error: unknown) => void} */
  #fail = () => {};

  constructor() {
    /** @type {Promise<T>} */
    this.promise = new Promise((keep, fail) => {
      this.#keep = keep;
      this.#fail = fail;
    });
    this.promise.catch(() => {});
  }

  /** @param {T} value */
  keep(value) {
    this.isSettled = true;
    this.#keep(value);
  }

  /** @param {unknown} error */
  fail(error) {
    this.isSettled = true;
    this.#fail(error);
  }
}
