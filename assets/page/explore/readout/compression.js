/**
 * MDI while [CLS] attention compresses the picture to a quarter, a tenth and a twentieth of its
 * tokens, the experiment of the paper's own table; worked out when it is opened. Knows nothing of
 * the slider.
 */
import { node, show, write } from "../../common/dom.js";
import { format } from "../../common/format.js";
import { dominanceTable, reading } from "../../common/dominance_table.js";

const METHOD = "clsattn";
const SHARES = [0.25, 0.1, 0.05];
const RUNS = [["full", "100 %"], ...SHARES.map((share) => [String(share), `${100 * share} %`])];
const PAPER =
  "In the paper the middle layers of LLaVA-1.5-7B go from 10.23 to 1.81, 1.10 and 0.86, in a " +
  "re-implementation's transcription; the first and the last stand in its abstract.";
const NO_CLS = "This model's vision tower has no [CLS] token to compress the picture by.";

/** The part, closed at first. */
export function compressionStrip(store) {
  const table = dominanceTable(RUNS, ["MDI"]);
  const status = node("p", { "aria-live": "polite" });
  const whole = node(
    "details",
    { class: "vt-small vt-compression" },
    node("summary", {}, "Compressed by [CLS] to 25, 10, 5 %"),
    table.node,
    status,
    node("p", {}, PAPER),
  );
  whole.addEventListener("toggle", () => store.changed());
  const update = (state, first) => {
    if (!whole.open) return;
    const { id, grid, methods } = state.case;
    const there = methods.some(({ key }) => key === METHOD);
    show(table.node, there);
    if (!there) return write(status, NO_CLS);
    const budgets = SHARES.map((share) => Math.max(1, Math.round(share * grid.n)));
    store.answers.askBesides(METHOD, budgets);
    const answers = budgets.map((budget) => store.cache.answer(id, METHOD, budget));
    const found = SHARES.map((share, i) => [share, reading(answers[i]?.dominance, first)]);
    table.update({ full: reading(store.full?.dominance, first), ...Object.fromEntries(found) });
    const failed = budgets.map((budget) => store.cache.failure(id, METHOD, budget)?.error);
    const asked = `Asking at ${budgets.map(format.count).join(", ")} tokens … ${store.answers.stages.few}`;
    const waiting = answers.includes(null) ? asked.trim() : "";
    write(status, failed.find(Boolean) ?? waiting);
  };
  return { node: whole, update };
}
