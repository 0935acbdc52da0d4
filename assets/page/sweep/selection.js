/**
 * What the tab "Sweep" looks at: which methods are chosen, and what is known of their answers over
 * their ladders. When it asks is up to
 * common/answers/batch_request.js. Knows nothing of elements.
 *
 * @typedef {Object} Curve one method over its ladder
 * @property {string} key
 * @property {string} title
 * @property {number} place among the colours
 * @property {number} floor
 * @property {{budget: number, answer: ?Answer, failure: ?Answer, likelihood: ?number, same: ?boolean}[]}
 *   points ascending
 * @property {boolean} done whether every point has an answer; only then the next ones are known
 * @property {?number} kStar
 * @property {?number} flips
 * @property {?number} auc area under the curve
 */
import { BatchRequest } from "../common/answers/batch_request.js";
import { chanceOf, likelihood } from "../common/measures.js";
import { floorOf, ladderOf } from "../common/payload.js";
import { auc, coarseFirst, everySecond, heightsAt, kStar, nFlips } from "./measures.js";

export class SweepSelection extends BatchRequest {
  state = { chosen: [], stage: "middle", first: false };
  #shown = null; // id of the case that is shown
  #curves = new Map(); // of the present case; forgotten whenever an answer comes
  #places = new Map(); // of chosen methods among the colours; stays when others leave

  constructor(store) {
    super("sweep", store);
  }

  /** Call `draw()` when something has changed. */
  mount(draw, visible) {
    this.visible = visible;
    this.subscribe(draw);
    this.follow();
  }

  tell() {
    if (this.case && this.visible()) super.tell();
  }

  /** The tab was opened, or something changed in another one. */
  follow() {
    if (this.visible()) this.store.maps.askRest();
    if (!this.case || !this.visible()) return;
    if (this.#shown !== this.case.id) this.error = "";
    this.#shown = this.case.id;
    this.#curves.clear();
    this.schedule();
  }

  /** Chosen methods of the case that is open, in the order in which they were chosen. */
  get methods() {
    const all = new Map(this.case.methods.map((method) => [method.key, method]));
    return this.state.chosen.filter((key) => all.has(key)).map((key) => all.get(key));
  }

  /** Take a method in or leave it out; one that is slow is first worked out. */
  choose(key, taken) {
    const { chosen } = this.state;
    if (taken === chosen.includes(key)) return;
    this.state.chosen = taken ? [...chosen, key] : chosen.filter((other) => other !== key);
    if (!taken) this.#places.delete(key);
    else if (!this.#places.has(key)) {
      const used = new Set(this.#places.values());
      let free = 0;
      while (used.has(free)) free++;
      this.#places.set(key, free);
    }
    if (!this.case) return;
    if (taken && !this.case.methods.some((method) => method.key === key)) this.store.maps.ask(key);
    this.error = "";
    this.schedule();
  }

  /** Show the MDI of early, middle or late layers, with the prompt's first token or without. */
  showMdi(part) {
    Object.assign(this.state, part);
    this.changed();
  }

  get mdi() {
    const { stage, first } = this.state;
    return { stage, first };
  }

  #point(spec, budget) {
    const { case: kase, full } = this;
    const { cache } = this.store;
    const { n } = kase.grid;
    // with all tokens every method is the full run
    const whole = budget === n && full ? { ...full, method: spec } : null;
    const answer = whole ?? cache.answer(kase.id, spec, budget);
    return {
      budget,
      answer,
      failure: answer ? null : cache.failure(kase.id, spec, budget),
      likelihood: likelihood(answer, full),
      same: answer ? this.store.same(answer) : null,
    };
  }

  /** @returns {Curve} */
  #curve(spec, method, thin = false) {
    const known = this.#curves.get(spec);
    if (known) return known;
    const all = ladderOf(this.case, method);
    const rungs = thin ? everySecond(all) : all;
    const points = rungs.map((budget) => this.#point(spec, budget));
    const done = points.every(({ answer }) => answer);
    const same = points.map((point) => point.same);
    const likelihoods = points.map((point) => point.likelihood);
    const curve = {
      key: spec,
      title: method.title,
      place: this.#places.get(spec) ?? 0,
      floor: floorOf(this.case, method),
      points,
      done,
      kStar: done ? kStar(rungs, same) : null,
      flips: done ? nFlips(same) : null,
      auc: done ? auc(rungs, likelihoods) : null,
    };
    this.#curves.set(spec, curve);
    return curve;
  }

  /**
   * The chosen methods over their ladders. chance: the random that a method is read against;
   * aucRandom: what that one has over the same budgets.
   */
  get curves() {
    const chances = new Map(
      this.#randoms.map(([spec, draws]) => [spec, this.#chanceOf(draws)]),
    );
    return this.methods.map((method) => {
      const curve = this.#curve(method.key, method);
      const [spec] = method.draws;
      const chance = chances.get(spec);
      const known = chance.every((each) => each);
      const [budgets, means] = [chance.map((c) => c?.budget), chance.map((c) => c?.mean)];
      const rungs = curve.points.map(({ budget }) => budget);
      const there = known && curve.done ? heightsAt(rungs, budgets, means) : null;
      return { ...curve, random: spec, chance, aucRandom: there && auc(rungs, there) };
    });
  }

  /** Every random that is drawn, and its draws over its ladder: [[spec, curves]]. */
  get #randoms() {
    const plain = this.case.methods.find(({ key }) => key === this.draws[0]);
    const each = new Map();
    for (const method of [...(plain ? [plain] : []), ...this.methods]) {
      // before the language model random can go lower than some methods
      const ladder = method.where === "before the LLM" && plain ? plain : method;
      const [spec] = method.draws;
      if (each.has(spec)) continue;
      each.set(
        spec,
        method.draws.map((draw) => this.#curve(draw, ladder, spec !== this.draws[0])),
      );
    }
    return [...each];
  }

  /** The draws of random over the ladder. */
  get random() {
    const method = this.case.methods.find(({ key }) => key === this.draws[0]);
    return method ? this.draws.map((draw) => this.#curve(draw, method)) : [];
  }

  /** What random does at each budget of the ladder; null where a draw is not answered yet. */
  get chance() {
    return this.#chanceOf(this.random);
  }

  #chanceOf(random) {
    const { full } = this;
    return (random[0]?.points ?? []).map(({ budget }, i) => {
      const answers = random.map(({ points }) => points[i].answer);
      const found = answers.includes(null) ? null : chanceOf(answers, full);
      return found && { ...found, budget };
    });
  }

  /** What makes the page complete, coarse before fine: [[spec, budget]]. */
  get wanted() {
    const drawn = this.#randoms.flatMap(([, curves]) => curves);
    const all = [...this.methods.map((m) => this.#curve(m.key, m)), ...drawn];
    const { n } = this.case.grid;
    const ordered = all.flatMap(({ key, points }) => {
      const open = points.filter(({ budget }) => budget < n);
      return coarseFirst(open.length).map((place, i) => [i, key, open[place].budget]);
    });
    return ordered.sort((a, b) => a[0] - b[0]).map(([, key, budget]) => [key, budget]);
  }

  get here() {
    return this.case?.id ?? "";
  }

  answered() {
    this.#curves.clear();
  }
}
