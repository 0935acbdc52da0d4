/** The numbers of a comparison as rows for a spreadsheet. Knows no element. */
import { likelihood } from "../common/measures.js";

/** One row for the full answer, one per method, one per draw of random. */
export function comparisonRows(selection, entries) {
  const { case: kase, state, chance, full } = selection;
  const { cache } = selection.store;
  const row = (name, budget, answer, more) => ({
    method: name,
    budget_asked: state.budget,
    budget,
    mean_tokens: answer?.mean ?? null,
    tokens_at_last_layer: answer?.final ?? null,
    answer: answer?.text ?? null,
    same_as_full: answer?.same ?? null,
    right: answer?.right ?? null,
    p_full: answer?.p_full ?? null,
    likeness: answer ? likelihood(answer, full) : null,
    kl: answer?.kl ?? null,
    logprob_lost_per_token: answer?.drop ?? null,
    select_ms: milliseconds(answer, "select"),
    prefill_ms: milliseconds(answer, "prefill"),
    prefill_flops: answer?.flops ?? null,
    kv_bytes: answer?.kv_bytes ?? null,
    worse_than_random: null,
    reached: null,
    patches_kept: null,
    kept: null,
    random: selection.draws[0],
    random_mean: chance?.mean ?? null,
    random_spread: chance?.spread ?? null,
    random_lowest: chance?.low ?? null,
    question: kase.question,
    full_answer: full?.text ?? null,
    truth: kase.truth ?? null,
    model: kase.model ?? null,
    case: kase.id,
    ...more,
  });
  const methods = entries.map((entry) => {
    const { fate } = entry.choice.stages.at(-1);
    const kept = [...fate.keys()].filter((token) => fate[token] === 0);
    const judged = entry.answer && entry.chance && entry.key !== selection.draws[0];
    return row(entry.key, entry.budget, entry.answer, {
      worse_than_random: judged ? entry.worse : null,
      reached: entry.reached,
      random: entry.method.draws[0],
      random_mean: entry.chance?.mean ?? null,
      random_spread: entry.chance?.spread ?? null,
      random_lowest: entry.chance?.low ?? null,
      patches_kept: kept.length,
      kept: kept.join(" "),
    });
  });
  const draws = selection.draws.slice(1).map((draw) => {
    const answer = cache.answer(kase.id, draw, state.budget);
    return row(draw, state.budget, answer, { reached: true });
  });
  return [row("full", kase.grid.n, full, {}), ...methods, ...draws];
}

function milliseconds(answer, name) {
  const seconds = answer?.seconds?.[name];
  return typeof seconds === "number" ? Number((1000 * seconds).toPrecision(4)) : null;
}
