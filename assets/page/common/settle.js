/**
 * A hand on a slider, and the moment at which it rests: what waits for that moment extends this,
 * and does its asking in `settle()`. And the moment at which nothing has happened on the whole page
 * for a while. Knows nothing of elements, and not what is asked.
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

const HANDS = ["pointerdown", "keydown", "wheel"];

const FAST = 2; // megabits a second

/** Whether what may never be used is better not fetched: on a phone, or where data is dear or slow. */
const isSparing = ({ saveData = false, downlink = FAST } = {}) =>
  saveData || downlink < FAST || !window.matchMedia("(hover: hover)").matches;

/** Call `act()` once, when no hand has touched the page for so long and the browser has time. */
export function whenQuiet(act, milliseconds) {
  let timer = null;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(begin, milliseconds);
  };
  const begin = () => {
    for (const event of HANDS) document.removeEventListener(event, wait);
    if (!isSparing(navigator.connection)) window.requestIdleCallback?.(() => act());
  };
  for (const event of HANDS) document.addEventListener(event, wait, { passive: true });
  wait();
}
