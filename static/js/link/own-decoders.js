// Link: the worker's end of the sandbox with the reader's own decoders. One that does not answer is
// ended, with its decoders.

/** Milliseconds that a decoder may take. */
const PATIENCE = 2000;

/** Messages that wait for an answer; more of the stream are not decoded by the reader's decoders. */
const WAITING = 500;

export class OwnDecoders {
  #worker = null;
  #waiting = new Map();
  #number = 0;
  #timer = 0;
  /** The decoders: `[{ name, title }]`. */
  names = [];
  /** Called with a sentence when the decoders were ended. */
  onend = () => {};

  /** Loads a module; resolves with its name and title, or rejects with an Error. */
  async add(source) {
    this.#worker ??= this.#start();
    const { name, title, error } = await this.#ask({ load: source });
    if (error !== undefined) throw new Error(error);
    this.names = [...this.names.filter((one) => one.name !== name), { name, title }];
    return { name, title };
  }

  get isEmpty() {
    return this.names.length === 0;
  }

  has(name) {
    return this.names.some((one) => one.name === name);
  }

  /** Whether so many messages wait that those of the stream are left out. */
  get isBusy() {
    return this.#waiting.size >= WAITING;
  }

  /** Decodes a message in the order of its connection; resolves with what a decoder returned, or null. */
  async decode(key, message, { fresh = false, only = null } = {}) {
    if (this.isEmpty) return null;
    const { found = null } = await this.#ask({ key, way: message.direction === "out" ? "out" : "in", message, fresh, only });
    return found;
  }

  #start() {
    const worker = new Worker(new URL("./sandbox.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => this.#take(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end("the decoder does not run");
    };
    return worker;
  }

  #ask(data) {
    this.#number += 1;
    this.#worker.postMessage({ ...data, number: this.#number });
    this.#timer ||= setTimeout(() => this.#late(), PATIENCE);
    return new Promise((done) => this.#waiting.set(this.#number, { done, since: performance.now() }));
  }

  #take(data) {
    const wish = this.#waiting.get(data.number);
    this.#waiting.delete(data.number);
    this.#restart();
    wish?.done(data);
  }

  /** Waits for the next answer anew: what counts is the time of one message. */
  #restart() {
    clearTimeout(this.#timer);
    this.#timer = this.#waiting.size > 0 ? setTimeout(() => this.#late(), PATIENCE) : 0;
  }

  #late() {
    this.#end(`a message took longer than ${PATIENCE / 1000} s`);
  }

  #end(why) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#worker?.terminate();
    this.#worker = null;
    const gone = this.names.map(({ title }) => title).join(", ");
    this.names = [];
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { done } of waiting) done({ error: why });
    if (gone !== "") this.onend(`${gone} was removed: ${why}`);
  }
}
