/**
 * A lesson that drives the page: which step is shown, what the page shows at it, and what the student
 * has guessed. Sets the same state that a visitor sets by hand. Knows no elements.
 *
 * @typedef {Object} Step
 * @property {string} title
 * @property {string} text
 * @property {?string} then said after the guess
 * @property {?Guess} guess see guesses.js
 * @property {{full?: string, pruned?: string}} claims what the text takes for granted
 * @property {Object} show scene, question, model, method, budget, drawn, grid, tab
 */
import { openTab } from "../../common/bridge.js";
import { Observable } from "../../common/observable.js";
import { Request } from "../../common/request.js";
import { askFor, isAboutOthers, lateMdi, overlaps, truthOf } from "./guesses.js";
import { guessesOf, note, tear } from "./notebook.js";

const OF_A_CASE = ["scene", "question", "model"];
const AS_EVER = { mode: "both", covered: false };

export class LessonPlayer extends Observable {
  lessons = []; // [{name, title, about, steps}]
  lesson = null; // the one that is open
  number = 0; // of the step, from 1; one more than there are is the summing up
  painted = new Set(); // patches, before they are a guess
  #store;
  #address;
  #picks = new Request();
  #guesses = {}; // of this lesson, by step

  /** @param {Store} store @param {Address} address */
  constructor(store, address) {
    super("lesson");
    this.#store = store;
    this.#address = address;
    store.subscribe(() => this.#follow());
  }

  /** Give the way to ask what patches answer. */
  connect(send) {
    this.#picks.connect(send);
  }

  get step() {
    return this.lesson?.steps[this.number - 1] ?? null;
  }

  get isSummingUp() {
    return this.lesson !== null && this.number > this.lesson.steps.length;
  }

  /** The guess of this step as it was made: {said, right, ...}, or null. */
  get guessed() {
    return this.#guesses[this.number] ?? null;
  }

  get guesses() {
    return this.#guesses;
  }

  /** Whether the page keeps something back until the student has guessed. */
  get waits() {
    return Boolean(this.step?.guess && !this.guessed);
  }

  /** Open a lesson at a step; a name that there is not opens the first one. */
  open(name, number = 1) {
    const lesson = this.lessons.find((each) => each.name === name) ?? this.lessons[0];
    if (lesson !== this.lesson) this.#guesses = guessesOf(lesson.name);
    this.lesson = lesson;
    this.#go(number);
  }

  next() {
    if (this.lesson && !this.isSummingUp) this.#go(this.number + 1);
  }

  back() {
    if (this.lesson && this.number > 1) this.#go(this.number - 1);
  }

  /** Begin again, with nothing guessed. */
  restart() {
    this.#guesses = tear(this.lesson.name);
    this.#go(1);
  }

  /** Give the page back to the visitor. */
  leave() {
    if (!this.lesson) return;
    this.left();
    this.#address.leaveLesson();
  }

  /** The visitor has gone elsewhere: the address says already where. */
  left() {
    this.lesson = null;
    this.painted.clear();
    this.#picks.drop();
    this.#store.set(AS_EVER);
    this.changed();
  }

  #go(number) {
    this.number = Math.min(this.lesson.steps.length + 1, Math.max(1, Math.trunc(number) || 1));
    this.painted.clear();
    this.#picks.drop();
    this.#address.teach({ lesson: this.lesson.name, step: String(this.number) });
    this.#show();
    this.changed();
  }

  /** Set what the page shows at this step. */
  #show() {
    const shown = this.#wanted();
    const { state, isOpening, opening } = this.#store;
    this.#store.set({ mode: shown.drawn, stage: null, view: 0, covered: this.waits });
    openTab(shown.tab, false);
    if (!this.#isOpen(state.case) || isOpening) {
      const query = new URLSearchParams(OF_A_CASE.map((name) => [name, shown[name]]));
      query.set("method", shown.method);
      query.set("budget", shown.budget);
      opening.ask({ kind: "link", query: `?${query}` });
    } else this.#store.show(shown);
  }

  /** What this step wants to show: where patches are to be painted, first the bare picture. */
  #wanted() {
    const { show, guess } = this.step ?? this.lesson.steps.at(-1);
    if (guess?.kind !== "patches") return show;
    const n = this.#store.state.case?.grid.n ?? show.budget;
    if (!this.guessed) return { ...show, budget: n, drawn: "kept" };
    return { ...show, budget: this.guessed.said.length };
  }

  #isOpen(kase) {
    const { scene, question, model } = this.#wanted();
    return kase?.seed === scene && kase.question === question && kase.model === model;
  }

  /** Whether the page shows what this step is about, answers and all. */
  get isReady() {
    const { state, isOpening, full, answers } = this.#store;
    const { answer } = answers.pruned;
    return (
      this.#isOpen(state.case) &&
      !isOpening &&
      state.method === this.#wanted().method &&
      !(isAboutOthers(this.step?.guess) && state.case.rest.length) &&
      Boolean(full && answer && !answer.partial)
    );
  }

  /** Something on the page has changed: perhaps a guess can be judged now. */
  #follow() {
    if (!this.lesson) return;
    const { guess } = this.step ?? {};
    const guessed = this.guessed;
    if (isAboutOthers(guess)) this.#store.maps.askRest();
    if (guess && this.isReady) {
      askFor(guess, this.#store);
      if (guessed && guess.kind !== "patches" && guessed.right === undefined) {
        const truth = truthOf(guess, this.#store);
        if (truth) this.#note({ ...guessed, truth, right: truth.includes(guessed.said) });
      }
    }
    this.changed();
  }

  #note(guess) {
    this.#guesses = note(this.lesson.name, this.number, guess);
    this.changed();
  }

  /** Guess a value; it is judged as soon as the page knows. */
  guess(said) {
    if (!this.waits) return;
    this.#note({ said, kind: this.step.guess.kind });
    this.#store.set({ covered: false });
    this.#follow();
  }

  /** Paint or wipe patches. */
  paint(tokens, on) {
    for (const token of tokens) {
      if (on) this.painted.add(token);
      else this.painted.delete(token);
    }
    this.changed();
  }

  /** The painted patches are the guess: compare them, and ask what is answered from them alone. */
  guessPatches() {
    if (!this.waits || !this.painted.size || !this.isReady) return;
    const said = [...this.painted].sort((a, b) => a - b);
    const best = overlaps(said, this.#store);
    this.#note({ said, kind: "patches", best: best.slice(0, 3), worst: best.at(-1) });
    this.painted.clear();
    const { case: open } = this.#store.state;
    this.#picks.send({ case: open.id, kept: said, method: this.step.show.method });
    this.#show();
    this.changed();
  }

  /** What the server answers from the student's patches. */
  receive(reply) {
    if (!reply || !this.#picks.receive(reply) || !this.guessed) return;
    const { answer, error } = reply;
    const right = answer ? answer.right ?? answer.same : undefined;
    this.#note({ ...this.guessed, answer: answer?.text, error, right });
  }

  /** What the text of this step takes for granted and is not so with this model, or "". */
  get broken() {
    const { full, answers } = this.#store;
    const { claims } = this.step ?? {};
    if (!claims || !this.isReady || this.waits) return "";
    const { answer } = answers.pruned;
    const right = full.right ? "right" : "wrong";
    const same = this.#store.same(answer) ? "same" : "changed";
    const off =
      (claims.full && claims.full !== right) ||
      (claims.pruned && this.step.guess?.kind !== "patches" && claims.pruned !== same);
    return off ? "This model answers otherwise than the lesson says." : "";
  }

  /** Put what the page shows into a text: {full}, {pruned}, {truth}, {budget}, {tokens}, ... */
  fill(text) {
    const { state, full, answers, method } = this.#store;
    const known = this.isReady;
    const mdi = lateMdi(this.#store);
    const words = {
      full: known ? full.text : "…",
      pruned: known && !state.covered ? answers.pruned.answer.text : "…",
      truth: state.case?.truth ?? "…",
      budget: state.budget,
      tokens: state.case?.grid.n ?? "…",
      method: known ? method.title : "…",
      mdi: known && mdi !== null ? mdi.toFixed(1) : "…",
    };
    return text.replaceAll(/\{(\w+)\}/g, (_, name) => String(words[name]));
  }
}
