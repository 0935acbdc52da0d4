/**
 * Does the answer listen to text or to the picture? MDI and AEI over the decoder layers, for the
 * full and the pruned run, small beside the picture; large in dominance_plot.js. Knows nothing of how they are measured beyond the foot note.
 */
import { logCurves } from "../../canvas/line_chart.js";
import { node, write } from "../../common/dom.js";
import { tableButton } from "../../common/download.js";
import { format } from "../../common/format.js";

const STAGES = ["early", "middle", "late"];
const MEASURES = ["MDI", "AEI"];
const LINES = MEASURES.flatMap((name, i) => ["full", "kept"].map((run) => ({ name, i, run })));
const FOOT =
  "MDI: attention per text token over attention per visual token, by the answer's tokens. " +
  "AEI: the text's share of attention over its share of tokens. 1 is balance. No BOS; " +
  "early, middle, late: two layers each.";

function figure(value) {
  if (typeof value !== "number") return "–";
  return value >= 100 ? format.count(value) : value >= 1 ? value.toFixed(1) : value.toFixed(2);
}

function counts(full, kept) {
  const run = kept ?? full;
  if (!run) return "";
  const images = (d) => d?.image?.at(-1);
  const [from, to] = [images(full), images(kept)];
  const visual =
    from === undefined || to === undefined || from === to
      ? format.count(to ?? from)
      : `${format.count(from)} → ${format.count(to)}`;
  const answer = `G ${format.count(run.answer)} of the answer`;
  return `Tokens: |T| ${format.count(run.text)} text · |O| ${visual} visual · ${answer}`;
}

/** Every layer and every stage as a record. */
function records(full, kept) {
  const layers = (full ?? kept)?.mdi.map((_, layer) => {
    const [a, b] = [full, kept].map((run) => [run?.mdi[layer], run?.aei[layer]]);
    return [layer + 1, a, b];
  });
  const stages = STAGES.map((stage) => [stage, full?.stages[stage], kept?.stages[stage]]);
  return [...(layers ?? []), ...stages].map(([layer, a, b]) => ({
    layer,
    mdi_full: a?.[0],
    aei_full: a?.[1],
    mdi_kept: b?.[0],
    aei_kept: b?.[1],
  }));
}

/** The pruned answer at the budget that is shown, once it is there. */
function complete(store) {
  const { answer } = store.answers.pruned;
  return answer?.dominance && !answer.partial ? answer : null;
}

/** The panel of MDI and AEI. */
export function dominancePanel(store) {
  const curves = logCurves(
    "MDI over the decoder layers, full and kept; numbers in the table below",
  );
  const rows = LINES.map(({ name, run }) => {
    const cells = STAGES.map(() => node("td"));
    const whole = node(
      "tr",
      { "data-run": run },
      node("th", { scope: "row" }, `${name} ${run}`),
      ...cells,
    );
    return { cells, whole };
  });
  const heads = ["", ...STAGES].map((text) =>
    text ? node("th", { scope: "col" }, text) : node("td"),
  );
  const table = node(
    "table",
    { class: "vt-table" },
    node("thead", {}, node("tr", {}, ...heads)),
    node("tbody", {}, ...rows.map(({ whole }) => whole)),
  );
  const sizes = node("p", { class: "vt-note" });
  const larger = node("button", { type: "button", class: "vt-larger" }, "Larger");
  larger.addEventListener("click", () => {
    const { full, choice } = store;
    store.set({ enlarged: { full, choice, kept: complete(store) } });
  });
  const csv = tableButton("mdi-aei", () =>
    records(store.full?.dominance, store.answers.pruned.answer?.dominance),
  );
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-dominance" },
    node("h2", {}, "Does it listen to text or to the picture?", larger, csv),
    curves.node,
    table,
    sizes,
    node("p", { class: "vt-note" }, FOOT),
  );
  let drawn = {};

  const update = (state) => {
    larger.disabled = !store.full?.dominance || !complete(store);
    const { answer } = store.answers.pruned;
    const full = store.full?.dominance ?? null;
    const kept = answer?.dominance ?? null;
    if (drawn.id !== state.case.id) curves.reset();
    else if (drawn.full === full && drawn.kept === kept) return;
    drawn = { id: state.case.id, full, kept };
    curves.update(full?.mdi ?? [], kept?.mdi ?? []);
    LINES.forEach(({ i, run }, row) => {
      const stages = (run === "full" ? full : kept)?.stages;
      STAGES.forEach((stage, s) => write(rows[row].cells[s], figure(stages?.[stage]?.[i])));
    });
    write(sizes, counts(full, kept));
  };
  return { node: panel, update };
}
