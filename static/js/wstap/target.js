// An EventTarget with typed events.

/**
 * Events have their data as own fields.
 * @template {Record<string, object>} Events
 */
export class Target extends EventTarget {
  /**
   * Adds a listener. Returns a function that removes it.
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {(event: Event & Events[Type]) => void} listener
   * @param {AddEventListenerOptions} [options]
   */
  on(type, listener, options) {
    const typed = /** @type {EventListener} */ (/** @type {unknown} */ (listener));
    this.addEventListener(type, typed, options);
    return () => this.removeEventListener(type, typed, options);
  }
}

/** Dispatches an event. @param {EventTarget} target @param {string} type @param {object} fields */
export const tell = (target, type, fields) => target.dispatchEvent(Object.assign(new Event(type), fields));
