/**
 * Pictures with patches on one canvas: small ones by the dozen, the difference of two kept sets,
 * and how many methods keep each patch. The picture itself is scaled once per size and then copied.
 * Knows kept sets and colours; nothing of answers and the server.
 */
(() => {
  const app = (window.explorer ??= {});
  const { node, mark } = app;
  const SHARPEST = 2; // device pixels per CSS pixel that are worth drawing
  const NEAR = "200px"; // so far from the screen a picture is drawn
  const SIDES = 6; // sizes that are kept
  const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const TINTS = { onlyA: "rgba(234, 88, 12, .62)", onlyB: "rgba(37, 99, 235, .62)" };
  const NONE = 0.77; // how dark a patch is that nobody keeps
  const VOTED = 0.78;

  const scale = () => Math.min(SHARPEST, window.devicePixelRatio || 1);

  const loaded = new WeakMap(); // case -> image
  const scaled = new WeakMap(); // case -> Map of "view width height" -> canvas

  /** The uploaded picture, once it is there. */
  function imageOf(kase) {
    if (!loaded.has(kase)) {
      const image = new Image();
      image.onload = () => {
        app.comparing?.changed();
        app.store.changed();
      };
      image.src = kase.picture.src;
      loaded.set(kase, image);
    }
    const image = loaded.get(kase);
    return image.complete && image.naturalWidth ? image : null;
  }

  /** One view of the picture at a size; null as long as the picture isn't there. */
  function backdrop(kase, view, width, height) {
    const image = imageOf(kase);
    if (!image) return null;
    const sizes = scaled.get(kase) ?? new Map();
    scaled.set(kase, sizes);
    const name = `${view} ${width} ${height}`;
    if (!sizes.has(name)) {
      const canvas = document.createElement("canvas");
      Object.assign(canvas, { width, height });
      const pen = canvas.getContext("2d");
      const [x0, y0, x1, y1] = kase.grid.views[view].box;
      const [across, down] = [width / (x1 - x0), height / (y1 - y0)];
      pen.fillStyle = kase.picture.backdrop ?? "rgb(128, 128, 128)";
      pen.fillRect(0, 0, width, height);
      pen.imageSmoothingQuality = "high";
      const { width: w, height: h } = kase.picture;
      pen.drawImage(image, -x0 * across, -y0 * down, w * across, h * down);
      if (sizes.size >= SIDES) sizes.delete(sizes.keys().next().value);
      sizes.set(name, canvas);
    }
    return sizes.get(name);
  }

  function sceneOf(kase, choice, { view = 0, mode = "kept", cursor = -1 }) {
    const stage = choice.stages.at(-1);
    return {
      view: kase.grid.views[view],
      cells: kase.grid.cells[view],
      padded: kase.grid.padded,
      fate: stage.fate,
      scores: stage.scores,
      mode,
      colouring: "rank",
      opacity: 0.55,
      cursor,
    };
  }

  /**
   * Two canvases, one over the other: the picture, drawn once, and what is drawn over it again and
   * again. Copying the picture in every frame would take most of the time, and so would asking how
   * large each canvas is: an observer tells it. What is far from the screen is not drawn.
   * @param {function} due called when there is a reason to draw: another size, or now in view
   */
  app.pictureLayers = (due) => {
    const under = node("canvas", { "aria-hidden": "true" });
    const over = node("canvas", { "aria-hidden": "true" });
    let size = { width: 0, height: 0 };
    let laid = "";
    let owner = null;
    new ResizeObserver(([{ contentRect }]) => {
      const { width, height } = contentRect;
      size = { width: Math.round(width * scale()), height: Math.round(height * scale()) };
      if (size.width && size.height) due();
    }).observe(over);
    let near = false;
    new IntersectionObserver(
      (seen) => {
        near = seen.at(-1).isIntersecting;
        if (near) due();
      },
      { rootMargin: NEAR },
    ).observe(over);

    /** Make both ready for a view; false while out of view, without a size or a picture. */
    const ready = (kase, view) => {
      const { width, height } = size;
      if (!near || !width || !height) return false;
      const now = `${view} ${width} ${height}`;
      if (owner === kase && laid === now) return true;
      const picture = backdrop(kase, view, width, height);
      if (!picture) return false;
      for (const canvas of [under, over]) Object.assign(canvas, size);
      under.getContext("2d").drawImage(picture, 0, 0);
      [owner, laid] = [kase, now];
      return true;
    };
    return { under, over, ready };
  };

  /** Draw what a choice keeps over a picture that lies under the canvas. */
  app.drawKept = (canvas, kase, choice, look = {}) => {
    app.drawOverlay(canvas, sceneOf(kase, choice, look), (look.lines ?? 1) * scale());
  };

  app.SMALL_LINES = 0.75; // thickness of lines on a small picture

  const overlays = new WeakMap();

  /** A small picture on a single canvas: no colours of scores, only what is kept. */
  app.drawSmall = (canvas, kase, choice, view = 0) => {
    const width = Math.round(canvas.clientWidth * scale());
    const height = Math.round(canvas.clientHeight * scale());
    const picture = width && height ? backdrop(kase, view, width, height) : null;
    if (!picture) return false;
    Object.assign(canvas, { width, height });
    const overlay = overlays.get(canvas) ?? document.createElement("canvas");
    overlays.set(canvas, overlay);
    Object.assign(overlay, { width, height });
    app.drawKept(overlay, kase, choice, { view, lines: app.SMALL_LINES });
    const pen = canvas.getContext("2d");
    pen.drawImage(picture, 0, 0);
    pen.drawImage(overlay, 0, 0);
    return true;
  };

  /** Cells of one view as the drawing needs them. */
  function gridOf(kase, view, canvas) {
    const { rows, columns } = kase.grid.views[view];
    const cut = (many, size) =>
      Array.from({ length: many + 1 }, (_, i) => Math.round((i * size) / many));
    return { x: cut(columns, canvas.width), y: cut(rows, canvas.height), rows, columns };
  }

  function pointAt(pen, kase, view, grid, cursor) {
    const cell = kase.grid.cells[view].indexOf(cursor);
    if (cursor < 0 || cell < 0) return;
    const only = app.brush.borders(
      grid,
      (i) => (i === cell ? 1 : 0),
      0,
      () => true,
      1.5 * scale(),
    );
    app.brush.stroke(pen, only, 4 * scale(), "rgba(0,0,0,.75)");
    app.brush.stroke(pen, only, 2 * scale(), "#fff");
  }

  const dark = (share) => `rgba(${app.brush.dark}, ${share})`;

  /** Kept by both: clear, with a line round it; by one: its tint and pattern; by none: dark. */
  app.drawDifference = (canvas, kase, [a, b], { view = 0, cursor = -1 } = {}) => {
    const { fillCells, borders, stroke, tile, keptLine } = app.brush;
    const pen = canvas.getContext("2d");
    const grid = gridOf(kase, view, canvas);
    const cells = kase.grid.cells[view];
    const [ours, theirs] = [a, b].map((choice) => choice.stages.at(-1).fate);
    const kept = (fate, i) => cells[i] >= 0 && fate[cells[i]] === 0;
    const is = {
      both: (i) => kept(ours, i) && kept(theirs, i),
      onlyA: (i) => kept(ours, i) && !kept(theirs, i),
      onlyB: (i) => kept(theirs, i) && !kept(ours, i),
      none: (i) => cells[i] >= 0 && !kept(ours, i) && !kept(theirs, i),
    };
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.lineCap = "square";
    fillCells(pen, grid, is.none, dark(NONE));
    fillCells(pen, grid, is.none, tile(pen, "/", scale()));
    for (const [name, pattern] of [["onlyA", "."], ["onlyB", "\\"]]) {
      fillCells(pen, grid, is[name], TINTS[name]);
      fillCells(pen, grid, is[name], tile(pen, pattern, scale()));
    }
    const line = borders(grid, (i) => (is.both(i) ? 1 : 0), 0, () => true, scale());
    stroke(pen, line, 2 * scale(), keptLine);
    pointAt(pen, kase, view, grid, cursor);
  };

  /** How many of `most` methods keep each patch, from dark to bright; nobody: dark and hatched. */
  app.drawVotes = (canvas, kase, { votes, most }, { view = 0, cursor = -1 } = {}) => {
    const { fillCells, borders, stroke, tile, colours, keptLine } = app.brush;
    const pen = canvas.getContext("2d");
    const grid = gridOf(kase, view, canvas);
    const cells = kase.grid.cells[view];
    const of = (i) => (cells[i] < 0 ? -1 : votes[cells[i]]);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.lineCap = "square";
    fillCells(pen, grid, (i) => of(i) === 0, dark(NONE));
    fillCells(pen, grid, (i) => of(i) === 0, tile(pen, "/", scale()));
    for (const count of new Set(votes)) {
      if (count === 0) continue;
      const at = 3 * Math.round((255 * count) / Math.max(1, most));
      const colour = [...colours.slice(at, at + 3)].join(", ");
      fillCells(pen, grid, (i) => of(i) === count, `rgba(${colour}, ${VOTED})`);
    }
    const all = borders(grid, (i) => (of(i) === most ? 1 : 0), 0, () => most > 0, scale());
    stroke(pen, all, 2 * scale(), keptLine);
    pointAt(pen, kase, view, grid, cursor);
  };

  function step(kase, view, from, key) {
    const { rows, columns } = kase.grid.views[view];
    const cells = kase.grid.cells[view];
    const at = cells.indexOf(from);
    if (at < 0) return cells.find((token) => token >= 0) ?? -1;
    const [down, right] = ARROWS[key];
    const row = Math.min(rows - 1, Math.max(0, Math.floor(at / columns) + down));
    const column = Math.min(columns - 1, Math.max(0, (at % columns) + right));
    const token = cells[row * columns + column];
    return token >= 0 ? token : from;
  }

  /** The token under a pointer. */
  function tokenAt(kase, view, box, event) {
    const { rows, columns } = kase.grid.views[view];
    const share = (at, start, size, many) =>
      Math.min(many - 1, Math.max(0, Math.floor((many * (at - start)) / size)));
    const row = share(event.clientY, box.top, box.height, rows);
    const column = share(event.clientX, box.left, box.width, columns);
    return kase.grid.cells[view][row * columns + column];
  }

  /**
   * A large picture whose patches can be pointed at, by mouse, finger or arrow keys.
   * @param {{seen: function, cursor: function}} hooks seen() gives {kase, view}; cursor(token) is
   *   told what is pointed at, -1 for nothing
   */
  app.patchPicture = (hooks) => {
    const { under: base, over, ready } = app.pictureLayers(() => resized());
    const frame = node("div", { class: "vt-large", role: "img", tabindex: "0" }, base, over);
    let cursor = -1;
    let resized = () => {};

    const point = (token) => {
      if (token === cursor) return;
      cursor = token;
      hooks.cursor(token);
    };
    const follow = (event) => {
      const { kase, view } = hooks.seen();
      point(tokenAt(kase, view, frame.getBoundingClientRect(), event));
    };
    frame.addEventListener("pointermove", follow);
    frame.addEventListener("pointerdown", follow);
    frame.addEventListener("pointerleave", () => point(-1));
    frame.addEventListener("blur", () => point(-1));
    frame.addEventListener("keydown", (event) => {
      if (event.key === "Escape") point(-1);
      if (!(event.key in ARROWS)) return;
      event.preventDefault();
      const { kase, view } = hooks.seen();
      point(step(kase, view, cursor, event.key));
    });
    /** Draw with `paint(canvas)`, now and when the size changes. */
    const update = (paint, label) => {
      const { kase, view } = hooks.seen();
      const [x0, y0, x1, y1] = kase.grid.views[view].box;
      frame.style.setProperty("--vt-aspect", (x1 - x0) / (y1 - y0));
      mark(frame, "aria-label", label);
      const draw = () => {
        if (ready(kase, view)) paint(over);
      };
      resized = draw;
      draw();
    };
    return { node: frame, update };
  };
})();
