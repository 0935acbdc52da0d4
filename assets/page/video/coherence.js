/**
 * The same question over 1, 2, 4 and 8 of the frames, at one budget for all of them together: does
 * the answer stay when a budget has to do for more?
 */
import { taskBar } from "../common/answers/task.js";
import { mark, node, show } from "../common/dom.js";
import { tableButton } from "../common/download.js";

const HOW =
  "Each line stands by itself: what counts is whether the answer is that from all tokens of the same frames.";

/** "“yes” =": an answer, and whether it is the one from all tokens. */
function cell(each, error) {
  if (!each) return node("td", { title: error }, "–");
  const made = node("td", { "data-is": each.same ? "same" : "different" });
  made.append(`“${each.text}” `, node("b", {}, each.same ? "=" : "≠"));
  return made;
}

function line({ frames, tokens, budget, full, said, chance, error }) {
  return node(
    "tr",
    {},
    node("th", { scope: "row" }, `${frames.length}`),
    node("td", {}, frames.map((at) => at + 1).join(", ")),
    node("td", {}, `${budget} of ${tokens}`),
    node("td", {}, `“${full}”`),
    cell(said, error),
    cell(chance, error),
  );
}

const sign = (each) => each?.text ?? null;

/** The button and the table. */
export function coherenceTable(selection) {
  const task = selection.coherence;
  const asks = taskBar(task, "Ask about 1, 2, 4 and 8 frames", "coherence", () => selection.askFewer());
  const head = node("tr");
  const body = node("tbody");
  const table = node("table", { class: "vt-table", id: "vt-coherence" }, node("thead", {}, head), body);
  const rows = () =>
    task.reply.rows.map(({ frames, tokens, budget, full, said, chance }) => ({
      frames: frames.length,
      which: frames.map((at) => at + 1).join(" "),
      tokens,
      budget,
      full,
      [task.message.method]: sign(said),
      random: sign(chance),
    }));
  const save = tableButton("frames", rows);
  const found = node("div", {}, table, node("p", { class: "vt-note" }, HOW), save);
  let drawn = null;
  const update = () => {
    const told = task.reply?.rows ?? null;
    asks.update();
    show(found, Boolean(told?.length));
    mark(table, "data-is", task.reply?.done ? "done" : "busy");
    save.disabled = !task.reply?.done;
    if (drawn === told || !told) return;
    drawn = told;
    const title = selection.video.offered.find(({ key }) => key === task.message.method)?.title;
    const heads = ["frames", "which", "tokens kept", "all tokens", title, task.reply.random ?? "Random"];
    head.replaceChildren(...heads.map((text) => node("th", { scope: "col" }, text)));
    body.replaceChildren(...told.map(line));
  };
  const part = node(
    "div",
    { class: "vt-video-view-listening" },
    node("h3", {}, "The same over fewer frames"),
    node("div", { class: "vt-tools" }, ...asks.buttons),
    ...asks.nodes,
    found,
  );
  return { node: part, update };
}
