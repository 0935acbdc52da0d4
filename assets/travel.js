/**
 * A case leaves the page as a file and comes back from one: buttons, the senders that carry it, and
 * stored beside recomputed values. Files are read and written here, so that none is left on the
 * server. Knows nothing of what stands in a file.
 */
(() => {
  const app = (window.explorer ??= {});
  const { node, write, show, say } = app;

  const send = { wish: null, file: null };

  /** The hidden component of what to save, as a case or a report: {case, method, budget, kind}. */
  app.mountWish = (element, props, trigger) => {
    send.wish = (kind) => {
      const { case: open, method, budget } = app.store.state;
      props.value = { case: open.id, method, budget, kind };
      trigger("save");
    };
  };

  /** The hidden component that carries a file to the server: {text}. */
  app.mountFile = (element, props, trigger) => {
    send.file = (text) => {
      props.value = { text };
      trigger("open");
    };
  };

  /** What the server has packed for the visitor to take home: {name, type, text}. */
  app.mountParcel = (element, props, watch) => {
    watch("value", () => {
      const { name, type, text } = props.value ?? {};
      if (name) app.download(name, type, text);
    });
  };

  const PARAMETERS = ["example", "scene", "question", "model", "method", "budget"];

  /** The hidden component that follows the link by which the visitor came: {query}. */
  app.mountLink = (element, props, trigger) => {
    const asked = new URLSearchParams(location.search);
    if (!PARAMETERS.some((name) => asked.has(name))) return;
    props.value = { query: location.search };
    trigger("restore");
  };

  /** The address of what is on the page, or null where its picture is the visitor's own. */
  app.linkHere = () => {
    const { case: open, method, budget } = app.store.state;
    if (typeof open?.seed !== "number") return null;
    const { seed: scene, question, model } = open;
    const asked = new URLSearchParams({ scene, question, model, method, budget });
    return `${location.origin}${location.pathname}?${asked}`;
  };

  /** Copy the link; where the browser forbids that, show it, ready to be copied by hand. */
  function linker(told) {
    const line = node("input", { type: "text", readonly: true, "aria-label": "Link", hidden: true });
    const copy = async () => {
      const link = app.linkHere();
      show(line, false);
      if (!link) return told("A link can't carry your own picture; save the case instead.");
      try {
        await navigator.clipboard.writeText(link);
        told("The link is copied.");
      } catch {
        told("Your browser lets nobody copy for you; here is the link.");
        line.value = link;
        show(line, true);
        line.select();
      }
    };
    const title = "Copy a link to this scene, question, model, method and budget";
    return [button("Link", title, copy), line];
  }

  function button(text, title, onClick) {
    const made = node("button", { type: "button", title }, text);
    made.addEventListener("click", onClick);
    return made;
  }

  /** The button that opens a file, with a sentence where the file is too large to be read. */
  function opener(most, told) {
    const input = node("input", { type: "file", accept: ".json,application/json", hidden: true });
    input.addEventListener("change", async () => {
      const [file] = input.files;
      told("");
      if (!file) return;
      const large = file.size > most;
      if (large) told(`A case has at most ${most / 1e6} MB; this file is larger.`);
      else send.file(await file.text());
      input.value = ""; // the same file can be chosen again
    });
    const title = "Open a saved case and compare it with what is computed here";
    return [button("Open", title, () => input.click()), input];
  }

  /** The row of buttons. value: {most}, the bytes that a file may have. */
  app.mountTravel = (element, props) => {
    const root = app.root(element, "vt-travel");
    const line = node("p", { class: "vt-told", role: "status" });
    const told = (text) => write(line, text);
    const named = (kind) => {
      const { case: open, method, budget } = app.store.state;
      return `${kind}-${open.id}-${method.replace(/[^a-z0-9]+/g, "-")}-${budget}`;
    };
    const png = async () =>
      app.download(`${named("stage")}.png`, "image/png", await app.stagePng(app.store));
    const csv = () =>
      app.download(`${named("patches")}.csv`, "text/csv", app.csv(app.patchRows(app.store)));
    const what = "Save picture, question, answers and kept patches as one file";
    root.replaceChildren(
      button("Save", what, () => send.wish("case")),
      ...opener(props.value.most, told),
      ...linker(told),
      button("PNG", "Save the picture as it is drawn", png),
      button("Report", "Save everything about this case as one page", () => send.wish("report")),
      button("CSV", "Save every patch with its score and its fate", csv),
      line,
    );
  };

  const dot = (value, inWords) => (value === null || value === undefined ? "·" : inWords(value));
  const ROWS = [
    ["answer", ({ text }) => text || "(nothing)"],
    ["p", ({ p_full }) => dot(p_full, (p) => p.toFixed(3)), "Probability of the full answer"],
    ["KL", ({ kl }) => dot(kl, say.brief), "Of the first token's distribution, in nats"],
    ["patches", ({ kept }) => dot(kept, say.count), "Kept after the last stage"],
  ];
  const CHANGES = {
    answer: "answer changed",
    tokens: "other patches",
    "not run": "not computed",
    "": "same",
  };

  /** One answer: what the file says beside what was computed here. */
  function compared({ name, change, says, stored, again }) {
    const cells = ROWS.map(([label, of, title]) => {
      const [then, now] = [of(stored), again ? of(again) : "·"];
      const differs = then !== now ? "" : null;
      const head = node("th", { scope: "row", title }, label);
      const line = node("tr", {}, head, node("td", {}, then), node("td", {}, now));
      app.mark(line, "data-differs", differs);
      show(line, then !== "·" || now !== "·");
      return line;
    });
    const verdict = node("span", { class: "vt-mark" }, CHANGES[change]);
    const heads = ["stored", "now"].map((text) => node("th", { scope: "col" }, text));
    return node(
      "section",
      { "data-change": change },
      node("h3", {}, name, verdict),
      node(
        "table",
        {},
        node("thead", {}, node("tr", {}, node("td"), ...heads)),
        node("tbody", {}, ...cells),
      ),
      ...(says ? [node("p", { class: "vt-small" }, says)] : []),
    );
  }

  /** The same as one record. */
  function flat({ name, change, stored, again }) {
    const beside = Object.keys(stored).flatMap((key) => [
      [`${key}_stored`, stored[key]],
      [`${key}_now`, again?.[key] ?? null],
    ]);
    return { run: name, is: CHANGES[change], ...Object.fromEntries(beside) };
  }

  /** Stored beside recomputed values of the case that was opened: {case, rows}. */
  app.mountStored = (element, props, watch) => {
    const root = app.root(element, "vt-stored");
    let drawn = null;
    const update = ({ case: open, pending }) => {
      const { value } = props;
      const mine = Boolean(value && open && value.case === open.id && !pending);
      show(root, mine);
      if (!mine || drawn === value) return;
      drawn = value;
      const csv = app.tableButton(`stored-${open.id}`, () => value.rows.map(flat));
      root.replaceChildren(...value.rows.map(compared), csv);
    };
    app.store.subscribe(update);
    watch("value", () => app.store.changed());
  };
})();
