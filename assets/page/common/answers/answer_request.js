/**
 * When the server is asked, and which of its replies count. Dragging never asks; a hand that rests
 * does, once, for the answer at this method and budget, and then for a ladder of budgets, a few at
 * a time. Replies to older questions are remembered but not shown as current. Knows nothing of
 * elements.
 */
import { Request } from "../request.js";
import { Settling } from "../settle.js";

const QUIET_MS = 1000; // nothing heard for so long: the question stands in a queue
const LOST_MS = 30_000;
const BUDGETS_AT_ONCE = 3;

export class AnswerRequest extends Settling {
  #store;
  #one = new Request(LOST_MS); // {case, method, budget}
  #few = new Request(LOST_MS); // {case, method, budgets}
  #partial = null; // what has arrived of the one answer
  #fresh = false; // the answer on the page was computed for this very question
  #opening = null; // {id, answer}: what has arrived of a full answer
  #ladderOf = null; // {case, method}: whose ladder the visitor asked for
  #besides = null; // {case, method, budgets}: what another part of the page wants to know

  constructor(store) {
    super("answers");
    this.#store = store;
  }

  get #here() {
    const { state } = this.#store;
    return { case: state.case?.id, method: state.method, budget: state.budget };
  }

  #isHere(place) {
    const here = this.#here;
    return (
      place !== null &&
      place.case === here.case &&
      place.method === here.method &&
      (place.budget ?? here.budget) === here.budget
    );
  }

  /** Give the way to send one question, or a few of them. */
  connect(kind, send) {
    (kind === "ask" ? this.#one : this.#few).connect(send);
    this.settle();
  }

  /** Another case is open. */
  forget() {
    this.#one.drop();
    this.#few.drop();
    this.#partial = this.#ladderOf = this.#besides = null;
  }

  /** Another method or budget is looked at. */
  moved() {
    this.#fresh = false;
  }

  changed() {
    this.#store.changed();
  }

  /** Ask for the whole ladder of this method, where that is not done unasked. */
  askLadder() {
    const { case: id, method } = this.#here;
    this.#ladderOf = { case: id, method };
    this.#store.cache.forgive();
    this.settle();
  }

  /** Ask for a few answers that are not those under the slider, once; its own come first. */
  askBesides(method, budgets) {
    const wanted = { case: this.#here.case, method, budgets };
    if (JSON.stringify(wanted) === JSON.stringify(this.#besides)) return;
    this.#besides = wanted;
    this.#askNext();
  }

  settle() {
    this.unschedule();
    if (this.held || !this.#store.method) return;
    const here = this.#here;
    const waiting = this.#isHere(this.#one.pending) && this.#one.busy;
    if (this.#store.known(here.budget)) {
      this.#one.drop();
    } else if (this.#one.connected && !waiting) {
      this.#few.drop();
      this.#partial = null;
      this.#one.send(here);
      setTimeout(() => this.changed(), QUIET_MS + 20);
    }
    this.#askNext();
    this.changed();
  }

  #askNext() {
    const { state, cache, ladder } = this.#store;
    const { case: id, method, budget } = this.#here;
    const ready = this.#few.connected && !this.held && !this.#one.pending;
    if (!ready || !cache.answer(id, method, budget)) return;
    const { besides } = this;
    if (besides) {
      if (!this.#few.busy) this.#few.send(besides);
      return;
    }
    const wanted = state.case.live || this.#isHere(this.#ladderOf) ? ladder : [];
    const untried = wanted.filter((rung) => !cache.tried(id, method, rung));
    if (!untried.length) this.#store.maps.followUp();
    if ((this.filling && this.#few.busy) || !untried.length) return;
    const budgets = untried.reverse().slice(0, BUDGETS_AT_ONCE);
    this.#few.send({ case: id, method, budgets });
  }

  /** What was asked for besides and is not answered yet, or null. */
  get besides() {
    const { case: id, method, budgets } = this.#besides ?? {};
    const missing = budgets?.filter((rung) => !this.#store.cache.tried(id, method, rung));
    return missing?.length ? { case: id, method, budgets: missing } : null;
  }

  /** Whether the ladder of this method is being worked out now. */
  get filling() {
    return this.#isHere(this.#few.pending);
  }

  /** What the model is doing for the one answer, and for the few, in words; "" if nobody says so. */
  get stages() {
    return { one: this.#one.stage, few: this.#few.stage };
  }

  /** The full answer of a case that is being opened, as far as it has arrived. */
  opening(id) {
    return this.#opening?.id === id ? this.#opening.answer : null;
  }

  /** Take one answer in; current: it belongs to the newest question. */
  #take(id, answer, current) {
    if (answer.method === "full") {
      this.#opening = { id, answer };
      return;
    }
    const { pending } = this.#one;
    const awaited =
      pending?.case === id && pending.method === answer.method && pending.budget === answer.budget;
    if (answer.partial) {
      if (awaited && current) this.#partial = answer;
      return;
    }
    const kept = this.#store.keep(id, answer);
    if (!kept) {
      this.#few.drop();
      this.schedule(); // it is asked for again
    }
    if (!awaited) return;
    this.#fresh = current && this.#isHere(pending);
    this.#one.drop();
    this.#partial = null;
  }

  /** Replies of the server: {ticket, case, answers}. */
  receive(reply) {
    if (!reply) return;
    const { cache } = this.#store;
    if (reply.failed) this.#store.giveUp(reply.case);
    const current = this.#one.receive(reply);
    for (const answer of reply.answers ?? []) {
      this.#take(reply.case ?? answer.case, answer, current);
    }
    const { case: id, method, budgets } = this.#few.pending ?? {};
    if (budgets?.every((budget) => cache.tried(id, method, budget))) this.#few.drop();
    this.#askNext();
    this.changed();
  }

  /**
   * The pruned answer as far as it is known, and why the page shows what it shows.
   * @returns {{answer: ?Answer, is: string}} is: computed, memory, computing, waiting, failed
   *   or unasked
   */
  get pruned() {
    const { case: id, method, budget } = this.#here;
    const answer = this.#store.known(budget);
    if (answer) return { answer, is: this.#fresh ? "computed" : "memory" };
    if (this.#isHere(this.#one.pending)) {
      if (this.#partial) return { answer: this.#partial, is: "computing" };
      const queued = this.#one.quiet > QUIET_MS && !this.#one.stage;
      return { answer: null, is: queued ? "waiting" : "computing" };
    }
    const failure = this.#store.cache.failure(id, method, budget);
    return { answer: failure, is: failure ? "failed" : "unasked" };
  }
}
