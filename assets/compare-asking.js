/**
 * What the tab "Compare" looks at, and when it asks: one budget for all methods, which methods are
 * shown and in what order, which two are large. Dragging never asks; a hand that rests does, once,
 * for the answers that this page doesn't know yet. Knows nothing of elements.
 */
(() => {
  const app = (window.explorer ??= {});
  const LOST_MS = 60_000; // nothing heard for so long: asking again is allowed
  const CALM_MS = 80; // what is slow to draw is drawn when nothing has moved for so long

  /** What a visitor can filter by; baselines always stay. */
  app.FAMILIES = [
    ["all", "all families", () => true],
    ["question", "reads the question", (method) => method.reads_question],
    [
      "vision",
      "vision only",
      (method) => !method.reads_question && method.where === "before the LLM",
    ],
    ["inside", "inside the LLM", (method) => method.where !== "before the LLM"],
    ["merges", "merges tokens", (method) => method.merges],
  ];

  /** What a visitor can sort by; smaller values come first, what is not known comes last. */
  app.SORTS = [
    ["p", "probability of the full answer", (entry) => -entry.likely],
    ["same", "same answer first", (entry) => -(entry.answer?.same ?? -1) - entry.likely / 2],
    ["right", "right answer first", (entry) => -(entry.answer?.right ?? -1) - entry.likely / 2],
    ["ms", "selection time", (entry) => entry.answer?.seconds?.select ?? Infinity],
    ["listed", "as listed", (entry) => entry.place],
  ];

  app.Comparing = class extends app.Resting {
    state = { budget: 0, sort: "p", family: "all", pair: [], cursor: -1 };
    draws = [];
    error = "";
    #store;
    #send = null;
    #visible = () => false;
    #listeners = [];
    #queued = false;
    #calm = 0;
    #ticket = 0;
    #asked = null; // {id, budget, wanted, ticket, at}: the run that is under way
    #stopped = null; // {id, budget}: where the visitor pressed Cancel
    #called = null; // {id, budget}: what the visitor asked for, where it isn't done unasked
    #order = []; // keys of all methods, in the order of the page
    #sorted = ""; // what that order was made for
    #shown = null; // the case that is shown
    #explored = 0; // the budget in the tab "Explore" when it was last looked at
    #choices = new Map();

    constructor(store) {
      super();
      this.#store = store;
      store.subscribe(() => this.#follow());
    }

    /** Tell `draw()` before the next frame when something changed, `redraw()` when all is calm. */
    subscribe(draw, redraw, visible) {
      this.#listeners.push({ draw, redraw });
      this.#visible = visible;
      this.#follow();
    }

    connect(sender) {
      this.#send = sender;
      this.settle();
    }

    get case() {
      return this.#store.state.case;
    }

    get full() {
      return this.#store.full;
    }

    changed() {
      if (this.#queued) return;
      this.#queued = true;
      requestAnimationFrame(() => this.#tell());
    }

    #tell() {
      this.#queued = false;
      if (!this.#shown || !this.#visible()) return;
      const start = performance.now();
      for (const { draw } of this.#listeners) draw();
      app.lastCompareMs = performance.now() - start;
      clearTimeout(this.#calm);
      this.#calm = setTimeout(() => {
        for (const { redraw } of this.#listeners) redraw();
      }, CALM_MS);
    }

    /** The tab was opened, or something changed in the tab "Explore". */
    #follow() {
      if (!this.case || !this.#visible()) return;
      const { state, case: kase } = this;
      const explored = this.#store.state.budget;
      const other = this.#shown?.id !== kase.id;
      if (other) {
        state.cursor = -1;
        this.error = "";
      }
      if (this.#shown !== kase) this.#choices.clear();
      this.#shown = kase;
      const keys = kase.methods.map(({ key }) => key);
      state.pair = state.pair.filter((key) => keys.includes(key));
      if (state.pair.length < 2) state.pair = this.#firstPair();
      if (explored !== this.#explored || !state.budget || state.budget > kase.grid.n) {
        state.budget = explored;
      }
      this.#explored = explored;
      this.later();
    }

    wake() {
      this.#follow();
    }

    /** The method of the tab "Explore", and one that goes about it in another way. */
    #firstPair() {
      const { methods } = this.case;
      const first = this.#store.method ?? methods[0];
      const others = methods.filter((method) => method !== first && !method.baseline);
      const second =
        others.find((method) => method.reads_question !== first.reads_question) ?? others[0];
      return [first, second ?? methods.find((method) => method !== first) ?? first].map(
        ({ key }) => key,
      );
    }

    #choiceOf(method, budget) {
      let known = this.#choices.get(method.key);
      if (known?.budget !== budget || known.method !== method) {
        known = app.choice(this.case, method, budget);
        this.#choices.set(method.key, known);
      }
      return known;
    }

    #entryOf(method, place) {
      const { case: kase, state, full } = this;
      const { memory } = this.#store;
      const budget = app.snap(kase, method, state.budget);
      const answer = memory.answer(kase.id, method.key, budget);
      return {
        key: method.key,
        method,
        place,
        budget,
        choice: this.#choiceOf(method, budget),
        reached: app.floorOf(kase, method) <= state.budget,
        answer,
        failure: memory.failure(kase.id, method.key, budget),
        likely: app.likeness(answer, full),
      };
    }

    /** One method at the budget, also if it is filtered out; undefined if there is none. */
    entryOf(key) {
      const place = this.case.methods.findIndex((method) => method.key === key);
      return place < 0 ? undefined : this.#entryOf(this.case.methods[place], place);
    }

    /** All methods at the budget, as far as they are known, in the order of the page. */
    get entries() {
      const { methods } = this.case;
      const all = new Map(methods.map((method, i) => [method.key, this.#entryOf(method, i)]));
      const { chance } = this;
      const random = all.get(this.draws[0]);
      if (random) random.likely = chance?.mean ?? null; // it stands where its mean is
      for (const entry of all.values()) {
        const judged = chance && entry !== random && entry.likely !== null;
        entry.worse = Boolean(judged && app.isWorse(entry.likely, chance.mean));
      }
      this.#sort(all);
      const [, , belongs] = app.FAMILIES.find(([name]) => name === this.state.family);
      return this.#order
        .map((key) => all.get(key))
        .filter(({ method }) => method.baseline || belongs(method));
    }

    /** Cards change places when all answers are there or another order is wanted, not before. */
    #sort(all) {
      const { sort } = this.state;
      const here = JSON.stringify([this.case.id, sort, [...all.keys()]]);
      const settled = !this.held && !this.busy && !this.missing.length;
      if (here === this.#sorted && !settled) return;
      const [, , value] = app.SORTS.find(([name]) => name === sort);
      const rank = (entry) => (entry.likely === null && sort !== "listed" ? Infinity : value(entry));
      this.#order = [...all.values()]
        .sort((a, b) => rank(a) - rank(b) || a.place - b.place)
        .map(({ key }) => key);
      this.#sorted = here;
    }

    /** What random patches do at this budget; null until every draw is answered. */
    get chance() {
      const { case: kase, state, draws } = this;
      const answers = draws.map((draw) =>
        this.#store.memory.answer(kase.id, draw, state.budget),
      );
      return answers.includes(null) ? null : app.chance(answers, this.full);
    }

    /** Methods and budgets whose answers make the page complete: [[spec, budget]]. */
    get wanted() {
      const { case: kase, state, draws } = this;
      const others = kase.methods.filter(({ key }) => !draws.includes(key));
      return [
        ...draws.map((draw) => [draw, state.budget]),
        ...others.map((method) => [method.key, app.snap(kase, method, state.budget)]),
      ];
    }

    get missing() {
      const { memory } = this.#store;
      return this.wanted.filter(([spec, budget]) => !memory.tried(this.case.id, spec, budget));
    }

    #isHere(place) {
      return place?.id === this.case?.id && place?.budget === this.state.budget;
    }

    /** Whether answers for what is shown are being worked out. */
    get busy() {
      return this.#isHere(this.#asked);
    }

    get cancelled() {
      return !this.busy && this.#isHere(this.#stopped);
    }

    /** Whether the visitor has to say so before a model works for long. */
    get waits() {
      const { busy, cancelled } = this;
      const asks = this.case.live || this.#isHere(this.#called);
      return !busy && this.missing.length > 0 && (cancelled || !asks);
    }

    move(budget) {
      const { n } = this.case.grid;
      const next = Math.min(n, Math.max(1, Math.round(budget)));
      if (next === this.state.budget) return;
      this.state.budget = next;
      this.error = "";
      this.later();
    }

    /** Change what is shown: sort, family, pair, cursor. */
    set(patch) {
      Object.assign(this.state, patch);
      this.changed();
    }

    /** Make a method one of the two large ones; the longer chosen one gives way. */
    choose(key) {
      const [, last] = this.state.pair;
      if (key !== last) this.set({ pair: [last, key] });
    }

    /** Start, or go on after a cancel. */
    call() {
      const { id } = this.case;
      this.#called = { id, budget: this.state.budget };
      this.#stopped = null;
      this.error = "";
      this.#store.memory.forgive();
      this.settle();
    }

    cancel() {
      if (!this.busy) return;
      this.#stopped = { id: this.case.id, budget: this.state.budget };
      this.#asked = null;
      this.#send?.({ case: this.case.id, wanted: [], ticket: ++this.#ticket }, "announce");
      this.changed();
    }

    settle() {
      this.rested();
      if (this.held || !this.case || this.#store.state.pending) return;
      if (!this.#send || !this.#visible()) return;
      const working = this.busy && performance.now() - this.#asked.at < LOST_MS;
      if (!working) {
        this.#asked = null;
        const wanted = this.missing;
        if (wanted.length && !this.waits && !this.error) this.#ask(wanted);
      }
      this.changed();
    }

    #ask(wanted) {
      const { id } = this.case;
      const { budget } = this.state;
      this.#asked = { id, budget, ticket: ++this.#ticket, at: performance.now() };
      this.#send({ case: id, wanted, ticket: this.#ticket }, "work");
    }

    /** Replies of the server: {ticket, case, answers, done, error}; all answers of a run so far. */
    receive(value) {
      if (!value) return;
      for (const answer of value.answers ?? []) this.#store.memory.keep(value.case, answer);
      if (this.#asked?.ticket === value.ticket) {
        this.#asked.at = performance.now();
        if (value.done) this.#asked = null;
        if (value.error) this.error = value.error;
      }
      if (value.done) {
        this.settle();
        this.#store.changed(); // the other tab shows these answers, too
      }
      this.changed();
    }
  };
})();
