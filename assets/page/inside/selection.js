/**
 * What the tab "Inside" looks at: which word, layer and head, and which map of the patches. It asks
 * about the answer that is open in the tab "Explore" and, beside it, about the one of the method and
 * budget that are chosen there. Knows nothing of elements.
 *
 * @typedef {Object} Run what happened inside one answer; G words, L layers
 * @property {string} text
 * @property {boolean} agrees whether it is the full answer
 * @property {string[]} predicted [G], "" for the end
 * @property {number[][][]} shares [G][L][kinds] of attention
 * @property {string[][]} candidates [G][C]
 * @property {number[][][]} chances [L][G][C] read off behind each layer
 * @property {string[][]} says [L][G]
 * @property {number[]} stands_from [G]
 * @property {number[]} entering [L] visual tokens
 */
import { Task } from "../common/answers/task.js";
import { Observable } from "../common/observable.js";

export const RUNS = ["full", "pruned"];
export const ALL = -1; // the mean over layers or heads
const FIRST = { step: 0, view: 0, layer: ALL, head: ALL };

export class InsideSelection extends Observable {
  state = {
    ...FIRST,
    what: "attention",
    when: "word",
    run: "full",
    cursor: -1,
    reading: { keys: 64, scope: "all" },
  };
  visible = () => false;
  maps = null; // {full, pruned, what}: the newest, which stay until others come
  #about = ""; // the case, method and budget that were asked about last
  #shown = ""; // the case that is shown

  constructor(store) {
    super("inside");
    this.store = store;
    const changed = () => this.#received();
    this.tasks = Object.fromEntries(
      ["look", "map", "reads", "removal"].map((name) => [name, new Task(changed)]),
    );
    store.subscribe(() => this.changed());
  }

  tell() {
    if (this.visible()) {
      this.#follow();
      super.tell();
    }
  }

  get case() {
    return this.store.state.case;
  }

  /** What every message says. */
  get #message() {
    const { method, budget } = this.store.state;
    return { case: this.case.id, method, budget };
  }

  /** Ask anew where something else is open, or chosen, than what was asked about. */
  #follow() {
    const { store } = this;
    if (!this.case || !store.choice || store.isOpening) return;
    const about = JSON.stringify(this.#message);
    if (about === this.#about) return;
    this.#about = about;
    if (this.#shown !== this.case.id) {
      this.tasks.removal.forget();
      Object.assign(this.state, FIRST);
      this.state.reading.keys = Math.max(1, Math.round(this.case.grid.n / 3));
    }
    this.#shown = this.case.id;
    this.maps = null;
    this.tasks.map.forget();
    this.tasks.reads.forget();
    this.tasks.look.ask(this.#message);
  }

  /** A reply has come: what depends on it is asked for. */
  #received() {
    const { look, map, reads, removal } = this.tasks;
    if (map.reply?.maps) this.maps = { ...map.reply.maps, what: map.reply.message.what };
    if (look.reply?.done && !look.reply.error) {
      this.#askMap();
      if (this.case?.live && !reads.message && !reads.cancelled) this.askReads();
      if (this.case?.live && !removal.message && !removal.cancelled) this.askRemoval();
    }
    this.changed();
  }

  /** {full: Run, pruned: Run}, as far as they are known. */
  get runs() {
    return this.tasks.look.reply?.runs ?? {};
  }

  /** Words of the longer answer. */
  get steps() {
    return Math.max(0, ...Object.values(this.runs).map(({ predicted }) => predicted.length));
  }

  #askMap() {
    const { what, layer, head } = this.state;
    const message = { ...this.#message, what, layer, head: layer === ALL ? ALL : head };
    const { map } = this.tasks;
    if (JSON.stringify(map.message) !== JSON.stringify({ ...message, ticket: map.message?.ticket }))
      map.ask(message);
  }

  /** Show another word, view or patch, or what a whole answer reads: nobody has to be asked. */
  set(patch) {
    Object.assign(this.state, patch);
    this.state.step = Math.min(Math.max(0, this.state.step), Math.max(0, this.steps - 1));
    this.changed();
  }

  /** Show another map: of another layer, head or kind. */
  choose(patch) {
    this.set(patch);
    if (this.tasks.look.reply?.done) this.#askMap();
  }

  /** Change how the two methods read. */
  read(patch) {
    const { run, ...reading } = patch;
    Object.assign(this.state.reading, reading);
    if (run) this.state.run = run;
    this.askReads();
  }

  askReads() {
    const { reading, run } = this.state;
    this.tasks.reads.ask({ ...this.#message, ...reading, run });
  }

  askRemoval() {
    this.tasks.removal.ask({ case: this.case.id });
  }

  get busy() {
    return Object.values(this.tasks).some((task) => task.busy);
  }
}
