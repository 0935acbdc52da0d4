/**
 * A hand on a slider, and the moment at which it rests: what waits for that moment extends this,
 * and does its asking in `settle()`. Knows nothing of elements, and not what is asked.
 */
(() => {
  const app = (window.explorer ??= {});
  const REST_MS = 120;

  app.Resting = class {
    #held = false;
    #timer = 0;

    get held() {
      return this.#held;
    }

    /** The hand is on the slider: nothing is asked until it lets go. */
    hold() {
      this.#held = true;
      this.rested();
    }

    release() {
      if (!this.#held) return;
      this.#held = false;
      this.settle();
    }

    /** Something moved: settle when nothing has moved for a moment. */
    later() {
      this.rested();
      if (!this.#held) this.#timer = setTimeout(() => this.settle(), REST_MS);
      this.changed();
    }

    /** What was waited for has come. */
    rested() {
      clearTimeout(this.#timer);
    }
  };
})();
