/**
 * The picture with the boxes of the things that are asked about, coloured by the share of each that
 * lies under kept patches: whether a wrong answer goes with lost evidence. Knows nothing of answers.
 */
import { mark, node, show, svg, write } from "../common/dom.js";
import { format } from "../common/format.js";

const NONE = [213, 94, 0]; // orange to blue: told apart by all kinds of eyes
const ALL = [0, 114, 178];

const mix = (share) => NONE.map((low, i) => Math.round(low + share * (ALL[i] - low)));

/** A box, with the thing's name and its share in words. */
function box([x0, y0, x1, y1], share, name, width) {
  const colour = `rgb(${mix(share)})`;
  const size = width / 19;
  const at = Math.max(size, y0 - size / 4);
  return svg(
    "g",
    { "data-share": share.toFixed(3) },
    svg("rect", {
      x: x0, y: y0, width: x1 - x0, height: y1 - y0, fill: "none", stroke: colour,
      "stroke-width": width / 75,
    }),
    svg(
      "text",
      { x: x0, y: at, "font-size": size, fill: "#fff", stroke: "#18181b", "stroke-width": size / 4 },
      `${name} ${format.percent(share, 1)}`,
    ),
  );
}

/** A picture with boxes, and a line that says what their colours mean. */
export function boxPicture() {
  const image = node("img", { alt: "" });
  const over = svg("svg", { class: "vt-boxes", role: "img" });
  const line = node("figcaption", { class: "vt-small" });
  const frame = node("div", { class: "vt-boxed" }, image, over);
  const figure = node("figure", { class: "vt-boxes-figure" }, frame, line);
  const update = (kase, rows, answerOf, where) => {
    const { src, width, height } = kase.picture;
    const boxed = rows.filter((row) => row.boxes.length && typeof answerOf(row)?.covered === "number");
    show(figure, boxed.length > 0);
    if (image.getAttribute("src") !== src) image.src = src;
    mark(over, "viewBox", `0 0 ${width} ${height}`);
    over.replaceChildren(
      ...boxed.flatMap((row) =>
        row.boxes.map((each) => box(each, answerOf(row).covered, row.thing, width)),
      ),
    );
    const told = boxed.map((row) => `${row.thing} ${format.percent(answerOf(row).covered, 1)}`);
    const words = `Share of each box under kept patches, ${where}: ${told.join(", ")}`;
    mark(over, "aria-label", words);
    write(line, `Share of each box that lies under kept patches: ${where}. Orange none, blue all.`);
  };
  return { node: figure, update };
}
