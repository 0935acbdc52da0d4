/**
 * What the attention of one word goes to, layer by layer: picture, question, template, first token,
 * the answer's own words. A sink is seen as the sink that it is. Knows shares; not their meaning.
 */
import { mark, node, svg, write } from "../common/dom.js";
import { format } from "../common/format.js";

const PATTERNS = ["", "\\", "/", "x", "."]; // beside colours, for eyes that don't tell them apart

/** Patterns that SVG can fill with, once for the page. */
export function patterns() {
  const lines = { "\\": "M-1 -1L7 7M5 -1L7 1M-1 5L1 7", "/": "M7 -1L-1 7M1 -1L-1 1M7 5L5 7", x: "M0 3H6M3 0V6" };
  const made = PATTERNS.filter(Boolean).map((kind) => {
    const pattern = svg("pattern", {
      id: `vt-inside-pattern-${PATTERNS.indexOf(kind)}`,
      width: 6,
      height: 6,
      patternUnits: "userSpaceOnUse",
    });
    pattern.append(
      kind === "." ? svg("circle", { cx: 3, cy: 3, r: 1 }) : svg("path", { d: lines[kind] }),
    );
    return pattern;
  });
  return svg("svg", { class: "vt-inside-patterns", "aria-hidden": "true" }, svg("defs", {}, ...made));
}

/** Which colour is what. */
export function legend(kinds) {
  const items = kinds.map((kind, k) => {
    const swatch = svg("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, ...box(k, 0, 0, 14, 14));
    return node("li", {}, swatch, kind);
  });
  return node("ul", { class: "vt-inside-legend" }, ...items);
}

function box(kind, x, y, width, height) {
  const place = { x, y, width, height };
  const parts = [svg("rect", { ...place, class: `vt-inside-kind-${kind}` })];
  if (PATTERNS[kind]) parts.push(svg("rect", { ...place, fill: `url(#vt-inside-pattern-${kind})` }));
  return parts;
}

const [WIDTH, HEIGHT, FOOT] = [360, 130, 16];

/** One run's bars, a layer each; a click chooses the layer. */
export function shareBars(selection, kinds, name) {
  const title = node("p", { class: "vt-small" });
  const drawing = svg("svg", {
    class: "vt-inside-bars",
    id: `vt-inside-shares-${name}`,
    viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT}`,
    role: "img",
  });
  const whole = node("div", {}, title, drawing);
  drawing.addEventListener("click", ({ target }) => {
    const bar = target.closest("[data-layer]");
    if (bar) selection.choose({ layer: Number(bar.dataset.layer) });
  });

  const update = (run, label) => {
    write(title, label);
    const step = Math.min(selection.state.step, (run?.shares.length ?? 1) - 1);
    const layers = run?.shares[step] ?? [];
    const wide = WIDTH / Math.max(1, layers.length);
    drawing.replaceChildren(
      ...layers.map((shares, layer) => {
        let top = 0;
        const parts = shares.flatMap((share, kind) => {
          const made = box(kind, layer * wide + 1, top * HEIGHT, wide - 2, share * HEIGHT);
          top += share;
          return made;
        });
        const words = kinds.map((kind, k) => `${kind} ${format.percent(shares[k], 1)}`).join(", ");
        const chosen = selection.state.layer === layer;
        const frame = { x: layer * wide + 1, y: 0, width: wide - 2, height: HEIGHT };
        if (chosen) parts.push(svg("rect", { ...frame, class: "vt-inside-chosen" }));
        const number = { x: (layer + 0.5) * wide, y: HEIGHT + 13, "text-anchor": "middle" };
        const every = Math.ceil(layers.length / 12);
        if (layer % every === 0) parts.push(svg("text", number, `${layer + 1}`));
        const hover = svg("title", {}, `layer ${layer + 1}: ${words}`);
        return svg("g", { "data-layer": layer }, hover, ...parts);
      }),
    );
    const means = kinds.map((_, k) => layers.reduce((sum, each) => sum + each[k], 0) / layers.length);
    const sum = kinds.map((kind, k) => `${kind} ${format.percent(means[k] || 0, 1)}`).join(", ");
    mark(drawing, "aria-label", `${label}: attention by layer; mean over layers: ${sum}`);
  };
  return { node: whole, update };
}
