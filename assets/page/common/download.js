/**
 * Lets the browser save something as a file, tables among them, without asking the server. Knows
 * nothing of what is saved.
 */
import { node } from "./dom.js";

/** Let the browser save a text or a blob as a file. */
export function download(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  node("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Save a table as comma-separated values; rows: records with equal keys. */
export function downloadTable(name, rows) {
  download(`${name}.csv`, "text/csv", toCsv(rows));
}

/** A small button that saves a table; `rows()` gives records with equal keys. */
export function tableButton(name, rows) {
  const title = "Save this table as comma-separated values";
  const made = node("button", { type: "button", class: "vt-csv", title }, "CSV");
  made.addEventListener("click", () => downloadTable(name, rows()));
  return made;
}

/** One cell; words that a spreadsheet would take for a formula are quoted with an apostrophe. */
function cell(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (typeof value !== "string") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Rows of equal keys as comma-separated values with a head line. */
export function toCsv(rows) {
  const heads = Object.keys(rows[0] ?? {});
  const lines = [heads, ...rows.map((row) => heads.map((head) => row[head]))];
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}
