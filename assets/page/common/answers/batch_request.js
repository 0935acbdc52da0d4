/**
 * A tab that asks for many answers at once: which run is under way, what Cancel stopped, and what
 * the server has replied. Dragging never asks; a hand that rests does, once, for the answers that
 * this page doesn't know yet. Knows nothing of elements, nor which answers a tab wants.
 *
 * A tab says what it looks at (`here`, a text), which answers make it complete (`wanted`), and what
 * follows from another look (`follow`) and from new answers (`answered`).
 */
import { format } from "../format.js";
import { Request } from "../request.js";
import { Settling } from "../settle.js";

export class BatchRequest extends Settling {
  draws = [];
  error = "";
  visible = () => false;
  #request = new Request();
  #asked = null; // what was looked at when the run under way was asked for
  #stopped = null; // what was looked at when the visitor pressed Cancel
  #case = null; // the newest case of which every map was there
  #called = null; // what the visitor asked for, where it isn't done unasked
  #since = null; // {here, at, known}: when the run began, and with how many answers

  constructor(name, store) {
    super(name);
    this.store = store;
    store.subscribe(() => this.follow());
  }

  connect(send) {
    this.#request.connect(send);
    this.settle();
  }

  /** The open case when every method's map is there; until then the one before it. */
  get case() {
    const { case: open } = this.store.state;
    if (open && !open.rest.length) this.#case = open;
    return this.#case;
  }

  /** Whether another case is on its way, or maps of the open one. */
  get isComing() {
    const { pending, case: open } = this.store.state;
    return Boolean(pending) || this.case !== open;
  }

  /** That it is, in words; "" where nothing is on its way. */
  get coming() {
    const says = this.store.maps.stage || "Every method scores the new picture now …";
    return this.isComing ? says : "";
  }

  get full() {
    return this.store.fullOf(this.case);
  }

  get missing() {
    const { cache } = this.store;
    return this.wanted.filter(([spec, budget]) => !cache.tried(this.case.id, spec, budget));
  }

  /** Whether answers for what is shown are being worked out. */
  get busy() {
    return Boolean(this.case) && this.#request.pending !== null && this.#asked === this.here;
  }

  /** How far the run under way is, in words: `done` of `all` answers are known. */
  underWay(done, all) {
    const { waiting, stage } = this.#request;
    const place = waiting ? ` (${waiting})` : "";
    const count = `Answer ${format.count(Math.min(done + 1, all))} of ${format.count(all)}`;
    const now = stage ? ` · ${stage}` : "";
    return `${count}${this.#left(done, all)} …${place}${now}`;
  }

  /** What is left, reckoned from what the run has taken; nothing where answers come at once. */
  #left(done, all) {
    const { at, known } = this.#since ?? {};
    if (this.case.live || !(done > known)) return "";
    const seconds = ((performance.now() - at) / 1000 / (done - known)) * (all - done);
    return `, ${format.count(Math.round(seconds))} s left`;
  }

  get cancelled() {
    return !this.busy && this.#stopped === this.here;
  }

  /** Whether the visitor has to say so before a model works for long. */
  get waits() {
    const { busy, cancelled } = this;
    const asks = this.case.live || this.#called === this.here;
    return !busy && this.missing.length > 0 && (cancelled || !asks);
  }

  /** Start, or go on after a cancel. */
  start() {
    this.#called = this.here;
    this.#stopped = this.#since = null;
    this.error = "";
    this.store.cache.forgive();
    this.settle();
  }

  cancel() {
    if (!this.busy) return;
    this.#stopped = this.here;
    this.#request.cancel({ case: this.case.id, wanted: [] });
    this.changed();
  }

  settle() {
    this.unschedule();
    if (this.held || !this.case || this.isComing) return;
    if (!this.#request.connected || !this.visible()) return;
    if (!(this.busy && this.#request.busy)) {
      this.#request.drop();
      const wanted = this.missing;
      if (wanted.length && !this.waits && !this.error) {
        this.#asked = this.here;
        if (this.#since?.here !== this.here) {
          const known = this.wanted.length - wanted.length;
          this.#since = { here: this.here, at: performance.now(), known };
        }
        this.#request.send({ case: this.case.id, wanted });
      }
    }
    this.changed();
  }

  /** New answers are in the cache. */
  answered() {}

  /** Replies of the server: {ticket, case, answers, done, error}, with answers that are new. */
  receive(reply) {
    if (!reply) return;
    for (const answer of reply.answers ?? []) this.store.keep(reply.case, answer);
    this.answered();
    if (this.#request.receive(reply) && reply.error) this.error = reply.error;
    if (reply.done) {
      this.settle();
      this.store.changed(); // the other tabs show these answers, too
    }
    this.changed();
  }
}
