/**
 * Does the answer listen to text or to the picture? MDI and AEI over the decoder layers, for the
 * full and the pruned run, small beside the picture; large in dominance_plot.js.
 */
import { logCurves } from "../../canvas/line_chart.js";
import { node, show } from "../../common/dom.js";
import { tableButton } from "../../common/download.js";
import { compressionStrip } from "./compression.js";
import {
  STAGES,
  aboutDominance,
  dominanceTable,
  firstTokenSwitch,
  reading,
} from "../../common/dominance_table.js";

const RUNS = ["full", "kept"].map((run) => [run, run]);
const WIPED = "|O| counts tokens that are only wiped from the cache: they still get attention.";

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
  const table = dominanceTable(RUNS);
  const strip = compressionStrip(store);
  const wiped = node("p", { class: "vt-note" }, WIPED);
  const larger = node("button", { type: "button", class: "vt-larger" }, "Larger");
  larger.addEventListener("click", () => {
    const { full, choice } = store;
    const { first } = store.state;
    store.set({ enlarged: { full, choice, kept: complete(store), first } });
  });
  const read = (answer) => reading(answer?.dominance, store.state.first);
  const csv = tableButton("mdi-aei", () =>
    records(read(store.full), read(store.answers.pruned.answer)),
  );
  const panel = node(
    "section",
    { class: "vt-panel", id: "vt-dominance" },
    node("h2", {}, "Does it listen to text or to the picture?", larger, csv),
    curves.node,
    table.node,
    wiped,
    firstTokenSwitch((first) => store.set({ first })),
    strip.node,
    aboutDominance(),
  );
  let drawn = {};

  const update = (state) => {
    show(panel, !state.covered);
    larger.disabled = !store.full?.dominance || !complete(store);
    const full = read(store.full);
    const kept = read(store.answers.pruned.answer);
    show(wiped, Boolean(store.choice.method.wipes));
    strip.update(state, state.first);
    if (drawn.id !== state.case.id) curves.reset();
    else if (drawn.full === full && drawn.kept === kept) return;
    drawn = { id: state.case.id, full, kept };
    curves.update(full?.mdi ?? [], kept?.mdi ?? []);
    table.update({ full, kept });
  };
  return { node: panel, update };
}
