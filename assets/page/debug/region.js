/**
 * A second look at a region: cells of a grid on the picture, chosen by mouse, finger or keys, and
 * four answers side by side. Knows nothing of how a crop is encoded.
 */
import { announcer, inbound, valueOf } from "../common/bridge.js";
import { link, mark, node, rootOf, show, write } from "../common/dom.js";
import { format } from "../common/format.js";
import { Request } from "../common/request.js";

const RUNS = {
  full: "the picture",
  both: "the picture, then the crop",
  crop: "the crop alone",
  equal: "both, pruned to the cost of one",
};
const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const EXPLAINED =
  "The region is chosen by you, not by the model. It is cut out of the picture and looked at " +
  "again, closer. Models trained on single pictures may stumble over two; then the crop alone " +
  "is the one to trust. The grid and what the crop takes in are those of ";
const SOURCE = "Visual Perception Token (Yu, Ma, Wang, arXiv 2502.17425)";
const THERE = ": there a model that was trained for it names the cells itself.";

/** One of the four answers. */
function card(mode) {
  const [count, text, line] = [node("p", { class: "vt-small" }), node("p"), node("u")];
  const verdict = node("span", { class: "vt-mark" });
  text.className = "vt-answer";
  const chance = node("p", { class: "vt-small" });
  const top = node("p", { class: "vt-top" }, RUNS[mode], verdict);
  const whole = node("article", { class: "vt-answer-card", "data-mode": mode }, top, text);
  whole.append(node("div", { class: "vt-likelihood" }, line), chance, count);
  const update = (look, busy) => {
    const [picture, crop] = look?.tokens ?? [];
    write(count, look ? `${picture} + ${crop} visual tokens` : "");
    write(text, look?.error ? "" : (look?.text ?? (busy ? "…" : "")));
    write(verdict, !look || look.error ? "" : look.same ? "= same" : "≠ changed");
    mark(whole, "data-verdict", look && !look.error && !look.same ? "changed" : null);
    line.style.width = `${100 * (look?.likely ?? 0)}%`;
    const timed = look && !look.error;
    const words = timed
      ? `the full answer has ${format.chance(look.likely)} · ${format.milliseconds(look.seconds)} ms`
      : "";
    write(chance, look?.error ?? words);
  };
  return { whole, update };
}

/** The picture with its grid; `chosen()` gives {cells, seen}, `choose(cells)` takes a new choice. */
function field(cuts, chosen, choose) {
  const picture = node("img", { alt: "", draggable: "false" });
  const [solid, dashed] = [node("i", { class: "vt-cells" }), node("i", { class: "vt-seen" })];
  const frame = node(
    "div",
    { class: "vt-field", tabindex: "0", role: "application", "aria-roledescription": "grid" },
    picture,
    dashed,
    solid,
  );
  let from = null;

  const cellAt = (event) => {
    const box = frame.getBoundingClientRect();
    const part = (at, start, size) =>
      Math.min(cuts - 1, Math.max(0, Math.floor((cuts * (at - start)) / size)));
    return [part(event.clientX, box.left, box.width), part(event.clientY, box.top, box.height)];
  };
  const between = ([ax, ay], [bx, by]) => [
    Math.min(ax, bx),
    Math.min(ay, by),
    Math.max(ax, bx),
    Math.max(ay, by),
  ];
  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    from = cellAt(event);
    choose(between(from, from));
  });
  frame.addEventListener("pointermove", (event) => {
    if (from) choose(between(from, cellAt(event)));
  });
  for (const name of ["pointerup", "pointercancel"]) {
    frame.addEventListener(name, () => (from = null));
  }
  frame.addEventListener("keydown", (event) => {
    const [right, down] = ARROWS[event.key] ?? [];
    if (right === undefined) return;
    event.preventDefault();
    const [x0, y0, x1, y1] = chosen().cells;
    const fits = (low, high) => low >= 0 && high < cuts;
    const next = event.shiftKey
      ? [x0, y0, x1 + right, y1 + down]
      : [x0 + right, y0 + down, x1 + right, y1 + down];
    const [a, b, c, d] = next;
    if (a <= c && b <= d && fits(a, c) && fits(b, d)) choose(next);
  });
  const lay = (element, cells) => {
    show(element, Boolean(cells));
    if (!cells) return;
    const [x0, y0, x1, y1] = cells;
    const share = (n) => `${(100 * n) / cuts}%`;
    Object.assign(element.style, {
      left: share(x0),
      top: share(y0),
      width: share(x1 + 1 - x0),
      height: share(y1 + 1 - y0),
    });
  };
  const update = (kase) => {
    const { src, width, height, alt } = kase.picture;
    if (picture.getAttribute("src") !== src) picture.src = src;
    frame.style.aspectRatio = `${width} / ${height}`;
    const { cells, seen } = chosen();
    lay(solid, cells);
    lay(dashed, seen);
    const [x0, y0, x1, y1] = cells.map((n) => n + 1);
    const words = `columns ${x0} to ${x1}, rows ${y0} to ${y1} of ${cuts}`;
    mark(frame, "aria-label", `${alt} Region: ${words}. Arrow keys move it, with Shift resize it.`);
  };
  return { frame, update };
}

/** The part. Its value is {cuts, reply: {case, cells, seen, looks, done, error, ticket}}. */
function mount(store, request, block) {
  const root = rootOf(block.element, "vt-region");
  const { cuts } = valueOf(block);
  const middle = [cuts / 2 - 1, cuts / 2 - 1, cuts / 2, cuts / 2];
  const state = { cells: middle, id: null, reply: null };
  const wider = node("input", { type: "checkbox", checked: true });
  const grown = ([x0, y0, x1, y1]) => [
    Math.max(x0 - 1, 0),
    Math.max(y0 - 1, 0),
    Math.min(x1 + 1, cuts - 1),
    Math.min(y1 + 1, cuts - 1),
  ];
  const chosen = () => ({
    cells: state.cells,
    seen: wider.checked ? grown(state.cells) : state.cells,
  });
  const stop = () => {
    if (request.busy) request.cancel({});
    request.drop();
  };
  const choose = (cells) => {
    stop();
    Object.assign(state, { cells, reply: null });
    store.changed();
  };
  const ask = (cells) => {
    const { case: open, method } = store.state;
    if (!open || !request.connected) return;
    state.reply = null;
    request.send({ case: open.id, cells, dilate: wider.checked, method });
    store.changed();
  };
  const look = node("button", { type: "button", class: "vt-ask" }, "Look again");
  const best = node("button", { type: "button", class: "vt-ask" }, "Around the best patches");
  look.addEventListener("click", () => ask(state.cells));
  best.addEventListener("click", () => ask(null));
  wider.addEventListener("change", () => choose(state.cells));
  const status = node("p", { class: "vt-small", "aria-live": "polite" });
  const cards = Object.fromEntries(Object.keys(RUNS).map((mode) => [mode, card(mode)]));
  const picture = field(cuts, chosen, choose);
  const label = node("label", {}, wider, " one cell more on every side");
  root.append(
    node("h2", {}, "Look again at a region"),
    node(
      "div",
      { class: "vt-region-body" },
      node("div", {}, picture.frame, node("p", { class: "vt-tools" }, look, best, label), status),
      node("div", { class: "vt-region-cards" }, ...Object.values(cards).map((c) => c.whole)),
    ),
    node(
      "p",
      { class: "vt-small" },
      EXPLAINED,
      link("https://arxiv.org/abs/2502.17425", SOURCE),
      THERE,
    ),
  );
  root.classList.add("vt-panel");

  const update = () => {
    const { case: open } = store.state;
    if (!open || root.offsetParent === null) return;
    if (open.id !== state.id) {
      stop();
      Object.assign(state, { id: open.id, reply: null });
    }
    picture.update(open);
    const { reply } = state;
    const { busy } = request;
    for (const [mode, shown] of Object.entries(cards)) {
      shown.update(
        reply?.looks.find((found) => found.mode === mode),
        busy,
      );
    }
    look.disabled = best.disabled = busy;
    mark(root, "data-state", busy ? "busy" : reply?.done ? "done" : null);
    const place = request.waiting ? ` (${request.waiting})` : "";
    const now = request.stage ? ` · ${request.stage}` : "";
    write(status, reply?.error ?? (busy ? `Looking again …${place}${now}` : ""));
  };
  inbound(block, ({ reply }) => {
    if (!reply || reply.case !== state.id || !request.receive(reply)) return;
    state.reply = reply;
    if (reply.cells) state.cells = reply.cells;
    store.changed();
  });
  store.subscribe(update);
  new IntersectionObserver(() => store.changed()).observe(root);
}

/** What Gradio mounts: the part, and the way out: {case, cells, dilate, method, ticket}. */
export function regionPart(store) {
  const request = new Request();
  return {
    mount: (block) => mount(store, request, block),
    mountRequest: (block) => request.connect(announcer(block, "look")),
  };
}
