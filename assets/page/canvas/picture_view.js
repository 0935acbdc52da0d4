/**
 * The picture with its overlay: keeps the canvas at the right size, follows pointer and arrow keys,
 * and says in a line which patch is pointed at. What is drawn is overlay.js' business.
 */
import { mark, node, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { deviceScale } from "./brush.js";
import { drawOverlay } from "./overlay.js";

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** The stage that is drawn: the chosen one, or the last. */
export function shownStage(store) {
  const { stages } = store.choice;
  return stages[Math.min(store.state.stage ?? stages.length - 1, stages.length - 1)];
}

/** What is drawn over the picture; see overlay.js. */
export function stageScene(store) {
  const { case: kase, view, mode, colouring, opacity, cursor } = store.state;
  const { fate, groups, scores } = shownStage(store);
  return {
    view: kase.grid.views[view],
    cells: kase.grid.cells[view],
    padded: kase.grid.padded,
    fate,
    groups,
    scores,
    mode,
    colouring,
    opacity,
    cursor,
    stride: store.choice.method.stride,
  };
}

function fateInWords(kase, { fate, groups, centres }, token) {
  if (fate[token] < 0) return "dropped";
  const mine = groups?.[token] ?? 0;
  if (!mine) return "kept";
  const others = groups.reduce((sum, other) => sum + (other === mine), 0) - 1;
  const counted = `${format.count(others)} other${others === 1 ? "" : "s"}`;
  if (fate[token] === 0) return `kept, merged with ${counted} at this place`;
  const centre = centres[mine - 1] ?? -1;
  if (centre < 0) return `folded into merged token ${mine} with ${counted}`;
  return `folded into the token at ${placeInWords(kase, centre)}`;
}

function placeInWords(kase, token) {
  const [, row, column] = kase.grid.place.slice(3 * token, 3 * token + 3);
  return `row ${row + 1}, column ${column + 1}`;
}

function standingInWords({ fate, scores }, token) {
  const { score, rank, alive } = scores;
  if (rank[token] < 0) return fate[token] < 0 ? "left at an earlier stage" : "not scored here";
  const place = `rank ${format.count(rank[token] + 1)} of ${format.count(alive)}`;
  return `score ${format.brief(score[token])} · ${place}`;
}

/** Say everything about the token under the cursor. */
function tokenInWords(kase, stage, token) {
  const gone = stage.scores.rank[token] < 0 && stage.fate[token] < 0;
  const parts = [placeInWords(kase, token), standingInWords(stage, token)];
  if (!gone) parts.push(fateInWords(kase, stage, token));
  if (kase.grid.padded[token]) parts.push("padding, outside the picture");
  return parts.join(" · ");
}

/** Say what was kept: of several views together, and of the one that is shown. */
function keptInWords(kase, { tally, fate, extra }, view) {
  const merged = extra ? ` and ${extra} without a patch` : "";
  const all = `${format.count(tally.kept)} patch${tally.kept === 1 ? "" : "es"} kept${merged}`;
  if (kase.grid.views.length === 1) return all;
  const here = kase.grid.cells[view].filter((token) => token >= 0 && fate[token] === 0).length;
  return `${all} (${format.count(here)} in this view)`;
}

/** Say what the colours mean and how many patches met which fate. */
function stageInWords(kase, method, stage, state) {
  const { folded, dropped, groups } = stage.tally;
  const parts = [keptInWords(kase, stage, state.view)];
  if (folded) parts.push(`${format.count(folded)} folded into ${format.count(groups)}`);
  if (dropped || !folded) parts.push(`${format.count(dropped)} dropped`);
  const means = method.score_means ?? "score";
  const byRank = state.colouring === "rank" && stage.scores.high > stage.scores.low;
  const grid = method.stride ? " · squares: the even grid" : "";
  return `${parts.join(", ")}${grid} · ${means}${byRank ? ", by rank" : ""}`;
}

/** Place the picture behind a frame that shows the part of it which a view covers. */
export function layPicture(image, frame, kase, view) {
  const [x0, y0, x1, y1] = view.box;
  const [width, height] = [x1 - x0, y1 - y0];
  const { picture } = kase;
  image.style.left = `${(-100 * x0) / width}%`;
  image.style.top = `${(-100 * y0) / height}%`;
  image.style.width = `${(100 * picture.width) / width}%`;
  image.style.height = `${(100 * picture.height) / height}%`;
  frame.style.setProperty("--vt-aspect", width / height);
  frame.style.setProperty("--vt-backdrop", picture.backdrop ?? "rgb(128, 128, 128)");
  if (image.getAttribute("src") !== picture.src) image.src = picture.src;
}

/** Move the cursor through the cells of the view, skipping cells without a token. */
function step(store, key) {
  const { state } = store;
  const { rows, columns } = state.case.grid.views[state.view];
  const cells = state.case.grid.cells[state.view];
  const from = cells.indexOf(state.cursor);
  if (from < 0) return cells.find((token) => token >= 0) ?? -1;
  let [row, column] = [Math.floor(from / columns), from % columns];
  if (key === "Home") column = 0;
  if (key === "End") column = columns - 1;
  const [down, right] = ARROWS[key] ?? [0, 0];
  row = Math.min(rows - 1, Math.max(0, row + down));
  column = Math.min(columns - 1, Math.max(0, column + right));
  const token = cells[row * columns + column];
  return token >= 0 ? token : state.cursor;
}

function listen(frame, store, line) {
  const point = (event) => {
    const { state } = store;
    if (!state.case) return;
    const { rows, columns } = state.case.grid.views[state.view];
    const box = frame.getBoundingClientRect();
    const share = (at, start, size, many) =>
      Math.min(many - 1, Math.max(0, Math.floor((many * (at - start)) / size)));
    const row = share(event.clientY, box.top, box.height, rows);
    const column = share(event.clientX, box.left, box.width, columns);
    const cursor = state.case.grid.cells[state.view][row * columns + column];
    mark(line, "aria-live", "off");
    if (cursor !== state.cursor) store.set({ cursor });
  };
  const leave = () => store.state.cursor >= 0 && store.set({ cursor: -1 });
  frame.addEventListener("pointermove", point);
  frame.addEventListener("pointerdown", point);
  frame.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && leave());
  frame.addEventListener("blur", leave);
  frame.addEventListener("keydown", (event) => {
    if (!store.state.case) return;
    if (event.key === "Escape") leave();
    if (!(event.key in ARROWS) && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    mark(line, "aria-live", "polite");
    store.set({ cursor: step(store, event.key) });
  });
}

/** The picture with its overlay, and the line that describes it. */
export function pictureView(store) {
  const image = node("img", { alt: "", draggable: "false" });
  const canvas = node("canvas", { "aria-hidden": "true" });
  const frame = node(
    "div",
    { class: "vt-view", id: "vt-view", role: "application", tabindex: "0" },
    image,
    canvas,
  );
  const line = node("p", { class: "vt-line", id: "vt-line" });
  let laid = null;
  let scale = 1;

  const fit = () => {
    scale = deviceScale();
    const width = Math.round(frame.clientWidth * scale);
    const height = Math.round(frame.clientHeight * scale);
    if (canvas.width === width && canvas.height === height) return;
    Object.assign(canvas, { width, height });
    store.changed();
  };
  new ResizeObserver(fit).observe(frame);
  listen(frame, store, line);

  const update = (state) => {
    const kase = state.case;
    const view = kase.grid.views[state.view];
    if (laid !== view) {
      layPicture(image, frame, kase, view);
      laid = view;
      fit();
    }
    const stage = shownStage(store);
    const { cursor } = state;
    const scene = stageScene(store);
    if (canvas.width && canvas.height) drawOverlay(canvas, scene, scale);
    const { final, method } = store.choice;
    mark(
      frame,
      "aria-label",
      `${kase.picture.alt || "Picture"}: ${final} of ${kase.grid.n} visual ` +
        `tokens kept by ${method.title}. Arrow keys read single patches.`,
    );
    write(
      line,
      cursor >= 0 ? tokenInWords(kase, stage, cursor) : stageInWords(kase, method, stage, state),
    );
  };
  return { node: frame, line, update };
}
