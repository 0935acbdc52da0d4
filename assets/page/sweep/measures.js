/**
 * What the answers over a ladder of budgets come to: K*, flips, area. Numbers in, numbers out; knows
 * nothing of the page. The same definitions as explorer/metrics/budget_curve.py. Budgets are ascending.
 */

/** K*: the smallest budget from which on every larger one gives the full answer, or null. */
export function kStar(budgets, same) {
  const last = same.lastIndexOf(false);
  return budgets[last + 1] ?? null;
}

/** How often the full answer comes or goes along the ladder. */
export const nFlips = (same) => same.filter((is, i) => i > 0 && is !== same[i - 1]).length;

/** Mean height of a curve over the logarithm of its budgets, by trapezoids. */
export function auc(budgets, heights) {
  const x = budgets.map(Math.log2);
  if (x.length === 1) return heights[0];
  let sum = 0;
  for (let i = 1; i < x.length; i++) {
    sum += ((x[i] - x[i - 1]) * (heights[i] + heights[i - 1])) / 2;
  }
  return sum / (x.at(-1) - x[0]);
}

/** Heights of a curve at other budgets, on a line between two; null where it doesn't reach. */
export function heightsAt(wanted, budgets, heights) {
  if (wanted[0] < budgets[0] || wanted.at(-1) > budgets.at(-1)) return null;
  return wanted.map((budget) => {
    const right = budgets.findIndex((other) => other >= budget);
    if (budgets[right] === budget) return heights[right];
    const [a, b] = [budgets[right - 1], budgets[right]];
    const share = Math.log2(budget / a) / Math.log2(b / a);
    return heights[right - 1] + share * (heights[right] - heights[right - 1]);
  });
}

/** Thin a ladder out, its ends kept: lines between rungs tell as much of a mean over draws. */
export const everySecond = (rungs) =>
  rungs.filter((_, i) => i === rungs.length - 1 || i % 2 === 0);

/** Places 0 … count - 1, those in the middle of what is still open first: coarse, then fine. */
export function coarseFirst(count) {
  const order = [];
  const open = [[0, count]];
  for (let next = open.shift(); next; next = open.shift()) {
    const [from, to] = next;
    if (from >= to) continue;
    const middle = (from + to) >> 1;
    order.push(middle);
    open.push([from, middle], [middle + 1, to]);
  }
  return order;
}
