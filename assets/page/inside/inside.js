/**
 * The tab "Inside": what each word of an answer reads, and where the answer is made. Puts the parts
 * together: the words, the maps on the picture, shares, the logit lens, what two methods would read,
 * and the answer without the picture.
 */
import { announcer, inbound, valueOf } from "../common/bridge.js";
import { captionLine } from "../common/caption.js";
import { mark, node, rootOf, segments, show, withTerms, write } from "../common/dom.js";
import { tableButton } from "../common/download.js";
import { format } from "../common/format.js";
import { lensTable } from "./lens.js";
import { mapPicture, percent, rangeOf, rowsOf } from "./patch_map.js";
import { readsPanel } from "./reads.js";
import { removalPanel } from "./removal.js";
import { layerRows, patchRows } from "./rows.js";
import { ALL, InsideSelection, RUNS } from "./selection.js";
import { legend, patterns, shareBars } from "./shares.js";
import { stepSlider } from "./steps.js";

const WHAT = [
  ["attention", "Attention", "What the word's attention goes to, in one layer or in the mean"],
  ["rollout", "Rollout", "What reaches the word from each patch through all layers together"],
  ["norm", "Norm", "How long each patch's vector is behind a layer: registers stand out"],
  ["change", "Change", "How much a layer changes each patch's token (TransPrune's transitions)"],
  ["tower", "Tower", "How long each patch's vector is behind the vision tower"],
  ["token", "Token", "How long each visual token is as the language model gets it"],
];
const BY_LAYER = ["attention", "norm", "change"];
const HOW =
  "The root of each number is coloured, on one scale for both pictures, so that small shares are seen. " +
  "Attention collects in [sinks](sink), often at borders and on the first token: bright is not the same as important. " +
  "Dark and hatched: no token stands for the patch there.";

/** "FastV at 64" */
function namesOf({ store }) {
  return { full: "All patches", pruned: `${store.method.title} at ${store.state.budget}` };
}

/** A labelled list of choices. */
function choice(id, label, onChoose) {
  const select = node("select", { id });
  select.addEventListener("change", () => onChoose(Number(select.value)));
  let drawn = "";
  const update = (texts, value, first) => {
    const now = `${texts.length} ${first}`;
    if (drawn !== now) {
      drawn = now;
      select.replaceChildren(
        ...[first, ...texts].map((text, i) => node("option", { value: i - 1 }, text)),
      );
    }
    if (Number(select.value) !== value) select.value = value;
  };
  return { node: node("label", { for: id }, label, select), select, update };
}

/** The buttons over the maps: which map, layer, head and view. */
function mapTools(selection) {
  const what = segments("Map", WHAT, (value) => selection.choose({ what: value }));
  const layer = choice("vt-inside-layer", "layer", (value) => selection.choose({ layer: value }));
  const head = choice("vt-inside-head", "head", (value) => selection.choose({ head: value }));
  const views = node("span");
  let laid = null;
  const update = () => {
    const { case: kase, state, runs } = selection;
    what.press(state.what);
    const numbers = (many) => Array.from({ length: many }, (_, i) => `${i + 1} of ${many}`);
    layer.update(numbers(kase.layers), state.layer, "mean of all");
    head.update(numbers(runs.full?.heads ?? 0), state.layer === ALL ? ALL : state.head, "mean of all");
    layer.select.disabled = !BY_LAYER.includes(state.what);
    head.select.disabled = state.what !== "attention" || state.layer === ALL;
    if (laid !== kase.grid.views) {
      laid = kase.grid.views;
      const named = laid.map(({ name }, i) => [i, name]);
      const made = segments("View", named, (view) => selection.set({ view: Number(view) }));
      views.replaceChildren(made.group);
      views.press = made.press;
    }
    show(views, laid.length > 1);
    views.press(state.view);
  };
  const row = node("div", { class: "vt-tools" }, what.group, layer.node, head.node, views);
  return { node: row, update };
}

/** Maps of both runs, side by side, on one scale. */
function mapPanel(selection) {
  const tools = mapTools(selection);
  const pictures = RUNS.map((name) => mapPicture(selection, `vt-inside-${name}`));
  const update = (names) => {
    tools.update();
    const { state, tasks, runs } = selection;
    const { maps } = selection;
    const rows = RUNS.map((name) => {
      const all = rowsOf(maps?.[name]);
      return all[Math.min(state.step, all.length - 1)] ?? null;
    });
    const isShare = ["attention", "rollout"].includes(maps?.what);
    const range = rangeOf(rows.filter(Boolean), isShare);
    RUNS.forEach((name, i) => {
      const text = runs[name] ? `${names[name]}: “${runs[name].text}”` : names[name];
      const none = tasks.map.reply?.error ?? "computing …";
      const say = isShare ? percent : format.brief;
      pictures[i].update({ name: text, values: rows[i], range, say, none });
    });
  };
  const pair = node("div", { class: "vt-inside-pair" }, ...pictures.map((each) => each.node));
  return { nodes: [tools.node, pair, node("p", { class: "vt-note" }, ...withTerms(HOW))], update };
}

/** A titled panel. */
const panel = (title, id, ...nodes) =>
  node("section", { class: "vt-panel", id }, node("h2", {}, ...withTerms(title)), ...nodes);

function mount(selection, block) {
  const root = rootOf(block.element, "vt-inside");
  const { kinds } = valueOf(block);
  const top = captionLine();
  const busy = node("p", { class: "vt-small", role: "status", id: "vt-inside-status" });
  const slider = stepSlider(selection);
  const maps = mapPanel(selection);
  const bars = RUNS.map((name) => shareBars(selection, kinds, name));
  const lens = lensTable(selection);
  const reads = readsPanel(selection);
  const removal = removalPanel(selection);
  const tables = [
    tableButton("inside-layers", () => layerRows(selection.runs, kinds, selection.tasks.removal.reply?.removal ?? [])),
    tableButton("inside-patches", () => patchRows(selection)),
  ];
  ["Layers as CSV", "Patches as CSV"].forEach((text, i) => write(tables[i], text));
  tables.forEach((button, i) => mark(button, "id", `vt-inside-csv-${["layers", "patches"][i]}`));
  root.replaceChildren(
    patterns(),
    top.node,
    panel("What each word reads", "vt-inside-maps", busy, slider.node, ...maps.nodes, node("div", { class: "vt-tools" }, ...tables)),
    panel(
      "What its attention goes to, layer by layer",
      "vt-inside-shares",
      legend(kinds),
      node("div", { class: "vt-inside-pair" }, ...bars.map((each) => each.node)),
    ),
    node(
      "div",
      { class: "vt-inside-pair" },
      panel("Where the word is made · [logit lens](logit lens)", "vt-inside-made", ...lens.nodes),
      panel("The answer without the picture", "vt-inside-without", ...removal.nodes),
    ),
    panel("Which keys would be read", "vt-inside-keys", ...reads.nodes),
  );
  selection.visible = () => root.offsetParent !== null;
  selection.subscribe(() => {
    const { case: kase, store, tasks, runs } = selection;
    if (!kase || !store.choice) return;
    const names = namesOf(selection);
    top.update(kase, store.full);
    slider.update(names);
    maps.update(names);
    bars.forEach((each, i) => each.update(runs[RUNS[i]], names[RUNS[i]]));
    lens.update(names);
    removal.update(names);
    reads.update();
    const { look } = tasks;
    const now = look.stage || "The model answers once more, watched …";
    write(busy, look.reply?.error ?? (look.busy ? now : ""));
    for (const button of tables) button.disabled = !look.reply?.done;
    mark(root, "data-case", kase.id);
    mark(root, "data-step", selection.state.step);
    mark(root, "data-is", selection.busy ? "busy" : "done");
  });
  new IntersectionObserver(() => selection.changed()).observe(root);
}

/** What Gradio mounts: the tab, and for every task, by its name, the ways out and back. */
export function insideTab(store) {
  const selection = new InsideSelection(store);
  return {
    selection,
    mount: (block) => mount(selection, block),
    mountRequest: (block, name) => selection.tasks[name].connect(announcer(block, "work")),
    mountReply: (block, name) => inbound(block, (reply) => selection.tasks[name].receive(reply)),
  };
}
