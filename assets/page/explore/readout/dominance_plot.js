/**
 * MDI and AEI of the full and the pruned run as a large plot, below everything else: drawn when it is
 * asked for, to be zoomed and read, and gone with its case. Doesn't follow the slider.
 */
import { PLOT_CONFIG, loadPlotly, plainText } from "../../canvas/plotly.js";
import { node, rootOf, show } from "../../common/dom.js";
import { reading } from "../../common/dominance_table.js";

const NARROW = 760; // pixels; the style sheet's phone begins there
const HEIGHT = 420; // pixels of a row of plots
const COLOURS = { full: "#8a8a93", kept: "#6366f1" }; // both stand out on white and on black
const GRID = "rgba(128,128,128,.2)";
const TITLES = ["MDI: text over picture, per token", "AEI of the text"];
const GAP = { narrow: 0.18, wide: 0.1 }; // share of the height or width between the two

/** An axis of logarithms has no place for what is infinite or not defined. */
const drawable = (values) => values.map((v) => (v > 0 && Number.isFinite(v) ? v : null));

/** Where the two plots lie: one below the other on a phone. */
function domains(narrow) {
  const half = (1 - (narrow ? GAP.narrow : GAP.wide)) / 2;
  const [low, high] = [
    [0, half],
    [1 - half, 1],
  ];
  return narrow
    ? [
        { x: [0, 1], y: high },
        { x: [0, 1], y: low },
      ]
    : [
        { x: low, y: [0, 1] },
        { x: high, y: [0, 1] },
      ];
}

/** What the curves count: "(|T| = 24, the first token left out)". */
function countsInWords({ full, first }) {
  const { text } = reading(full.dominance, first);
  return `(|T| = ${text}, the first token ${first ? "counted as text" : "left out"})`;
}

function traces({ full, kept, choice, first }) {
  const runs = [
    { run: "full", answer: full, name: "all tokens", dash: "dot" },
    {
      run: "kept",
      answer: kept,
      name: `${plainText(choice.method.title)}, ${choice.budget} tokens`,
      dash: "solid",
    },
  ];
  const found = runs.map(({ answer, ...each }) => ({
    ...each,
    dominance: reading(answer.dominance, first),
  }));
  return found.flatMap(({ run, dominance, name, dash }) =>
    ["mdi", "aei"].map((measure, i) => ({
      x: dominance[measure].map((_, layer) => layer + 1),
      y: drawable(dominance[measure]),
      name,
      legendgroup: run,
      showlegend: i === 0,
      mode: "lines+markers",
      line: { color: COLOURS[run], dash },
      hovertemplate: `layer %{x}: %{y:.3g}<extra>${name}</extra>`,
      xaxis: `x${i ? 2 : ""}`,
      yaxis: `y${i ? 2 : ""}`,
    })),
  );
}

function layout(narrow) {
  const places = domains(narrow);
  const axes = places.flatMap(({ x, y }, i) => {
    const n = i ? 2 : "";
    const look = { gridcolor: GRID, zeroline: false, automargin: true };
    const title = { text: "decoder layer", standoff: 15 };
    return [
      [`xaxis${n}`, { ...look, domain: x, anchor: `y${n}`, title }],
      [`yaxis${n}`, { ...look, domain: y, anchor: `x${n}`, type: "log" }],
    ];
  });
  const balance = {
    type: "line",
    x0: 0,
    x1: 1,
    y0: 1,
    y1: 1,
    line: { width: 1, color: "#a1a1aa" },
  };
  const heading = {
    xref: "paper",
    yref: "paper",
    xanchor: "center",
    yanchor: "bottom",
    showarrow: false,
  };
  return {
    ...Object.fromEntries(axes),
    shapes: ["", "2"].map((n) => ({ ...balance, xref: `x${n} domain`, yref: `y${n}` })),
    annotations: places.map(({ x, y }, i) => ({
      ...heading,
      text: TITLES[i],
      x: (x[0] + x[1]) / 2,
      y: y[1],
      font: { size: 16 },
    })),
    height: (narrow ? 2 : 1) * HEIGHT,
    margin: { l: 45, r: 10, t: 45, b: 40 },
    legend: { orientation: "h", y: -0.18 / (narrow ? 2 : 1), tracegroupgap: 0 },
    hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: "#85858f" },
  };
}

/**
 * Mount the place of the plot.
 * @param {Store} store
 * @param {Block} block see common/bridge.js
 */
export function dominancePlot(store, { element }) {
  const root = rootOf(element, "vt-enlarged");
  const line = node("p", { class: "vt-small", role: "status" });
  let drawn = null;

  async function draw(runs) {
    const box = node("div", { class: "vt-dominance-plot" });
    const body = node(
      "details",
      { open: true },
      node("summary", {}, `MDI and AEI, larger ${countsInWords(runs)}`),
      box,
      line,
    );
    root.replaceChildren(body);
    show(root, true);
    const narrow = window.innerWidth <= NARROW;
    try {
      const plotly = await loadPlotly();
      if (!box.isConnected) return;
      await plotly.newPlot(box, traces(runs), layout(narrow), PLOT_CONFIG);
      root.scrollIntoView({ block: "nearest" });
    } catch (error) {
      line.textContent = error.message;
    }
  }

  store.subscribe(({ enlarged }) => {
    if (drawn === enlarged) return;
    drawn = enlarged;
    if (enlarged) draw(enlarged);
    else {
      root.replaceChildren();
      show(root, false);
    }
  });
}
