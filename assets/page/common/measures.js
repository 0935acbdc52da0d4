/**
 * How far methods agree: shared kept patches, rank correlation of scores, disputed patches, what
 * chance does. Numbers in, numbers out; knows nothing of the page. The same definitions as
 * explorer/metrics/agreement.py and explorer/metrics/fidelity.py. Letters: N visual tokens.
 */

const PHRASE = 8; // tokens; the probability of a longer answer is told per token

/** Patches that are alive as they were after the last stage, as bits of whole numbers. */
export function keptBits(choice) {
  const { fate } = choice.stages.at(-1);
  const bits = new Uint32Array(Math.ceil(fate.length / 32));
  for (let t = 0; t < fate.length; t++) {
    if (fate[t] === 0) bits[t >> 5] |= 1 << (t & 31);
  }
  return bits;
}

function ones(word) {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return (((x + (x >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

/** How many patches two kept sets share, and how many only one of them has. */
export function overlap(a, b) {
  const counts = { both: 0, onlyA: 0, onlyB: 0 };
  for (let i = 0; i < a.length; i++) {
    counts.both += ones(a[i] & b[i]);
    counts.onlyA += ones(a[i] & ~b[i]);
    counts.onlyB += ones(b[i] & ~a[i]);
  }
  return counts;
}

/** |A n B| / |A u B|, or NaN where one of the two keeps no patch as it was. */
export function jaccard(a, b) {
  const { both, onlyA, onlyB } = overlap(a, b);
  return both + onlyA && both + onlyB ? both / (both + onlyA + onlyB) : NaN;
}

/** Places from 1 for the smallest score, equal ones sharing the mean place; centred, length 1. */
export function placesOf(score) {
  const order = [...score.keys()].sort((a, b) => score[a] - score[b]);
  const places = new Float64Array(score.length);
  for (let i = 0, j; i < order.length; i = j) {
    for (j = i; j < order.length && score[order[j]] === score[order[i]]; j++);
    for (let k = i; k < j; k++) places[order[k]] = (i + j + 1) / 2;
  }
  const mean = (score.length + 1) / 2;
  const length = Math.sqrt(places.reduce((sum, place) => sum + (place - mean) ** 2, 0));
  return places.map((place) => (place - mean) / length); // NaN where all scores are the same
}

/** Spearman's rank correlation of two lists of `placesOf`. */
export function spearman(a, b) {
  let sum = 0;
  for (let t = 0; t < a.length; t++) sum += a[t] * b[t];
  return Math.max(-1, Math.min(1, sum));
}

/** How many of the choices keep each patch as it was, [N]. */
export function votesOf(choices, n) {
  const counts = new Uint16Array(n);
  for (const choice of choices) {
    const { fate } = choice.stages.at(-1);
    for (let t = 0; t < n; t++) counts[t] += fate[t] === 0;
  }
  return counts;
}

export const isLong = (full) => (full?.tokens.length ?? 0) > PHRASE;

/** Probability of the full answer in a pruned run; of a long one, the mean per token. */
export function likelihood(answer, full) {
  if (typeof answer?.p_full !== "number") return null;
  if (!isLong(full) || typeof answer.drop !== "number") return answer.p_full;
  return Math.exp(Math.log(Math.max(full.p_full, 1e-300)) / (full.tokens.length + 1) - answer.drop);
}

const digits = (p) => Math.round(100 * p);

/** Whether a probability is below all draws of a random at the two digits that are shown. */
export const isWorse = (likelihood, chance) => digits(likelihood) < digits(chance.low);

/**
 * What random patches do over several draws, once all of them are answered: mean, spread, and the
 * smallest and largest.
 * @returns {?{mean: number, spread: number, low: number, high: number, same: number,
 *   right: ?number, draws: number}}
 */
export function chanceOf(answers, full) {
  const found = answers.map((answer) => likelihood(answer, full));
  if (!found.length || found.some((p) => p === null)) return null;
  const mean = found.reduce((sum, p) => sum + p, 0) / found.length;
  const square = found.reduce((sum, p) => sum + (p - mean) ** 2, 0);
  const rights = answers.map(({ right }) => right);
  return {
    mean,
    spread: found.length > 1 ? Math.sqrt(square / (found.length - 1)) : 0,
    low: Math.min(...found),
    high: Math.max(...found),
    same: answers.filter(({ same }) => same).length,
    right: rights.includes(null) ? null : rights.filter(Boolean).length,
    draws: found.length,
  };
}
