/**
 * Something that parts of the page follow: however often it changes, they are told once, before the
 * next frame is shown. Knows nothing of what changes.
 */

export class Observable {
  state = {};
  #name;
  #listeners = [];
  #queued = false;

  /** @param {string} name the last round of telling is measured under it, for `performance` */
  constructor(name) {
    this.#name = `explorer.${name}`;
  }

  /** Call `listener(state)` whenever something has changed. */
  subscribe(listener) {
    this.#listeners.push(listener);
    this.changed();
  }

  changed() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.tell();
    });
  }

  /** Tell everyone now. */
  tell() {
    const start = performance.now();
    for (const listener of this.#listeners) listener(this.state);
    performance.clearMeasures(this.#name);
    performance.measure(this.#name, { start, end: performance.now() });
  }
}
