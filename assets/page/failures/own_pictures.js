/**
 * Own pictures to look for failures in: chosen in the browser, with a JSONL of questions about them
 * or one question for all. They stay in the browser; each is uploaded when it is its turn.
 */
import { node, show, write } from "../common/dom.js";
import { Request } from "../common/request.js";

const TEXTS = /\.(jsonl|ndjson|json)$/i;
const NAMED = 8; // lines that can't be used and are named; the others are counted
const HELP =
  "Choose pictures, and with them a JSONL file if you have one: a line per question, such as " +
  '{"picture": "cat.jpg", "question": "what is it ?", "answer": "a cat"}. They stay in this ' +
  "browser; the server deletes each as soon as it has looked at it.";

/** Upload a file: the path under which the server has it. */
export async function upload(file) {
  const form = new FormData();
  form.append("files", file, file.name);
  const to = new URL("./gradio_api/upload", document.baseURI);
  const reply = await fetch(to, { method: "POST", body: form });
  if (!reply.ok) throw new Error(`${file.name}: ${await reply.text()}`);
  const [path] = await reply.json();
  return path;
}

const last = (path) => path.split(/[\\/]/).at(-1);

/** The chosen files, as questions about them. */
export class OwnPictures {
  #request = new Request();
  #files = new Map(); // pictures by their names
  #lines = null; // of the JSONL, once the server has read it; null without one
  #left = 0; // pictures that are too many
  bad = []; // sentences on what can't be used
  most = 0; // pictures of one search
  question = ""; // for all of them
  changed = () => {};

  connect(send) {
    this.#request.connect(send);
  }

  get reading() {
    return this.#request.pending !== null;
  }

  get count() {
    return this.#files.size;
  }

  /** Whether one question is asked about all pictures. */
  get isAskedAlike() {
    return this.#lines === null;
  }

  async choose(files) {
    const pictures = [...files].filter(({ name }) => !TEXTS.test(name));
    const taken = pictures.slice(0, this.most).map((file) => [
      file.name,
      { file, src: URL.createObjectURL(file) },
    ]);
    for (const { src } of this.#files.values()) URL.revokeObjectURL(src);
    this.#files = new Map(taken);
    this.#left = pictures.length - taken.length;
    this.#lines = null;
    this.bad = [];
    const text = [...files].find(({ name }) => TEXTS.test(name));
    if (text) this.#request.send({ text: await text.text() });
    this.changed();
  }

  receive(reply) {
    if (!reply || !this.#request.receive(reply)) return;
    this.#lines = reply.lines ?? [];
    const missing = this.#lines.filter(({ picture }) => !this.#files.has(last(picture)));
    this.bad = [
      ...(reply.error ? [reply.error] : []),
      ...reply.bad,
      ...missing.map(({ number, picture }) => `line ${number}: there is no picture ${picture}`),
    ];
    this.changed();
  }

  /** What is to be asked: {name, file, src, question, answer}. */
  get rows() {
    if (this.#lines) {
      return this.#lines
        .filter(({ picture }) => this.#files.has(last(picture)))
        .map(({ picture, question, answer }) => {
          return { name: picture, question, answer, ...this.#files.get(last(picture)) };
        });
    }
    const question = this.question.trim();
    if (!question) return [];
    return [...this.#files].map(([name, own]) => ({ name, question, answer: null, ...own }));
  }

  /** What was chosen, in words. */
  get words() {
    if (!this.count) return HELP;
    const left = this.#left ? ` The first ${this.count} are taken, ${this.#left} left out.` : "";
    const many = `${this.count} picture${this.count === 1 ? "" : "s"}`;
    if (this.reading) return `${many}; reading the questions …`;
    if (this.isAskedAlike) return `${many}, asked the same.${left}`;
    const shown = this.bad.slice(0, NAMED).join("; ");
    const more = this.bad.length > NAMED ? ` and ${this.bad.length - NAMED} more` : "";
    const skipped = this.bad.length ? ` Skipped ${this.bad.length}: ${shown}${more}.` : "";
    return `${many}, ${this.rows.length} questions.${left}${skipped}`;
  }
}

/** The inputs: files, and a question for all where no JSONL says what to ask. */
export function ownInputs(own) {
  const files = node("input", {
    type: "file",
    id: "vt-own-files",
    class: "vt-failures-field",
    multiple: true,
    accept: "image/*,.jsonl,.ndjson,.json",
    "aria-label": "Own pictures, and a JSONL file of questions",
  });
  const question = node("input", {
    type: "text",
    id: "vt-own-question",
    class: "vt-failures-field",
    maxlength: 500,
    placeholder: "One question for all pictures",
    "aria-label": "One question for all pictures",
  });
  files.addEventListener("change", () => own.choose(files.files));
  question.addEventListener("input", () => {
    own.question = question.value;
    own.changed();
  });
  const line = node("p", { class: "vt-own-line", id: "vt-own-line", role: "status" });
  const row = node("div", { class: "vt-failures-row" }, files, question);
  const whole = node("div", { class: "vt-own" }, row, line);
  const update = () => {
    show(question, own.isAskedAlike);
    write(line, own.words);
  };
  return { node: whole, update };
}
