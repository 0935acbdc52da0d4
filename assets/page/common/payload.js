/**
 * What the server sends: one analysis (a case) with the scores and kept sets of every method.
 * Unpacks it and answers "what does this method keep at this budget?". Knows nothing of the page.
 * Letters: N visual tokens, L decoder layers.
 *
 * Arrays named f32, i8, i16, u8 or u16 arrive as base64 of little-endian numbers.
 *
 * @typedef {Object} View one way the model looks at the picture: the whole, or a crop
 * @property {string} name
 * @property {number} rows
 * @property {number} columns
 * @property {number[]} box x0 y0 x1 y1 in pixels of the uploaded picture; may reach outside it
 *
 * @typedef {Object} BudgetPoint a budget at which the kept set of a method that is not nested is known
 * @property {number} budget mean over the layers
 * @property {number} final visual tokens at the last layer
 * @property {string} layers u16[L] visual tokens that enter each layer
 * @property {?string} cached u16[L] those that stay in its cache; null: all that enter it
 * @property {{layer: number, extra: number, centres: number[], tower: number[], fate: string,
 *   score: ?(string|Steps)}[]} stages
 *   tower: tokens that entered each layer of the vision tower, if some left there; or nothing.
 *   centres: at g - 1 the token at whose place merged token g stands, -1 for nobody's; or nothing.
 *   fate i8[N] or i16[N]: -1 dropped, 0 kept, g >= 1 folded into merged token g; or a bit each,
 *   lowest first: 1 kept, 0 dropped. score: of the tokens that were there when the stage began,
 *   f32 or in steps; null = the method's own
 *
 * @typedef {{low: number, high: number, steps: string}} Steps
 *   u16: 0 stands for low, 65535 for high
 *
 * @typedef {Object} Method
 * @property {string} key what the server is asked with, such as "fopru:row"
 * @property {string} title
 * @property {string} sentence
 * @property {string[]} badges
 * @property {string} score_means
 * @property {string} where "before the LLM", "inside the LLM" or "both"
 * @property {boolean} baseline stands first in the list of methods
 * @property {number} floor smallest budget it can reach
 * @property {string} uncertain
 * @property {string} traps what a reader of its colours may get wrong
 * @property {string[]} draws specs of the random that it is measured by, one per seed
 * @property {string} score f32[N]
 * @property {?string} order u8[N] or u16[N], nested methods: the first K are kept at K
 * @property {?number} layer nested methods: the layer before which tokens leave
 * @property {?string} keeps u16[N], nested methods: kept after the stage at budget i + 1;
 *   null = as many as the budget
 * @property {?BudgetPoint[]} knots of methods that are not nested
 * @property {number[]} ladder budgets whose answers are worth knowing
 * @property {?{whole: number, crops: number[]}} portions how HiRED shares the budget out over crops
 *
 * @typedef {Object} Answer
 * @property {string} method "full" for the run with all tokens
 * @property {number} budget
 * @property {string} text
 * @property {{text: string, p: number}[]} tokens
 * @property {?boolean} right
 * @property {?boolean} same equals the full answer
 * @property {boolean} partial still being written
 * @property {?string} error
 *   and p_full, kl, drop, final, mean, layers, flops, kv_bytes, seconds, dominance
 *
 * @typedef {Object} Case
 * @property {string} id
 * @property {number} layers L
 * @property {boolean} live whether answers over the ladder are worked out unasked
 * @property {{src: string, digest: string, width: number, height: number, alt: string,
 *   backdrop?: string}} picture
 * @property {{n: number, views: View[], place: string, boxes: string, padding: number[],
 *   crops?: string}} grid
 *   place i16[N*3]: view, row, column of a token, -1 for a token without a patch; boxes f32[N*4] on
 *   the picture; crops i16[N], with several views: the crop of a token, 0 the whole picture, -1 none
 * @property {Method[]} methods those whose maps are there
 * @property {Method[]} rest those whose maps follow: of each what a list names, key, title and group
 * @property {Method[]} listed both, in the order of the list
 * @property {?string} rest_file where the maps that follow are, with their answers; else the server
 *   works them out
 * @property {?number} seed of the scene that is shown; null for a picture of the visitor's own
 * @property {?string} truth the right answer
 * @property {string} remark what has to be said of the model in front of this picture
 * @property {boolean} truth_told whether only the visitor can say what that is
 * @property {?{method: string, budget: number}} show where the page goes when the case opens
 * @property {?Answer} full
 * @property {Answer[]} answers
 */
import { listMethods } from "./answers/listed_methods.js";

const STEPS = 65_535;

function numbers(value, Kind) {
  if (value === null || value === undefined) return null;
  if (typeof value !== "string") return Kind.from(value, (x) => x ?? NaN);
  const bytes = Uint8Array.from(atob(value), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}

/** Whole numbers of n tokens, which take one byte each where that is enough, else two. */
function whole(value, n, Byte, Wide) {
  const bytes = numbers(value, Byte);
  return bytes.length === n ? bytes : new Wide(bytes.buffer);
}

/** Fates of n tokens: bits where some are kept and the others dropped, else whole numbers. */
function fatesOf(value, n) {
  const bits = numbers(value, Uint8Array);
  if (n <= 8 || bits.length !== Math.ceil(n / 8)) return whole(value, n, Int8Array, Int16Array);
  return Int8Array.from({ length: n }, (_, t) => ((bits[t >> 3] >> (t & 7)) & 1) - 1);
}

/** Which merged token each of n tokens is part of, itself standing at its centre; 0 for none. */
function groupsOf(fate, centres) {
  const groups = Int16Array.from(fate, (f) => Math.max(f, 0));
  centres.forEach((token, g) => {
    if (token >= 0) groups[token] = g + 1;
  });
  return groups;
}

/** Scores that came as f32, or in even steps between the lowest and the highest. */
function inSteps(value) {
  if (typeof value === "string") return numbers(value, Float32Array);
  const step = (value.high - value.low) / STEPS;
  return Float32Array.from(numbers(value.steps, Uint16Array), (x) => value.low + step * x);
}

/** Scores with what the drawing needs: rank (0 = first kept), lowest, highest, how many. */
function scored(score, order) {
  let sequence = order;
  if (!sequence) {
    const alive = [...score.keys()].filter((t) => !Number.isNaN(score[t]));
    sequence = alive.sort((a, b) => score[b] - score[a] || a - b);
  }
  const rank = new Int32Array(score.length).fill(-1);
  sequence.forEach((token, position) => (rank[token] = position));
  let low = Infinity;
  let high = -Infinity;
  for (const value of score) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { score, rank, low, high, alive: sequence.length };
}

function count(fate) {
  const tally = { kept: 0, folded: 0, dropped: 0, groups: 0 };
  for (const f of fate) {
    if (f === 0) tally.kept++;
    else if (f < 0) tally.dropped++;
    else {
      tally.folded++;
      if (f > tally.groups) tally.groups = f;
    }
  }
  return tally;
}

/** Unpack one analysis; methods unpack themselves when they are first looked at. */
export function readCase(raw) {
  const { n, views, padding } = raw.grid;
  const place = numbers(raw.grid.place, Int16Array);
  const padded = new Uint8Array(n);
  for (const token of padding ?? []) padded[token] = 1;
  const cells = views.map((view, v) => {
    const map = new Int32Array(view.rows * view.columns).fill(-1);
    for (let t = 0; t < n; t++) {
      if (place[3 * t] === v) map[place[3 * t + 1] * view.columns + place[3 * t + 2]] = t;
    }
    return map;
  });
  const boxes = numbers(raw.grid.boxes, Float32Array);
  const crops = numbers(raw.grid.crops, Int16Array);
  const grid = { ...raw.grid, place, boxes, crops, padded, cells };
  return listMethods({ ...raw, grid, opened: new Map() }, raw.methods);
}

function open(kase, method) {
  let opened = kase.opened.get(method.key);
  if (!opened) {
    opened = method.knots
      ? { points: [...method.knots].sort((a, b) => a.budget - b.budget), read: new Map() }
      : {
          scores: scored(
            numbers(method.score, Float32Array),
            whole(method.order, kase.grid.n, Uint8Array, Uint16Array),
          ),
        };
    opened.keeps = method.knots ? null : numbers(method.keeps, Uint16Array);
    kase.opened.set(method.key, opened);
  }
  return opened;
}

/** A method's score of every visual token, none of them gone yet. */
export const scoreOf = (method) => numbers(method.score, Float32Array);

/** Budgets at which the kept set is known, or null when every budget is. */
export const pointBudgets = (kase, method) =>
  method.knots ? open(kase, method).points.map(({ budget }) => budget) : null;

/** The smallest budget the slider offers. */
export const floorOf = (kase, method) =>
  pointBudgets(kase, method)?.[0] ?? Math.max(1, method.floor ?? 1);

/**
 * The nearest budget a method can show. With a direction (-1, 1) and a place it comes from, a
 * small step always arrives at the next point instead of falling back.
 */
export function snap(kase, method, wanted, from = wanted, direction = 0) {
  const clamped = Math.min(kase.grid.n, Math.max(floorOf(kase, method), Math.round(wanted)));
  const budgets = pointBudgets(kase, method);
  if (!budgets) return clamped;
  const distance = (a, b) => Math.abs(a - clamped) - Math.abs(b - clamped) || b - a;
  const nearest = [...budgets].sort(distance)[0];
  if (!direction || (nearest - from) * direction > 0) return nearest;
  const ahead = budgets.filter((budget) => (budget - from) * direction > 0);
  return ahead.length ? ahead.at(direction > 0 ? 0 : -1) : from;
}

/** The budgets whose answers are worth knowing, as far as the method can show them, ascending. */
export function ladderOf(kase, method) {
  const rungs = new Set(method.ladder.map((budget) => snap(kase, method, budget)));
  return [...rungs].sort((a, b) => a - b);
}

function nested(kase, method, budget) {
  const { scores, keeps } = open(kase, method);
  const kept = keeps ? keeps[budget - 1] : budget;
  const fate = new Int16Array(kase.grid.n);
  for (let t = 0; t < fate.length; t++) fate[t] = scores.rank[t] < kept ? 0 : -1;
  const before = method.layer ?? 0;
  const layers = Array.from({ length: kase.layers }, (_, l) => (l < before ? fate.length : kept));
  const stage = { layer: before, extra: 0, fate, scores, tally: count(fate) };
  return { final: kept, layers, stages: [stage] };
}

/** Scores of those that were still there, put back to their places; the others get NaN. */
function spread(known, before, n) {
  if (known.length === n) return known;
  const all = new Float32Array(n).fill(NaN);
  let next = 0;
  for (let t = 0; t < n; t++) if (!before || before[t] >= 0) all[t] = known[next++];
  return all;
}

function stepwise(kase, method, budget) {
  const { points, read } = open(kase, method);
  if (read.has(budget)) return read.get(budget);
  const point = points.find((candidate) => candidate.budget === budget);
  const { n } = kase.grid;
  let before = null; // fates at the stage before: who is gone there has no score here
  const stages = point.stages.map(({ layer, extra, fate, score, tower, centres = [] }) => {
    const fates = fatesOf(fate, n);
    const known = score === null ? scoreOf(method) : inSteps(score);
    const scores = scored(spread(known, before, n), null);
    before = fates;
    const groups = groupsOf(fates, centres);
    return { layer, extra, centres, tower, fate: fates, groups, scores, tally: count(fates) };
  });
  const layers = [...numbers(point.layers, Uint16Array)];
  const cached = point.cached ? [...numbers(point.cached, Uint16Array)] : layers;
  const result = { final: point.final, layers, cached, stages };
  read.set(budget, result);
  return result;
}

/**
 * Exact cost of a prefill in which `layers` visual tokens enter each layer and `cached` stay in its
 * cache: explorer/metrics/cost.py's layer_flops, prefill_flops and kv_bytes. A method that only wipes
 * the cache saves nothing.
 */
export function costOf(kase, { method, layers, cached = layers }) {
  const { width, ffn, heads, kv_heads, head_width, vocabulary, text, bytes } = kase.cost;
  let flops = 2 * width * vocabulary;
  let held = 0;
  for (const [layer, alive] of layers.entries()) {
    const n = text + (method.wipes ? kase.grid.n : alive);
    flops += 4 * n * width * head_width * (heads + kv_heads);
    flops += 4 * n * n * heads * head_width + 6 * n * width * ffn;
    held += method.wipes ? n : text + cached[layer];
  }
  return { flops, kv_bytes: 2 * kv_heads * head_width * bytes * held };
}

/**
 * What a method keeps at a budget it can show.
 * @returns {{method: Method, budget: number, final: number, mean: number, layers: number[],
 *   stages: {layer: number, extra: number, fate: Int16Array, scores: Object, tally: Object,
 *   centres?: number[], tower?: number[], groups?: Int16Array}[]}} groups: see `groupsOf`; nothing where none merges
 */
export function choiceAt(kase, method, budget) {
  const found = (method.knots ? stepwise : nested)(kase, method, budget);
  const mean = found.layers.reduce((sum, alive) => sum + alive, 0) / found.layers.length;
  return { method, budget, mean, ...found };
}
