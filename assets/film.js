/**
 * The tab "Video": one budget over all frames, the answers, the strip of frames, and what is to be
 * known about it. Puts the parts together and marks the numbers of the last draw for tests.
 */
(() => {
  const app = (window.explorer ??= {});
  const { node, write, mark, show, say, segments } = app;
  const SPEAK_MS = 150;
  const STEPS = 8; // the exponent's slider counts in halves: 0, 0.5, ... 4

  const ABOUT = [
    "QuoTA (Luo et al., AAAI 2026, arXiv 2503.08689) shares a budget out over frames: " +
      "wᵢ = qᵢ^α / Σ q^α, nᵢ = ⌊B wᵢ⌋ tokens, and each frame's grid is resized to its share. " +
      "α = 2 is the authors' choice, α = 0 the even share.",
    "Checked against MAC-AutoML/QuoTA @ ec194d7: shares, grids and resized tokens of v1 and v2 " +
      "equal the official code's on 3 recordings; the frames' scores have no recording. The paper " +
      "itself could not be read, only its abstract.",
    "v1 interpolates and may give a frame more tokens than it had; v2 averages, and caps a frame " +
      "at its own size. v3 to v5 don't run to the end in the official code.",
    "Within a frame all patches share one score. Grids are cut off to whole numbers, so that fewer " +
      "tokens than the budget are used, and every budget makes new grids: a larger one need not " +
      "answer better.",
  ];

  const used = (grids) => grids.reduce((sum, [rows, columns]) => sum + rows * columns, 0);

  function range(id, label, attributes, filming, onInput) {
    const input = node("input", {
      type: "range",
      id,
      class: "vt-range",
      "aria-label": label,
      ...attributes,
    });
    input.addEventListener("pointerdown", () => filming.hold());
    window.addEventListener("pointerup", () => filming.release());
    window.addEventListener("pointercancel", () => filming.release());
    input.addEventListener("input", () => onInput(input.valueAsNumber));
    const place = (value, max, min = 0) => {
      mark(input, "max", max);
      if (input.valueAsNumber !== value) input.value = value;
      input.style.setProperty("--vt-at", (value - min) / Math.max(1, max - min));
    };
    return { input, place };
  }

  /** The budget, QuoTA's settings and the choice of a method. */
  function hand(filming) {
    const number = node("output", { class: "vt-number", id: "vt-film-number" });
    const share = node("span", { class: "vt-share" });
    const budget = range(
      "vt-film-budget",
      "Budget: visual tokens over all frames",
      { min: 1, step: 1 },
      filming,
      (value) => filming.set({ budget: value }),
    );
    const alpha = range("vt-film-alpha", "QuoTA's exponent", { min: 0, step: 1 }, filming, (value) =>
      filming.set({ alpha: value / 2 }),
    );
    const exponent = node("output", { class: "vt-film-exponent" });
    const version = segments(
      "How QuoTA resizes frames",
      [
        ["v1", "v1", "Bilinear; a frame may get more tokens than it had"],
        ["v2", "v2", "Averages; no frame gets more tokens than it had"],
      ],
      (value) => filming.set({ version: value }),
    );
    const method = node("select", { id: "vt-film-method", "aria-label": "Method to compare with" });
    method.addEventListener("change", () => filming.set({ method: method.value }));
    let offered = null;

    const update = () => {
      const { film, state } = filming;
      const { n } = film.grid;
      if (offered !== film) {
        offered = film;
        const options = film.offered.map(({ key, title }) => node("option", { value: key }, title));
        method.replaceChildren(...options);
      }
      write(number, say.count(state.budget));
      const per = say.tenths(Math.round((10 * state.budget) / film.frames.length) / 10);
      write(share, `of ${say.count(n)} visual tokens over all frames · ${per} a frame`);
      budget.place(state.budget, n, 1);
      mark(budget.input, "aria-valuetext", `${state.budget} of ${n} visual tokens`);
      alpha.place(2 * state.alpha, STEPS);
      mark(alpha.input, "aria-valuetext", String(state.alpha));
      write(exponent, `α = ${state.alpha}${state.alpha === 0 ? ": even share" : ""}`);
      version.press(state.version);
      if (method.value !== state.method) method.value = state.method;
    };
    const settings = node(
      "div",
      { class: "vt-film-settings" },
      node("b", {}, "QuoTA"),
      exponent,
      alpha.input,
      version.group,
      node("span", { class: "vt-film-against" }, "against"),
      node("span", { class: "vt-select" }, method),
    );
    const row = node("div", { class: "vt-row" }, number, share);
    const whole = node("div", { class: "vt-film-hand" }, row, budget.input);
    return { nodes: [whole, settings], update };
  }

  /** One answer: whose it is, from how many tokens, what it says. */
  function answerCard(id) {
    const title = node("span");
    const note = node("span", { class: "vt-is" });
    const sign = node("b", { class: "vt-mark" });
    const text = node("p", { class: "vt-answer" });
    const card = node(
      "div",
      { class: "vt-answer-card", id },
      node("div", { class: "vt-top" }, title, note, sign),
      text,
    );
    const update = (name, tokens, answer, full, error) => {
      write(title, name);
      write(note, tokens);
      const words = answer ? answer.text || "(nothing)" : error || "…";
      write(text, words);
      mark(text, "data-blank", answer?.text ? null : "");
      mark(text, "data-long", words.length > 60 ? "" : null);
      const same = answer && full && answer.same;
      const right = answer?.right;
      const known = typeof right === "boolean";
      const verdict = !answer ? null : known ? (right ? "right" : "wrong") : same ? null : "changed";
      mark(card, "data-verdict", verdict);
      const parts = [known ? (right ? "✓ right" : "✗ wrong") : ""];
      if (full && answer) parts.push(`p ${say.probability(answer.p_full ?? 0)}`);
      write(sign, parts.filter(Boolean).join(" · "));
      mark(sign, "title", full ? "p: the probability that this run gives to the full answer" : null);
    };
    return { node: card, update };
  }

  function answersRow(filming) {
    const [full, quota, other] = ["full", "quota", "other"].map((name) =>
      answerCard(`vt-film-${name}`),
    );
    const row = node("div", { class: "vt-film-answers" }, full.node, quota.node, other.node);
    const update = () => {
      const { film, grids, choice, state, error } = filming;
      const { n } = film.grid;
      full.update("All tokens", say.count(n), film.full, null, "");
      quota.update(
        "QuoTA",
        grids ? `${say.count(used(grids))} used of ${say.count(state.budget)}` : "",
        filming.quota,
        film.full,
        error,
      );
      const title = film.offered.find(({ key }) => key === state.method)?.title ?? "";
      const mean = choice ? `mean ${say.tenths(Math.round(10 * choice.mean) / 10)}` : "";
      const floor = choice && choice.budget > state.budget ? " (its least)" : "";
      other.update(title, mean + floor, filming.other, film.full, error);
    };
    return { node: row, update };
  }

  /** What is to be known: where scores come from, the contact sheet, QuoTA itself. */
  function about() {
    const notes = node("div", { class: "vt-notes vt-film-notes" });
    const sheet = node("img", { class: "vt-film-sheet", alt: "The contact sheet of all frames" });
    const picture = node(
      "details",
      { class: "vt-film-more", id: "vt-film-sheet" },
      node("summary", {}, "The contact sheet that the model sees"),
      sheet,
    );
    const quota = node(
      "details",
      { class: "vt-film-more" },
      node("summary", {}, "About QuoTA, and what is not certain"),
      ...ABOUT.map((text) => node("p", {}, text)),
    );
    let shown = null;
    const update = (film) => {
      if (shown === film) return;
      shown = film;
      notes.replaceChildren(...film.notes.map((line) => node("p", {}, line)));
      show(picture, Boolean(film.sheet));
      if (film.sheet) sheet.src = film.sheet;
    };
    return { node: node("div", {}, notes, picture, quota), update };
  }

  /** "QuoTA gives 40 of 48 tokens to 2 of 9 frames, answer unchanged." */
  function sentence({ film, grids, quota, state }) {
    if (!grids) return "";
    const seen = grids.filter(([rows]) => rows).length;
    const given = `QuoTA gives ${used(grids)} of ${state.budget} tokens to ${seen} of ${grids.length} frames`;
    const end = quota ? `, answer ${quota.same ? "unchanged" : "changed"}` : "";
    return `${given}${end}.`;
  }

  /**
   * Mount the board. Its value is a Film (see filming.js), or null.
   * @param {HTMLElement} element
   * @param {{value: ?Object}} props
   * @param {function(string, function): void} watch
   */
  app.mountFilm = (element, props, watch) => {
    const { filming } = app;
    const root = app.root(element, "vt-film");
    root.classList.add("vt-panel");
    const empty = node("p", { class: "vt-empty" }, "Choose a video and ask a question.");
    const caption = node("p", { class: "vt-film-caption" });
    const spoken = node("p", { class: "vt-spoken", "aria-live": "polite" });
    const parts = [hand(filming), answersRow(filming), app.frameStrip(filming)];
    const more = about();
    const body = node(
      "div",
      { class: "vt-film-body", hidden: true },
      caption,
      ...parts.flatMap((part) => part.nodes ?? [part.node]),
      spoken,
      more.node,
    );
    root.replaceChildren(empty, body);
    let speak = 0;
    let next = "";
    filming.subscribe(() => {
      const { film, grids, state } = filming;
      show(empty, !film);
      show(body, Boolean(film));
      if (!film) return;
      const things = film.things.length ? film.things.join(", ") : "nothing named";
      write(caption, `${film.model} · “${film.question}” · ${film.said} · looked for: ${things} (${film.who})`);
      for (const part of parts) part.update();
      more.update(film);
      const words = filming.error || sentence(filming);
      if (words !== next) {
        next = words;
        clearTimeout(speak); // a moving hand would make a screen reader stumble
        speak = setTimeout(() => write(spoken, words), SPEAK_MS);
      }
      mark(root, "data-film", film.id);
      mark(root, "data-budget", state.budget);
      mark(root, "data-used", grids ? used(grids) : null);
      mark(root, "data-is", filming.quota && filming.other ? "done" : filming.error ? "error" : "busy");
    });
    filming.open(props.value);
    watch("value", () => filming.open(props.value));
  };
})();
