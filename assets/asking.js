/**
 * When the server is asked, and which of its replies count. Dragging never asks; a hand that rests
 * does, once, for the answer at this method and budget, and then for a ladder of budgets, a few at
 * a time. Replies to older questions are remembered but not shown as current. Knows nothing of
 * elements; the senders are given by the page's hidden components.
 */
(() => {
  const app = (window.explorer ??= {});
  const QUIET_MS = 1000; // nothing heard for so long: the question stands in a queue
  const LOST_MS = 30_000; // nothing heard for so long: asking again is allowed
  const HANDFUL = 3;

  app.Asking = class extends app.Resting {
    #store;
    #send = { ask: null, fill: null };
    #ticket = 0;
    #asked = null; // {id, method, budget, ticket, at}: the question that waits for its answer
    #partial = null; // what has arrived of that answer
    #filling = null; // {id, method, budgets, at}: the handful that is being worked out
    #fresh = false; // the answer on the page was computed for this very question
    #opening = null; // {id, answer}: what has arrived of a full answer
    #wanted = null; // {id, method}: whose ladder the visitor asked for

    constructor(store) {
      super();
      this.#store = store;
    }

    get #here() {
      const { state } = this.#store;
      return { id: state.case?.id, method: state.method, budget: state.budget };
    }

    #isHere(place) {
      const { id, method, budget } = this.#here;
      return place?.id === id && place.method === method && (place.budget ?? budget) === budget;
    }

    /** Give the way to send a question ("ask") or a handful of them ("fill"). */
    connect(kind, sender) {
      this.#send[kind] = sender;
      this.settle();
    }

    /** Another case is open. */
    forget() {
      this.#asked = this.#partial = this.#filling = this.#wanted = null;
      this.#ticket++;
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
      const { id, method } = this.#here;
      this.#wanted = { id, method };
      this.#store.memory.forgive();
      this.settle();
    }

    settle() {
      this.rested();
      if (this.held || !this.#store.method) return;
      const { id, method, budget } = this.#here;
      const waiting = this.#isHere(this.#asked) && performance.now() - this.#asked.at < LOST_MS;
      if (this.#store.known(budget)) {
        this.#asked = null;
      } else if (this.#send.ask && !waiting) {
        this.#asked = { id, method, budget, ticket: ++this.#ticket, at: performance.now() };
        this.#filling = this.#partial = null;
        this.#send.ask({ case: id, method, budget, ticket: this.#ticket });
        setTimeout(() => this.#store.changed(), QUIET_MS + 20);
      }
      this.#fillNext();
      this.#store.changed();
    }

    #fillNext() {
      const { state, memory, ladder } = this.#store;
      const { id, method, budget } = this.#here;
      if (!this.#send.fill || this.held || this.#asked || !memory.answer(id, method, budget))
        return;
      if (!state.case.live && !this.#isHere(this.#wanted)) return;
      const working = this.#isHere(this.#filling) && performance.now() - this.#filling.at < LOST_MS;
      const untried = ladder.filter((rung) => !memory.tried(id, method, rung));
      if (working || !untried.length) return;
      const budgets = untried.reverse().slice(0, HANDFUL);
      this.#filling = { id, method, budgets, at: performance.now() };
      this.#send.fill({ case: id, method, budgets, ticket: this.#ticket });
    }

    /** Whether the ladder of this method is being worked out now. */
    get filling() {
      return this.#isHere(this.#filling);
    }

    /** The full answer of a case that is being opened, as far as it has arrived. */
    opening(id) {
      return this.#opening?.id === id ? this.#opening.answer : null;
    }

    #take(id, answer, ticket) {
      if (answer.method === "full") {
        this.#opening = { id, answer };
        return;
      }
      const asked = this.#asked;
      const awaited =
        asked?.id === id && asked.method === answer.method && asked.budget === answer.budget;
      if (answer.partial) {
        if (awaited && ticket === asked.ticket) this.#partial = answer;
        return;
      }
      this.#store.memory.keep(id, answer);
      if (!awaited) return;
      this.#fresh = ticket === asked.ticket && this.#isHere(asked);
      this.#asked = this.#partial = null;
    }

    /** Replies of the server: {ticket, case, answers}. */
    receive(value) {
      if (!value) return;
      const { memory } = this.#store;
      if (value.failed) this.#store.giveUp(value.case);
      for (const answer of value.answers ?? []) {
        this.#take(value.case ?? answer.case, answer, value.ticket);
      }
      const { id, method, budgets } = this.#filling ?? {};
      if (budgets?.every((budget) => memory.tried(id, method, budget))) this.#filling = null;
      this.#fillNext();
      this.#store.changed();
    }

    /**
     * The pruned answer as far as it is known, and why the page shows what it shows.
     * @returns {{answer: ?Answer, is: string}} is: computed, memory, computing, waiting, failed
     *   or unasked
     */
    get pruned() {
      const { id, method, budget } = this.#here;
      const answer = this.#store.known(budget);
      if (answer) return { answer, is: this.#fresh ? "computed" : "memory" };
      if (this.#isHere(this.#asked)) {
        if (this.#partial) return { answer: this.#partial, is: "computing" };
        const quiet = performance.now() - this.#asked.at > QUIET_MS;
        return { answer: null, is: quiet ? "waiting" : "computing" };
      }
      const failure = this.#store.memory.failure(id, method, budget);
      return { answer: failure, is: failure ? "failed" : "unasked" };
    }
  };
})();
