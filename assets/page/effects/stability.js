/**
 * How firmly the answer to the open question stands: over ten budgets, over ten random choices, in
 * other words, and asked the other way round.
 */
import { mark, node, scrollable, show, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { taskBar } from "../common/answers/task.js";
import { titleIn } from "./probes.js";

/** One budget of the grid: whether the full answer comes, as a sign and in words. */
function rung({ budget, text, agrees, length, verdict_changes: turns }) {
  const words =
    `${budget} tokens: “${text}”, ${agrees ? "the full answer" : "another answer"}, ` +
    `${length} tokens long${turns ? `, changes its verdict ${turns} times` : ""}`;
  return node(
    "li",
    { "data-is": agrees ? "same" : "different", title: words },
    node("b", {}, agrees ? "=" : "≠"),
    ` ${budget}`,
    node("span", { class: "vt-spoken" }, ` ${agrees ? "the full answer" : text}`),
  );
}

/** K*, flips and random choices in sentences. */
function sentences(found, title) {
  const { k_star: k, flips, subsets, subsets_keep: share, budget, method_keeps: own } = found;
  const needs =
    k === null
      ? "Not even the largest budget gives the full answer."
      : `K* = ${k}: from there on every budget gives the full answer “${found.full}”.`;
  const turns = flips === 1 ? "once" : `${flips} times`;
  const lengths = found.rungs.map(({ length }) => length);
  const many = Math.round(share * subsets.length);
  const lot = subsets.length
    ? ` ${many} of ${subsets.length} random choices of ${budget} tokens keep it; ` +
      `${title} ${own ? "does" : own === false ? "does not" : "can't be asked there"}.`
    : "";
  const redundant = many === subsets.length && many > 0;
  return (
    `${needs} It comes or goes ${turns} along the grid. Answers are ` +
    `${Math.min(...lengths)} to ${Math.max(...lengths)} tokens long.${lot}` +
    (redundant ? " So for this question the picture has more tokens than are needed." : "")
  );
}

/** Other wordings and the converse, budget by budget. */
function askedTable(found) {
  const rows = found.asked.map((each) =>
    node(
      "tr",
      { "data-is": each.consistent ? "same" : "different" },
      node("td", {}, String(each.budget)),
      node("td", {}, each.answer),
      node("td", {}, each.kind === "converse" ? "⇄ " : "≈ ", each.question),
      node("td", {}, each.expected),
      node("td", {}, each.said),
      node("td", {}, each.consistent ? "✓ consistent" : "✗ contradicts"),
    ),
  );
  const heads = ["tokens", "answer", "asked again", "should be", "said", "verdict"];
  return node(
    "table",
    { class: "vt-asked" },
    node("thead", {}, node("tr", {}, ...heads.map((text) => node("th", { scope: "col" }, text)))),
    node("tbody", {}, ...rows),
  );
}

function consistencyInWords(asked) {
  if (!asked.length)
    return "No other wording and no converse: the question is none of the built-in scenes' grammar.";
  const count = (kind) => {
    const mine = asked.filter((each) => each.kind === kind);
    return mine.length
      ? `${mine.filter(({ consistent }) => consistent).length} of ${mine.length}`
      : null;
  };
  const [other, back] = [count("paraphrase"), count("converse")];
  return [
    other && `In other words (≈) ${other} answers stay the same.`,
    back
      ? `Asked the other way round (⇄) ${back} are consistent.`
      : "No converse was asked: this kind of question has none, or there are several such things.",
    "Pico can't be asked “is the star left of the moon ?”: it says which thing is there.",
  ]
    .filter(Boolean)
    .join(" ");
}

/** The panel. */
export function stabilityPanel(store, task) {
  const ask = () => {
    const { case: kase, method, budget } = store.state;
    task.ask({ case: kase.id, method, budget });
  };
  const asks = taskBar(task, "Try it", "stability", ask);
  const question = node("p", {});
  const rungs = node("ol", { class: "vt-grid-rungs", "aria-label": "Answers over ten budgets" });
  const line = node("p", { id: "vt-stability-says" });
  const other = node("p", { class: "vt-small" });
  const table = scrollable("The question asked in other ways");
  const csv = tableButton("stability", () => {
    const { rungs: all, asked } = task.reply.found;
    const plain = all.map(({ budget, text, agrees }) => ({
      kind: "budget", budget, answer: text, question: "", expected: task.reply.found.full,
      said: text, consistent: agrees,
    }));
    return [...plain, ...asked];
  });
  const shown = node("div", {}, rungs, line, other, table, csv);
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-stability" },
    node("h2", {}, "How firmly the answer stands"),
    question,
    node("div", { class: "vt-tools" }, ...asks.buttons),
    ...asks.nodes,
    shown,
  );
  let drawn = null;
  const update = () => {
    const { case: kase, budget } = store.state;
    const found = task.reply?.found ?? null;
    write(question, `“${kase.question}”`);
    write(asks.go, `Try ${store.method?.title ?? ""} at ten budgets, and chance at ${budget}`);
    asks.update("");
    show(shown, Boolean(found));
    mark(panel, "data-is", task.busy ? "busy" : found ? "done" : "waiting");
    if (!found || drawn === found) return;
    drawn = found;
    rungs.replaceChildren(...found.rungs.map(rung));
    write(line, sentences(found, titleIn(kase, found.method)));
    write(other, consistencyInWords(found.asked));
    table.replaceChildren(...(found.asked.length ? [askedTable(found)] : []));
  };
  return { node: panel, update };
}
