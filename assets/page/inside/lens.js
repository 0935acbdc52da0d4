/**
 * Where a word is made: what the model would say if it stopped behind each layer, in the full and in
 * the pruned run, and from which layer on that is the word.
 */
import { mark, node, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { wordOf } from "./steps.js";

/** "“a duck” stands from behind layer 10 of 12." Layers count from 1 on the page. */
function standsInWords(run, name) {
  const { answer_stands_from: from, entering, text } = run;
  return `${name}: “${text}” stands from behind layer ${from + 1} of ${entering.length} on`;
}

function chanceCell(run, layer, step) {
  const cell = node("td");
  if (!run || step >= run.predicted.length) return cell;
  const [chances, candidates] = [run.chances[layer][step], run.candidates[step]];
  const says = run.says[layer][step];
  const mine = candidates.indexOf(run.predicted[step]);
  const chance = chances[Math.max(0, mine)];
  const stands = layer >= run.stands_from[step];
  mark(cell, "data-stands", stands ? "" : null);
  const words = candidates.map((text, c) => `${wordOf(text)} ${format.percent(chances[c], 1)}`);
  mark(cell, "title", `behind layer ${layer + 1}: ${words.join(", ")}`);
  const bar = node("i", { style: `width: ${100 * chance}%` });
  cell.append(
    node("b", {}, wordOf(says)),
    node("span", { class: "vt-likelihood", "aria-hidden": "true" }, bar),
    node("small", {}, format.probability(chance)),
  );
  return cell;
}

/** "All patches: “tomato” 88 %, “apple” 5 %": the likeliest words behind one layer. */
function candidatesInWords(run, name, layer, step) {
  if (!run || step >= run.predicted.length) return null;
  const words = run.candidates[step].map(
    (text, c) => `“${wordOf(text)}” ${format.percent(run.chances[layer][step][c], 1)}`,
  );
  return `${name}: ${words.join(", ")}`;
}

/** The table: a row per layer, the last one on top, where the word is said. */
export function lensTable(selection) {
  const says = node("p", { class: "vt-sentence", id: "vt-inside-stands" });
  const heads = [node("th", { scope: "col" }), node("th", { scope: "col" })];
  const candidates = node("p", { class: "vt-small", id: "vt-inside-candidates", role: "status" });
  const body = node("tbody");
  body.addEventListener("click", ({ target }) => {
    const row = target.closest("tr");
    if (row) selection.choose({ layer: Number(row.dataset.layer) });
  });
  const table = node(
    "table",
    { class: "vt-inside-lens", id: "vt-inside-lens" },
    node("thead", {}, node("tr", {}, node("th", { scope: "col" }, "behind layer"), ...heads)),
    body,
  );
  let drawn = "";
  const update = (names) => {
    const { runs, state } = selection;
    const known = Object.entries(runs).map(([name, run]) => standsInWords(run, names[name]));
    write(says, known.length ? `${known.join("; ")}.` : "…");
    const last = (runs.full?.entering.length ?? 1) - 1;
    const at = state.layer < 0 ? last : state.layer;
    const likely = Object.entries(runs)
      .map(([name, run]) => candidatesInWords(run, names[name], at, state.step))
      .filter(Boolean);
    write(candidates, likely.length ? `Likely behind layer ${at + 1}. ${likely.join("; ")}.` : "");
    const now = JSON.stringify([state.step, names, Object.keys(runs), runs.full?.text, selection.case.id]);
    if (now !== drawn) {
      drawn = now;
      heads.forEach((head, i) => write(head, [names.full, names.pruned][i]));
      const layers = [...(runs.full?.entering.keys() ?? [])].reverse();
      body.replaceChildren(
        ...layers.map((layer) =>
          node(
            "tr",
            { "data-layer": layer },
            node("th", { scope: "row" }, `${layer + 1}`),
            chanceCell(runs.full, layer, state.step),
            chanceCell(runs.pruned, layer, state.step),
          ),
        ),
      );
    }
    for (const row of body.children)
      mark(row, "data-chosen", row.dataset.layer === `${at}` ? "" : null);
  };
  return { nodes: [says, node("div", { class: "vt-inside-scroll" }, table), candidates], update };
}
