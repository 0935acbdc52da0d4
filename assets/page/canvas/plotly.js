/** Brings plotly.js, which is large, when it is needed. Knows nothing of what is drawn. */

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
