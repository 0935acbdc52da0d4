/**
 * What the visitor is looking at. One store per page: its parts subscribe and are told once per
 * frame. Knows nothing of elements and drawing; when the server is asked is up to answers/.
 *
 * @typedef {Object} State
 * @property {?Object} case the unpacked analysis
 * @property {?Object} pending a case that is being opened: its picture, while methods are at work
 * @property {string} method
 * @property {number} requested the budget that the visitor wants, whatever a method can do
 * @property {number} budget the one that the chosen method can show, nearest to it
 * @property {?number} stage which stage is drawn; null = the last one
 * @property {number} view
 * @property {"rank"|"linear"} colouring
 * @property {"both"|"score"|"kept"} mode
 * @property {number} opacity of the colours, 0 to 1
 * @property {boolean} first whether MDI and AEI count the prompt's first token as text
 * @property {?{full: Answer, kept: Answer, choice: Object, first: boolean}} enlarged two runs whose
 *   curves are drawn large
 * @property {boolean} covered the pruned answer, and all that tells of it, is kept back for a guess
 * @property {number} cursor the token under the pointer or the arrow keys, -1 for none
 */
import { AnswerCache } from "./answers/answer_cache.js";
import { AnswerRequest } from "./answers/answer_request.js";
import { takeMaps } from "./answers/listed_methods.js";
import { MapRequest } from "./answers/map_request.js";
import { OpeningRequest } from "./answers/opening_request.js";
import { Observable } from "./observable.js";
import { choiceAt, ladderOf, readCase, snap } from "./payload.js";

export const FIRST_METHOD = "clsattn";

export class Store extends Observable {
  /** @type {State} */
  state = {
    case: null,
    pending: null,
    method: FIRST_METHOD,
    requested: 0,
    budget: 0,
    stage: null,
    view: 0,
    colouring: "rank",
    mode: "both",
    opacity: 0.55,
    cursor: -1,
    first: false,
    enlarged: null,
    covered: false,
  };
  cache = new AnswerCache();
  answers = new AnswerRequest(this);
  maps = new MapRequest(this);
  opening = new OpeningRequest(this);
  #choice = null;

  constructor() {
    super("draw");
  }

  /** Change how it is shown: stage, view, colouring, mode, opacity, cursor. */
  set(patch) {
    Object.assign(this.state, patch);
    this.changed();
  }

  get method() {
    return this.state.case?.methods.find(({ key }) => key === this.state.method) ?? null;
  }

  /** What the chosen method keeps at the budget. */
  get choice() {
    return this.#choice;
  }

  /** Whether another case is on its way, so that nothing should be begun on this one. */
  get isOpening() {
    return Boolean(this.state.pending) || this.opening.isForCase;
  }

  #moveTo(budget) {
    if (budget === this.state.budget && this.#choice?.method === this.method) return;
    this.state.budget = budget;
    this.#choice = choiceAt(this.state.case, this.method, budget);
    this.answers.moved();
  }

  /** The rung of the ladder nearest to a third of all tokens. */
  #firstBudget() {
    const third = this.state.case.grid.n / 3;
    const nearer = (a, b) => (Math.abs(b - third) < Math.abs(a - third) ? b : a);
    return this.ladder.length ? this.ladder.reduce(nearer) : third;
  }

  /** Show another analysis; method and budget stay where they can. */
  openCase(raw) {
    if (!raw) return;
    const { state } = this;
    state.pending = raw.pending ? raw : null;
    if (raw.id !== state.case?.id) this.maps.forget();
    if (raw.pending) return this.changed();
    const other = raw.id !== state.case?.id;
    const retold = !other && raw.truth !== state.case.truth;
    state.case = readCase(raw);
    if (retold) this.cache.forget(raw.id); // other answers are right now
    for (const answer of raw.answers ?? []) this.keep(raw.id, answer);
    const keys = state.case.methods.map(({ key }) => key);
    const follows = state.case.rest.find(({ key }) => key === state.method)?.key;
    if (!keys.includes(state.method)) {
      const first = state.case.methods.find(({ baseline }) => !baseline)?.key ?? keys[0];
      state.method = keys.includes(FIRST_METHOD) ? FIRST_METHOD : first;
    }
    [this.#wanted, this.#failed] = [null, null];
    if (other) {
      Object.assign(state, { stage: null, view: 0, cursor: -1 });
      this.answers.forget();
    }
    this.#choice = null;
    state.enlarged = null; // its curves are those of the case before
    const { method, budget } = { ...raw.show };
    if (keys.includes(method)) Object.assign(state, { method, stage: null });
    state.requested = budget ?? (state.requested || this.#firstBudget());
    this.#moveTo(snap(state.case, this.method, state.requested));
    const late = method ?? follows; // one whose map is still to be worked out
    if (late) this.chooseMethod(late);
    this.answers.schedule();
  }

  /**
   * Keep an answer; false if it was on its way when the visitor said what is right, and so nobody has
   * judged it by that.
   */
  keep(id, answer) {
    const { case: open } = this.state;
    const early = open?.id === id && open.truth && !answer.error && typeof answer.right !== "boolean";
    if (!early) this.cache.keep(id, answer);
    return !early;
  }

  /**
   * Take in maps of the open case: of a method that was chosen or has changed settings, or those that
   * it came without. last: no other follows.
   */
  addMethods(id, maps, last = false) {
    const { case: open } = this.state;
    if (open?.id !== id) return;
    takeMaps(open, maps, last);
    if (open.methods.some(({ key }) => key === this.#wanted)) this.chooseMethod(this.#wanted);
    this.changed();
  }

  /** What a case came without could not be worked out; what was chosen is asked for by itself. */
  withoutRest(id) {
    const { case: open } = this.state;
    if (open?.id !== id) return;
    open.rest = [];
    if (this.#wanted) this.maps.ask(this.#wanted);
    this.changed();
  }

  /** The map of a method could not be drawn: what was shown before stays, and the reason is told. */
  withoutMap(id, key) {
    if (this.state.case?.id !== id || this.#wanted !== key) return;
    [this.#wanted, this.#failed] = [null, key];
    this.changed();
  }

  /** A case could not be opened after all: the one before it is still there. */
  giveUp(id) {
    if (this.state.pending?.id === id) this.state.pending = null;
    this.changed();
  }

  #wanted = null; // a method whose map is being worked out because it was chosen
  #failed = null; // the one that was chosen last and could not be drawn

  #titleOf(spec) {
    const { listed = [], later = [] } = this.state.case ?? {};
    return [...listed, ...later].find(({ key }) => key === spec)?.title ?? spec;
  }

  /** The title of a method that was chosen and is being worked out, or null. */
  get coming() {
    return this.#wanted && this.#titleOf(this.#wanted);
  }

  /** Why the method that was chosen last is not shown, or null. */
  get refusal() {
    const reason = this.maps.failures.get(this.#failed);
    return reason ? `${this.#titleOf(this.#failed)} can't be shown: ${reason}` : null;
  }

  chooseMethod(key) {
    const { state } = this;
    if (!state.case) return;
    this.#failed = null;
    if (key === state.method) return;
    const known = state.case.methods.some((method) => method.key === key);
    this.#wanted = known ? null : key;
    if (!known) {
      this.maps.ask(key);
      return this.changed();
    }
    Object.assign(state, { method: key, stage: null });
    this.#moveTo(snap(state.case, this.method, state.requested));
    this.answers.schedule();
  }

  /** Go to a method and a budget, as far as they are named. */
  show({ method = this.state.method, budget = this.state.requested }) {
    this.chooseMethod(method);
    this.moveBudget(budget);
  }

  /** Move the budget; a direction (-1, 1) makes a small step reach the next point. */
  moveBudget(value, direction = 0) {
    const { state } = this;
    if (!state.case) return;
    const reached = snap(state.case, this.method, value, state.budget, direction);
    const { n } = state.case.grid;
    state.requested = direction ? reached : Math.min(n, Math.max(1, Math.round(value)));
    this.#moveTo(reached);
    this.answers.schedule();
  }

  /** The answer with all tokens. */
  get full() {
    return this.fullOf(this.state.case);
  }

  /** The answer with all tokens of a case. */
  fullOf(kase) {
    return kase ? (kase.full ?? this.cache.answer(kase.id, "full", kase.grid.n)) : null;
  }

  /** Budgets of the ladder, ascending, as far as the chosen method can show them. */
  get ladder() {
    const { method, state } = this;
    return method ? ladderOf(state.case, method) : [];
  }

  /** A complete answer of the chosen method, if it is known. */
  known(budget) {
    return this.cache.answer(this.state.case?.id, this.state.method, budget);
  }

  /** Whether an answer says the same as the full one; null while there is none to compare. */
  same(answer) {
    const { full } = this;
    return answer.same ?? (full ? answer.text === full.text : null);
  }

  /**
   * Where the answer first changes, coming from all tokens.
   * @returns {{at: ?number, lowest: ?number, complete: boolean}} among the known answers;
   *   complete: the whole ladder is known
   */
  get breaks() {
    const { state, ladder } = this;
    const all = state.case ? this.cache.of(state.case.id) : [];
    const answers = all.filter(({ method }) => method === state.method);
    const differing = answers.filter((a) => this.same(a) === false).map((a) => a.budget);
    return {
      at: differing.length ? Math.max(...differing) : null,
      lowest: answers.length ? Math.min(...answers.map((a) => a.budget)) : null,
      complete: ladder.every((budget) => this.known(budget)),
    };
  }
}
