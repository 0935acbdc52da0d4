/**
 * A set of patches that a hand changes: strokes, single patches, undo and redo, and the answer that
 * is asked for when the hand rests. Knows nothing of elements.
 */
import { Settling } from "../common/settle.js";

const STEPS = 200; // that can be undone
const ANSWERS = 300; // that are kept

export class Picking extends Settling {
  kept = new Uint8Array(0);
  source = null; // {method, title, budget}: whose set it was
  edited = false;
  #store;
  #task;
  #changed;
  #before = []; // earlier sets
  #after = []; // sets that were undone
  #stroke = null; // the set as it was when the stroke began
  #id = null;
  #answers = new Map();
  #asked = ""; // the set that was asked for last

  constructor(store, task, changed) {
    super("picking");
    this.#store = store;
    this.#task = task;
    this.#changed = changed;
  }

  changed() {
    this.#changed();
  }

  /** Look at the open case; the set follows the other tab until a hand has changed it. */
  follow() {
    const { case: kase } = this.#store.state;
    const { choice } = this.#store;
    if (!kase || !choice) return;
    const other = kase.id !== this.#id;
    this.#id = kase.id;
    if (other) this.#task.forget();
    const { method, budget } = choice;
    const same = this.source?.method === method.key && this.source.budget === budget;
    if (other || (!this.edited && !same)) this.start();
  }

  /** Take the set that the chosen method keeps at the chosen budget. */
  start() {
    const { choice } = this.#store;
    const { fate } = choice.stages.at(-1);
    const set = Uint8Array.from(fate, (f) => (f === 0 ? 1 : 0));
    const { method, budget } = choice;
    this.source = { method: method.key, title: method.title, budget, merges: method.merges };
    this.source.inside = method.where !== "before the LLM";
    Object.assign(this, { kept: set, edited: false });
    this.#before = [];
    this.#after = [];
    this.schedule();
  }

  get tokens() {
    return [...this.kept.keys()].filter((token) => this.kept[token]);
  }

  get count() {
    return this.kept.reduce((sum, one) => sum + one, 0);
  }

  /** Several patches at once, as one step. */
  change(tokens, value) {
    this.#stroke = this.kept.slice();
    this.paint(tokens, value);
    this.end();
  }

  begin() {
    this.hold();
    this.#stroke = this.kept.slice();
  }

  /** value: 1 keeps, 0 drops. */
  paint(tokens, value) {
    for (const token of tokens) if (token >= 0) this.kept[token] = value;
    this.changed();
  }

  end() {
    const before = this.#stroke;
    this.#stroke = null;
    if (before?.some((one, token) => one !== this.kept[token])) {
      this.#before.push(before);
      if (this.#before.length > STEPS) this.#before.shift();
      this.#after = [];
      this.edited = true;
    }
    if (this.held) this.release();
    else this.schedule();
  }

  invert() {
    this.#become(this.kept.map((one) => 1 - one));
  }

  keepAll() {
    this.#become(this.kept.map(() => 1));
  }

  #become(set) {
    this.#stroke = this.kept.slice();
    this.kept = set;
    this.end();
  }

  get undoable() {
    return this.#before.length > 0;
  }

  get redoable() {
    return this.#after.length > 0;
  }

  undo() {
    this.#step(this.#before, this.#after);
  }

  redo() {
    this.#step(this.#after, this.#before);
  }

  #step(from, to) {
    if (!from.length) return;
    to.push(this.kept);
    this.kept = from.pop();
    this.schedule();
  }

  get #name() {
    return `${this.#id} ${this.source?.method} ${this.kept.join("")}`;
  }

  /** What is known of this very set: {answer, things} or {error}; null while it is asked for. */
  get known() {
    return this.#answers.get(this.#name) ?? null;
  }

  settle() {
    this.unschedule();
    if (this.held || !this.#id || this.known || !this.count) return this.changed();
    if (this.#task.busy && this.#asked === this.#name) return this.changed();
    this.#asked = this.#name;
    const { method } = this.source;
    this.#task.ask({ case: this.#id, kept: this.tokens, method, name: this.#name });
  }

  /** A reply to a set; it may have changed since. */
  receive() {
    const { reply } = this.#task;
    if (!reply?.done) return;
    this.#answers.set(reply.message.name, reply);
    if (this.#answers.size > ANSWERS) this.#answers.delete(this.#answers.keys().next().value);
  }
}
