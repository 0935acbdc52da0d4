/**
 * What the page shows and knows, as plain data for its tests: read-only, and made anew for every look.
 * Tells nothing that could not be seen or saved on the page.
 */

const pick = (record, ...names) => Object.fromEntries(names.map((name) => [name, record[name]]));

const CURVE = "key title floor points done kStar flips auc random chance aucRandom".split(" ");

/** Where an asking tab stands: settled = no hand is on it or has just left it. */
const asking = (selection) => pick(selection, "settled", "busy");

function comparison({ selection }) {
  const { case: open, state } = selection;
  if (!open || !state.budget) return null;
  const entryOf = ({ method, ...entry }) => ({
    ...pick(entry, "key", "budget", "likelihood", "chance", "worse", "reached", "answer"),
    ...pick(method, "baseline", "reads_question", "where", "merges"),
  });
  return {
    case: open.id,
    ...state,
    ...asking(selection),
    ...pick(selection, "missing", "chance", "calm"),
    entries: selection.entries.map(entryOf),
  };
}

function sweep({ selection }) {
  const { case: open, state } = selection;
  if (!open) return null;
  const curveOf = (curve) => pick(curve, ...CURVE);
  return {
    case: open.id,
    ...state,
    ...asking(selection),
    ...pick(selection, "missing", "chance"),
    curves: selection.curves.map(curveOf),
    random: selection.random.map(curveOf),
  };
}

const debug = ({ picking }) => pick(picking, "tokens", "known", "settled");

const within = ({ selection }) => ({
  ...selection.state,
  runs: selection.runs,
  map: selection.tasks.map.reply?.maps ? selection.tasks.map.message : null,
  reads: selection.tasks.reads.reply?.reads ?? null,
  removal: selection.tasks.removal.reply?.removal ?? [],
  busy: selection.busy,
});

const film = ({ selection }) => ({ ...asking(selection), ...pick(selection, "quota", "other") });

function lesson(player) {
  const { lesson: open, number, step, isReady, waits, guesses, broken, painted } = player;
  const steps = open?.steps.map(({ claims, guess }) => ({ claims, guess }));
  const place = { name: open.name, number, steps, isReady, waits, guesses, broken };
  return { ...place, claims: step?.claims, painted: [...painted] };
}

const SEEN = { compare: comparison, sweep, debug, inside: within, video: film };

/**
 * @param {Store} store
 * @param {Object} opened the tabs that have been opened, by their name
 */
export function snapshot(store, opened) {
  const { state, full, choice, ladder } = store;
  const { case: open } = state;
  const tabs = Object.entries(SEEN).map(([name, see]) => [
    name,
    opened[name] ? see(opened[name]) : null,
  ]);
  return JSON.parse(
    JSON.stringify({
      case: open && {
        ...pick(open, "id", "question", "seed", "model", "truth", "picture"),
        tokens: open.grid.n,
        padding: open.grid.padded.reduce((sum, one) => sum + one, 0),
        views: open.grid.views,
        methods: open.listed.map(({ key }) => key),
        rest: open.rest.length,
        answers: store.cache.of(open.id).map(({ method, budget }) => [method, budget]),
      },
      opening: store.isOpening,
      ...pick(state, "method", "budget", "requested", "view"),
      kept: choice?.stages.at(-1).tally.kept ?? null,
      full,
      pruned: store.answers.pruned,
      ladder: ladder.map((budget) => ({ budget, known: store.known(budget) !== null })),
      covered: state.covered,
      lesson: opened.classroom?.player.lesson ? lesson(opened.classroom.player) : null,
      ...Object.fromEntries(tabs),
    }),
  );
}
