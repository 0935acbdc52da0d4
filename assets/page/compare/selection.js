/**
 * What the tab "Compare" looks at: one budget for all methods, which methods are shown (all, or two
 * to six that were chosen) and in what order, which two are large. When it asks is up to common/answers/batch_request.js. Knows nothing
 * of elements.
 */
import { BatchRequest } from "../common/answers/batch_request.js";
import { chanceOf, isWorse, likelihood } from "../common/measures.js";
import { choiceAt, floorOf, snap } from "../common/payload.js";

const CALM_MS = 80; // what is slow to draw is drawn when nothing has moved for so long

/** What a visitor can filter by; baselines always stay. */
export const FAMILIES = [
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

/** How many methods can be chosen to be compared by themselves. */
export const FEWEST = 2;
export const MOST = 6;

/** The sort by which cards stand in groups; all others sort them across groups. */
export const BY_GROUP = "p";

/** What a visitor can sort by; smaller values come first, what is not known comes last. */
export const SORTS = [
  [BY_GROUP, "in groups, probability of the full answer", (entry) => -entry.likelihood],
  ["likely", "probability of the full answer", (entry) => -entry.likelihood],
  ["same", "same answer first", (entry) => -(entry.answer?.same ?? -1) - entry.likelihood / 2],
  ["right", "right answer first", (entry) => -(entry.answer?.right ?? -1) - entry.likelihood / 2],
  ["ms", "selection time", (entry) => entry.answer?.seconds?.select ?? Infinity],
  ["listed", "as listed", (entry) => entry.place],
];

export class CompareSelection extends BatchRequest {
  state = { budget: 0, sort: "p", family: "all", pair: [], cursor: -1, chosen: [] };
  #redraw = () => {};
  #calm = 0;
  #order = []; // keys of all methods, in the order of the page
  #sorted = ""; // what that order was made for
  #shown = null; // the case that is shown
  #explored = 0; // the budget in the tab "Explore" when it was last looked at
  #choices = new Map();

  constructor(store) {
    super("compare", store);
  }

  /** Call `draw()` when something has changed, `redraw()` when all is calm. */
  mount(draw, redraw, visible) {
    this.#redraw = redraw;
    this.visible = visible;
    this.subscribe(draw);
    this.follow();
  }

  tell() {
    if (!this.#shown || !this.visible()) return;
    super.tell();
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => {
      this.#calm = 0;
      this.#redraw();
    }, CALM_MS);
  }

  /** Whether what waits until nothing moves has been drawn. */
  get calm() {
    return this.#calm === 0;
  }

  /** The tab was opened, or something changed in the tab "Explore". */
  follow() {
    if (this.visible()) this.store.maps.askRest();
    if (!this.case || !this.visible()) return;
    const { state, case: kase } = this;
    const explored = this.store.state.budget;
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
    this.schedule();
  }

  /** The method of the tab "Explore", and one that goes about it in another way. */
  #firstPair() {
    const { methods } = this.case;
    const first = this.store.method ?? methods[0];
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
      known = choiceAt(this.case, method, budget);
      this.#choices.set(method.key, known);
    }
    return known;
  }

  #entryOf(method, place) {
    const { case: kase, state, full } = this;
    const { cache } = this.store;
    const budget = snap(kase, method, state.budget);
    const answer = cache.answer(kase.id, method.key, budget);
    return {
      key: method.key,
      method,
      place,
      budget,
      choice: this.#choiceOf(method, budget),
      reached: floorOf(kase, method) <= state.budget,
      answer,
      failure: cache.failure(kase.id, method.key, budget),
      likelihood: likelihood(answer, full),
    };
  }

  /** One method at the budget, also if it is filtered out; undefined if there is none. */
  entryOf(key) {
    const place = this.case.methods.findIndex((method) => method.key === key);
    return place < 0 ? undefined : this.#entryOf(this.case.methods[place], place);
  }

  /** All methods at the budget in the order of the page; among chosen ones the large two come first. */
  get entries() {
    const { methods } = this.case;
    const all = new Map(methods.map((method, i) => [method.key, this.#entryOf(method, i)]));
    const random = all.get(this.draws[0]);
    const known = new Map(); // many methods have the same random
    for (const entry of all.values()) {
      const place = `${entry.method.draws[0]} ${entry.budget}`;
      if (!known.has(place)) known.set(place, this.#chanceAt(entry.method.draws, entry.budget));
      entry.chance = known.get(place);
      const judged = entry.chance && entry !== random && entry.likelihood !== null;
      entry.worse = Boolean(judged && isWorse(entry.likelihood, entry.chance));
    }
    if (random) random.likelihood = random.chance?.mean ?? null; // it stands where its mean is
    this.#sort(all);
    const [, , belongs] = FAMILIES.find(([name]) => name === this.state.family);
    const inOrder = this.#order.map((key) => all.get(key));
    const { chosen } = this;
    if (!chosen) return inOrder.filter(({ method }) => method.baseline || belongs(method));
    const { pair } = this.state;
    const place = ({ key }) => (pair.includes(key) ? pair.indexOf(key) : pair.length);
    return inOrder.filter(({ key }) => chosen.has(key)).sort((a, b) => place(a) - place(b));
  }

  /** Cards change places when all answers are there or another order is wanted, not before. */
  #sort(all) {
    const { sort } = this.state;
    const here = JSON.stringify([this.case.id, sort, [...all.keys()]]);
    const calm = this.settled && !this.held && !this.busy && !this.missing.length;
    if (here === this.#sorted && !calm) return;
    const [, , value] = SORTS.find(([name]) => name === sort);
    const rank = (entry) =>
      entry.likelihood === null && sort !== "listed" ? Infinity : value(entry);
    this.#order = [...all.values()]
      .sort((a, b) => rank(a) - rank(b) || a.place - b.place)
      .map(({ key }) => key);
    this.#sorted = here;
  }

  /** What random patches do at this budget; null until every draw is answered. */
  get chance() {
    return this.#chanceAt(this.draws, this.state.budget);
  }

  #chanceAt(draws, budget) {
    const answers = draws.map((draw) => this.store.cache.answer(this.case.id, draw, budget));
    return answers.includes(null) ? null : chanceOf(answers, this.full);
  }

  /**
   * Methods and budgets whose answers make the page complete: [[spec, budget]]. Draws of random
   * come first, those that only some methods are measured by last.
   */
  get wanted() {
    const { case: kase, state, draws } = this;
    const { chosen } = this;
    const others = kase.methods.filter(
      ({ key }) => !draws.includes(key) && (!chosen || chosen.has(key)),
    );
    const placed = others.map((method) => [method, snap(kase, method, state.budget)]);
    const all = [
      ...draws.map((draw) => [draw, state.budget]),
      ...placed.map(([method, budget]) => [method.key, budget]),
      ...placed.flatMap(([method, budget]) => method.draws.map((draw) => [draw, budget])),
    ];
    return [...new Map(all.map((pair) => [pair.join(" "), pair])).values()];
  }

  get here() {
    const { case: kase, state, chosen } = this;
    return kase ? [kase.id, state.budget, ...(chosen ?? [])].join(" ") : "";
  }

  move(budget) {
    const { n } = this.case.grid;
    const next = Math.min(n, Math.max(1, Math.round(budget)));
    if (next === this.state.budget) return;
    this.state.budget = next;
    this.error = "";
    this.schedule();
  }

  /** Change what is shown: sort, family, pair, cursor. */
  set(patch) {
    Object.assign(this.state, patch);
    this.changed();
  }

  /** The methods that were chosen, or null as long as all are shown. */
  get chosen() {
    const there = this.state.chosen.filter((key) => this.case.methods.some((m) => m.key === key));
    return there.length >= FEWEST ? new Set(there) : null;
  }

  /** Compare chosen methods only; the two large ones are among them. */
  compareOnly(keys) {
    this.state.chosen = keys.slice(0, MOST);
    const { chosen } = this;
    if (chosen && !this.state.pair.every((key) => chosen.has(key))) {
      this.state.pair = [...chosen].slice(0, 2);
    }
    this.schedule();
  }

  /** Make a method one of the two large ones; the longer chosen one gives way. */
  choose(key) {
    const [, last] = this.state.pair;
    if (key !== last) this.set({ pair: [last, key] });
  }
}
