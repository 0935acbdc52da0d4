/**
 * A tab that asks for many answers at once: which run is under way, what Cancel stopped, and what
 * the server has said. Dragging never asks; a hand that rests does, once, for the answers that this
 * page doesn't know yet. Knows nothing of elements, nor which answers a tab wants.
 *
 * A tab says what it looks at (`here`, a text), which answers make it complete (`wanted`), and what
 * follows from another look (`follow`) and from new answers (`heard`).
 */
(() => {
  const app = (window.explorer ??= {});
  const LOST_MS = 60_000; // nothing heard for so long: asking again is allowed

  app.Board = class extends app.Resting {
    draws = [];
    error = "";
    visible = () => false;
    #send = null;
    #ticket = 0;
    #asked = null; // {here, ticket, at}: the run that is under way
    #stopped = null; // what was looked at when the visitor pressed Cancel
    #called = null; // what the visitor asked for, where it isn't done unasked

    constructor(store) {
      super();
      this.store = store;
      store.subscribe(() => this.follow());
    }

    connect(sender) {
      this.#send = sender;
      this.settle();
    }

    wake() {
      this.follow();
    }

    get case() {
      return this.store.state.case;
    }

    get full() {
      return this.store.full;
    }

    get missing() {
      const { memory } = this.store;
      return this.wanted.filter(([spec, budget]) => !memory.tried(this.case.id, spec, budget));
    }

    /** Whether answers for what is shown are being worked out. */
    get busy() {
      return Boolean(this.case) && this.#asked?.here === this.here;
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
    call() {
      this.#called = this.here;
      this.#stopped = null;
      this.error = "";
      this.store.memory.forgive();
      this.settle();
    }

    cancel() {
      if (!this.busy) return;
      this.#stopped = this.here;
      this.#asked = null;
      this.#send?.({ case: this.case.id, wanted: [], ticket: ++this.#ticket }, "announce");
      this.changed();
    }

    settle() {
      this.rested();
      if (this.held || !this.case || this.store.state.pending) return;
      if (!this.#send || !this.visible()) return;
      const working = this.busy && performance.now() - this.#asked.at < LOST_MS;
      if (!working) {
        this.#asked = null;
        const wanted = this.missing;
        if (wanted.length && !this.waits && !this.error) this.#ask(wanted);
      }
      this.changed();
    }

    #ask(wanted) {
      this.#asked = { here: this.here, ticket: ++this.#ticket, at: performance.now() };
      this.#send({ case: this.case.id, wanted, ticket: this.#ticket }, "work");
    }

    /** New answers are in the memory. */
    heard() {}

    /** Replies of the server: {ticket, case, answers, done, error}; all answers of a run so far. */
    receive(value) {
      if (!value) return;
      for (const answer of value.answers ?? []) this.store.memory.keep(value.case, answer);
      this.heard();
      if (this.#asked?.ticket === value.ticket) {
        this.#asked.at = performance.now();
        if (value.done) this.#asked = null;
        if (value.error) this.error = value.error;
      }
      if (value.done) {
        this.settle();
        this.store.changed(); // the other tabs show these answers, too
      }
      this.changed();
    }
  };
})();
