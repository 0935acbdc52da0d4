/**
 * What a student may guess, and what turns out to be right: read from the answers that the page has,
 * never from the lesson's file (but for a teacher's own choice). Knows the store; no elements.
 *
 * @typedef {{kind: string, question: string, options?: string[], right?: number}} Guess
 */
import { jaccard, keptBits } from "../../common/measures.js";
import { choiceAt, snap } from "../../common/payload.js";

/** The method of a spec, as far as the open case knows it. */
const methodOf = (store, spec) => store.state.case?.methods.find(({ key }) => key === spec);

const titleOf = (store, spec) =>
  store.state.case?.listed.find(({ key }) => key === spec)?.title ?? spec;

/** The budget nearest to that of the page which a method of the open case can show. */
function budgetOf(store, spec) {
  const method = methodOf(store, spec);
  const { case: open, requested } = store.state;
  return method ? snap(open, method, requested) : requested;
}

const answerOf = (store, spec) =>
  store.cache.answer(store.state.case?.id, spec, budgetOf(store, spec));

/** Late layers' MDI of the answer with all tokens, or null. */
export const lateMdi = (store) => store.full?.dominance?.stages.late?.[0] ?? null;

const YES_NO = [
  ["yes", "Yes, it stays"],
  ["no", "No, it changes"],
];
const SOURCES = [
  ["text", "To the text"],
  ["picture", "To the picture"],
];

/** What can be chosen from: [[value, words]]; nothing where patches are painted. */
export function optionsOf(guess, store) {
  if (guess.kind === "survives") return YES_NO;
  if (guess.kind === "listens") return SOURCES;
  if (guess.kind === "choice") return guess.options.map((words, i) => [String(i + 1), words]);
  if (guess.kind === "keeper")
    return guess.options.map((spec, i) => [
      spec,
      guess.words?.[i] ?? titleOf(store, spec),
    ]);
  return [];
}

/** Whether a guess is about methods that are not looked at, so that it takes all their maps. */
export const isAboutOthers = (guess) => ["keeper", "patches"].includes(guess?.kind);

/** Ask for what is missing before a guess can be judged. */
export function askFor(guess, store) {
  if (guess.kind !== "keeper") return;
  const { case: open, method } = store.state;
  const missing = guess.options.find(
    (spec) => spec !== method && open && !store.cache.tried(open.id, spec, budgetOf(store, spec)),
  );
  if (missing) store.answers.askBesides(missing, [budgetOf(store, missing)]);
}

/**
 * The values that are right, or null while that isn't known.
 * @returns {?string[]}
 */
export function truthOf(guess, store) {
  const { kind } = guess;
  if (kind === "choice") return [String(guess.right)];
  if (kind === "listens") {
    const mdi = lateMdi(store);
    return mdi === null ? null : [mdi > 1 ? "text" : "picture"];
  }
  if (kind === "survives") {
    const { answer } = store.answers.pruned;
    const same = answer && !answer.partial && !answer.error ? store.same(answer) : null;
    return same === null ? null : [same ? "yes" : "no"];
  }
  if (kind !== "keeper") return null;
  const answers = guess.options.map((spec) => answerOf(store, spec));
  if (answers.some((answer) => !answer)) return null;
  return guess.options.filter((_, i) => store.same(answers[i]) === true);
}

/**
 * How far a set of patches is what each method keeps at as many tokens.
 * @param {number[]} tokens the student's
 * @returns {{title: string, iou: number, budget: number}[]} best first
 */
export function overlaps(tokens, store) {
  const { case: open } = store.state;
  const bits = new Uint32Array(Math.ceil(open.grid.n / 32));
  for (const token of tokens) bits[token >> 5] |= 1 << (token & 31);
  return open.methods
    .map((method) => {
      const budget = snap(open, method, tokens.length);
      const iou = jaccard(bits, keptBits(choiceAt(open, method, budget)));
      return { title: method.title, iou: Number.isNaN(iou) ? 0 : iou, budget };
    })
    .sort((a, b) => b.iou - a.iou);
}
