/** What the tab "Inside" knows, as tables for a download: a row per run, word and layer; patches. */
import { rowsOf } from "./patch_map.js";
import { wordOf } from "./steps.js";

/** A row for every run, word and layer. */
export function layerRows(runs, kinds, removal) {
  const gone = new Map(removal.map((each) => [each.layer, each]));
  return Object.entries(runs).flatMap(([name, run]) =>
    run.predicted.flatMap((word, step) =>
      run.shares[step].map((shares, layer) => ({
        run: name,
        method: run.method,
        budget: run.budget,
        word: wordOf(word),
        step,
        layer,
        tokens: run.entering[layer],
        ...Object.fromEntries(kinds.map((kind, k) => [`attention to ${kind}`, shares[k]])),
        says: wordOf(run.says[layer][step]),
        "chance of the word": run.chances[layer][step][Math.max(0, run.candidates[step].indexOf(word))],
        "stands from": run.stands_from[step],
        "answer without picture from here": gone.get(layer)?.text ?? null,
        "p of the full answer then": gone.get(layer)?.p_full ?? null,
      })),
    ),
  );
}

/** A row for every patch: the maps that are shown, at the chosen word, and what both methods read. */
export function patchRows({ case: kase, state, tasks, maps }) {
  const reads = tasks.reads.reply?.reads;
  const at = (map) => rowsOf(map)[Math.min(state.step, rowsOf(map).length - 1)];
  const known = [
    ["full", at(maps?.full)],
    ["pruned", at(maps?.pruned)],
    ["TidalDecode reads", rowsOf(reads?.tidal.often)[0]],
    ["TokenSelect reads", rowsOf(reads?.select.often)[0]],
  ];
  return Array.from({ length: kase.grid.n }, (_, token) => {
    const [view, row, column] = kase.grid.place.slice(3 * token, 3 * token + 3);
    const values = known.map(([name, all]) => [name, all ? all[token] : null]);
    return { token, view, row, column, map: maps?.what ?? null, ...Object.fromEntries(values) };
  });
}
