/**
 * The answer when every visual token leaves before a layer, as a curve over the layers: where it is
 * high, pruning inside the language model is free. Beside it the tokens that are alive per layer.
 */
import { staircase } from "../canvas/line_chart.js";
import { taskBar } from "../common/answers/task.js";
import { mark, node, svg, write } from "../common/dom.js";
import { format } from "../common/format.js";

const [WIDTH, HEIGHT, LEFT, FOOT] = [360, 130, 34, 18];

function curve() {
  const drawing = svg("svg", {
    class: "vt-inside-curve",
    id: "vt-inside-removal",
    viewBox: `0 0 ${WIDTH} ${HEIGHT + FOOT}`,
    role: "img",
  });
  const update = (points, layers) => {
    const x = (layer) => LEFT + ((WIDTH - LEFT - 8) * layer) / Math.max(1, layers);
    const y = (p) => 6 + (HEIGHT - 12) * (1 - p);
    const axis = [0, 0.5, 1].flatMap((p) => [
      svg("line", { x1: LEFT, x2: WIDTH, y1: y(p), y2: y(p), class: "vt-grid" }),
      svg("text", { x: LEFT - 5, y: y(p) + 4, "text-anchor": "end" }, `${p}`),
    ]);
    const every = Math.ceil(layers / 12);
    const numbers = points
      .filter(({ layer }) => layer % every === 0)
      .map(({ layer }) =>
        svg("text", { x: x(layer), y: HEIGHT + 13, "text-anchor": "middle" }, `${layer + 1}`),
      );
    const line = points.map(({ layer, p_full }, i) => `${i ? "L" : "M"}${x(layer)},${y(p_full ?? 0)}`);
    const dots = points.map(({ layer, p_full, same, text }) => {
      const words = `gone before layer ${layer + 1}: “${text}”, full answer ${format.chance(p_full ?? 0)}`;
      const at = { cx: x(layer), cy: y(p_full ?? 0), r: 4, "data-same": same ? "" : null };
      return svg("circle", at, svg("title", {}, words));
    });
    drawing.replaceChildren(...axis, ...numbers, svg("path", { d: line.join("") }), ...dots);
  };
  return { node: drawing, update };
}

/** "Gone before layer 10, the answer is unchanged; from there on the picture isn't needed." */
function removalInWords(points, layers) {
  if (points.length < layers) return "";
  const free = points.findLastIndex(({ same }) => !same) + 1;
  if (!free) return "The answer never needs the picture.";
  if (free >= layers) return "The answer needs the picture up to the last layer.";
  return `All visual tokens may leave before layer ${points[free].layer + 1}: the answer stays.`;
}

/** The panel. */
export function removalPanel(selection) {
  const { removal } = selection.tasks;
  const asks = taskBar(removal, "Remove the picture layer by layer", "inside-remove", () =>
    selection.askRemoval(),
  );
  const picture = curve();
  const stairs = [staircase(), staircase()];
  const titles = stairs.map(() => node("p", { class: "vt-small" }));
  const says = node("p", { class: "vt-sentence", id: "vt-inside-removal-line" });
  const update = (names) => {
    const points = removal.reply?.removal ?? [];
    const { layers, grid } = selection.case;
    const words = removalInWords(points, layers);
    asks.update();
    write(says, words);
    picture.update(points, layers);
    mark(picture.node, "data-points", points.length);
    mark(picture.node, "aria-label", `Probability of the full answer with all visual tokens gone before each layer. ${words}`);
    Object.values(selection.runs).forEach((run, i) => {
      write(titles[i], [names.full, names.pruned][i]);
      stairs[i].update(run.entering, grid.n, false);
    });
  };
  const nodes = [
    node("div", { class: "vt-tools" }, ...asks.buttons),
    ...asks.nodes,
    picture.node,
    says,
    ...stairs.flatMap((each, i) => [titles[i], each.node]),
  ];
  return { nodes, update };
}
