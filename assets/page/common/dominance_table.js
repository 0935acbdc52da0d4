/**
 * MDI and AEI of a few runs as a table, with the numbers of tokens that they count, the switch for
 * the prompt's first token, and what is to be known of the two. Knows nothing of whose runs they are.
 */
import { link, node, term, write } from "./dom.js";
import { format } from "./format.js";

export const STAGES = ["early", "middle", "late"];
const COLUMNS = ["", ...STAGES, "|T|", "|O|", "G"];
const MEASURES = ["MDI", "AEI"];
const WORDS =
  "MDI: attention per text token (|T| of them) over attention per visual token (|O|, those left " +
  "in a layer; told at the last), by the G tokens of the answer. AEI: the text's share of attention over its share of tokens. " +
  "1 is balance; early, middle, late: two layers each. The prompt's first token (BOS) draws much " +
  "attention whatever it says, and is left out unless it is counted as text. After ";
const SOURCE = "Wu et al., “When Language Overrules” (arXiv 2508.10552)";
const DOUBT =
  ", by the definitions of a re-implementation (Song-haJo/LangOverrule), whose own results differ " +
  "from the paper's in middle and late layers.";

/** Of a run's MDI and AEI those with, or without, the first token; null where there are none. */
export const reading = (dominance, first) =>
  (first ? dominance?.with_first : dominance) ?? null;

function figure(value) {
  if (typeof value !== "number") return "–";
  return value >= 100 ? format.count(value) : value >= 1 ? value.toFixed(1) : value.toFixed(2);
}

/** The table. runs: [[key, words]]; measures: names of what is shown of each. */
export function dominanceTable(runs, measures = MEASURES) {
  const lines = measures.flatMap((measure) =>
    runs.map(([key, words]) => {
      const what = key === runs[0][0] ? term(measure.toLowerCase(), measure) : measure;
      const name = node("span", {}, words);
      const head = node("th", { scope: "row" }, what, " ", name);
      const cells = COLUMNS.slice(1).map(() => node("td"));
      const whole = node("tr", { "data-run": key }, head, ...cells);
      return { place: MEASURES.indexOf(measure), key, name, cells, whole };
    }),
  );
  const heads = COLUMNS.map((text) => (text ? node("th", { scope: "col" }, text) : node("td")));
  const table = node(
    "table",
    { class: "vt-table vt-mdi" },
    node("thead", {}, node("tr", {}, ...heads)),
    node("tbody", {}, ...lines.map(({ whole }) => whole)),
  );
  /** found: what `reading` gives of each run, by its key; names: words for some of the keys. */
  const update = (found, names = {}) => {
    for (const { place, key, name, cells } of lines) {
      const run = found[key];
      const stages = STAGES.map((stage) => figure(run?.stages[stage]?.[place]));
      const tokens = run ? [run.text, run.image.at(-1), run.answer].map(format.count) : ["", "", ""];
      [...stages, ...tokens].forEach((text, i) => write(cells[i], text));
      if (names[key]) write(name, names[key]);
    }
  };
  return { node: table, update };
}

/** The switch that counts the first token as text. */
export function firstTokenSwitch(changed) {
  const box = node("input", { type: "checkbox" });
  box.addEventListener("change", () => changed(box.checked));
  return node("label", { class: "vt-small vt-first-token" }, box, " count the first token (BOS)");
}

/** What is to be known of MDI and AEI, behind a line that opens. */
export const aboutDominance = () =>
  node(
    "details",
    { class: "vt-small vt-about" },
    node("summary", {}, "What MDI and AEI are, and whose definition"),
    node("p", {}, WORDS, link("https://arxiv.org/abs/2508.10552", SOURCE), DOUBT),
  );
