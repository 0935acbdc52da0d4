/** How numbers are written, for eyes and for screen readers. Knows no element. */

/** Three significant digits, never as 1e-5. */
function decimal(x) {
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(x))));
  return places ? x.toFixed(places).replace(/\.?0+$/, "") : String(Math.round(x));
}

/** "1,234"; small numbers take a shorter way, as dozens are written in every frame. */
const count = (n) => {
  const whole = Math.round(n);
  return Math.abs(whole) < 1000 ? String(whole) : whole.toLocaleString("en");
};

/** How numbers are written; a figure that is not known is a dot. */
export const format = {
  count,
  tenths: (x) => (Number.isInteger(x) || x >= 100 ? count(x) : x.toFixed(1)),
  percent: (part, whole) => `${Math.round((100 * part) / whole)} %`,
  probability: (p) => (p > 0 && p < 0.005 ? "< 0.01" : p.toFixed(2)),
  /** "p = 0.88", "p < 0.01" */
  chance: (p) => `p ${p > 0 && p < 0.005 ? "<" : "="} ${p > 0 && p < 0.005 ? "0.01" : p.toFixed(2)}`,
  milliseconds: (seconds) => {
    const ms = seconds * 1000;
    return ms < 10 ? ms.toFixed(1) : count(ms);
  },
  /** Three significant digits without a needless zero in front: .0412 */
  brief: (x) => {
    if (!Number.isFinite(x)) return "·";
    if (x === 0) return "0";
    const size = Math.abs(x);
    const text = size < 1e-5 || size >= 1e5 ? x.toExponential(1) : decimal(x);
    return text.replace(/^(-?)0\./, "$1.").replaceAll("-", "−");
  },
  change: (from, to) => {
    const percent = Math.round((100 * (to - from)) / from);
    if (!Number.isFinite(percent)) return "";
    return percent === 0 ? "±0 %" : `${percent < 0 ? "−" : "+"}${Math.abs(percent)} %`;
  },
};
