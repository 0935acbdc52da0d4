/**
 * A hand on a slider, and the moment at which it rests: what waits for that moment extends this,
 * and does its asking in `settle()`. Knows nothing of elements, and not what is asked.
 */
import { Observable } from "./observable.js";

const REST_MS = 120;

export class Settling extends Observable {
  #held = false;
  #timer = null;

  get held() {
    return this.#held;
  }

  /** The hand is on the slider: nothing is asked until it lets go. */
  hold() {
    this.#held = true;
    this.unschedule();
  }

  release() {
    if (!this.#held) return;
    this.#held = false;
    this.settle();
  }

  /** Something moved: settle when nothing has moved for a moment. */
  schedule() {
    this.unschedule();
    if (!this.#held) this.#timer = setTimeout(() => this.settle(), REST_MS);
    this.changed();
  }

  unschedule() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Whether nothing waits for the hand to rest. */
  get settled() {
    return this.#timer === null;
  }
}
