/**
 * Brings plotly.js, which is large: fetched when it is needed, or before on a desk where it disturbs
 * nobody. Knows nothing of what is drawn.
 */
const AHEAD_MS = 8000; // after the page: its first example has long been looked at
const NEAR = "button[role=tab], .vt-larger"; // a hand that comes near one of them may need it

const BUTTONS = ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"];

/** How every plot behaves; the buttons are those that send nothing anywhere. */
export const PLOT_CONFIG = { displaylogo: false, responsive: true, modeBarButtons: [BUTTONS] };

let loading = null;

/** Words of a model or a visitor as plain text: plotly takes some of HTML for markup. */
export const plainText = (text) =>
  text.replace(/[&<>%{}]/g, (letter) => `&#${letter.charCodeAt(0)};`);

/** Fetch plotly.js once; resolves when it is there. */
export function loadPlotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../plotly.min.js", import.meta.url);
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null; // so that the next try is a try
      reject(new Error("plotly.js could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

const tryTo = () => loadPlotly().catch(() => {});

function near({ target }) {
  const button = target.closest?.(NEAR);
  if (button && (button.role !== "tab" || button.textContent.trim() === "Sweep")) tryTo();
}

/** Fetch it in a quiet moment, but not for a phone, nor for who saves data. */
function ahead() {
  const desk = window.matchMedia("(hover: hover)").matches && !navigator.connection?.saveData;
  if (desk) window.requestIdleCallback?.(tryTo);
}

/** Fetch it before anybody asks, once. */
export function fetchPlotlyAhead() {
  for (const event of ["pointerover", "focusin"]) document.addEventListener(event, near);
  setTimeout(ahead, AHEAD_MS);
}
