"""The page's modules without the page: in a Chromium, beside the functions that they repeat."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from explorer import analyses
from explorer.analyses import comparison
from explorer.cases.cache import ResultCache
from explorer.cases.request import CaseRequest
from explorer.metrics import agreement, budget_curve
from explorer.pico.data import scenes
from explorer.ui import components
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.case import case_payload
from explorer.ui.web.scripts import PAGE

pytestmark = pytest.mark.browser
SEED, QUESTION, BUDGET = 123, "what is in the middle ?", 64
Run = Callable[..., object]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def run(browser) -> Iterator[Run]:
    """Give run(module, function, *values): what a JavaScript function makes of a module."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=PAGE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/base.css")  # any page of the same origin

    def run(module: str, function: str, *values: object) -> object:
        script = f"async ([path, values]) => ({function})(await import(path), ...values)"
        return page.evaluate(script, [f"/{module}", list(values)])

    yield run
    page.close()
    server.shutdown()


def test_the_state_of_a_page_that_shows_nothing_yet_is_nulls(run):
    told = run(
        "explore/snapshot.js",
        """async ({ snapshot }) => {
          const { Store } = await import("/common/store.js");
          const store = new Store();
          const opened = {};
          for (const tab of ["compare", "sweep", "debug", "inside", "video"])
            opened[tab] = (await import(`/${tab}/${tab}.js`))[`${tab}Tab`](store);
          return snapshot(store, opened);
        }""",
    )
    assert [told[name] for name in ("case", "kept", "full", "compare", "sweep")] == [None] * 5
    assert told["pruned"] == {"answer": None, "is": "unasked"} and told["ladder"] == []


@pytest.fixture(scope="module")
def case():
    """Every method on a scene, and its answer at one budget."""
    image, cache = scenes.make(SEED).image, ResultCache(100_000_000)
    compared = analyses.compare(CaseRequest.make("pico", image, QUESTION), BUDGET, cache=cache)
    return analyses.analyse(CaseRequest.make("pico", image, QUESTION), cache=cache), compared


def test_a_value_that_grows_is_read_line_by_line_and_another_one_anew(run):
    first, _, more = components.growing([{"answers": ["a\n"]}, {"answers": []}, float("nan")])
    values = [None, "", first, more, {"new": 1}]
    block = components.Block()
    texts = [each if each == "" else block.postprocess(each) for each in values]
    read = """({ inbound, valueOf }, texts) => {
      const received = [], props = { value: texts[0] };
      let changed;
      inbound({ props, watch: (_, act) => (changed = act) }, (reply) => received.push(reply));
      for (const value of texts.slice(1)) {
        props.value = value;
        changed();
      }
      return [received, texts.map((value) => valueOf({ props: { value } }))];
    }"""
    received, whole = run("common/bridge.js", read, texts)
    assert received == [{"answers": ["a\n"]}, {"answers": []}, None, {"new": 1}]
    assert whole == [None, None, {"answers": ["a\n"]}, None, {"new": 1}]


def test_kept_sets_and_scores_agree_as_the_functions_say(run, case):
    analysis, compared = case
    n = analysis.grid.count
    kept = [each.kept.tolist() for each in compared.methods]
    scores = [each.score.astype(float).tolist() for each in compared.methods]
    assert [] in kept, "one of them merges everything"
    found = run(
        "common/measures.js",
        """({ keptBits, jaccard, overlap, placesOf, spearman }, n, kept, scores) => {
          const choiceOf = (tokens) => {
            const fate = new Int8Array(n).fill(-1);
            for (const token of tokens) fate[token] = 0;
            return { stages: [{ fate }] };
          };
          const bits = kept.map((each) => keptBits(choiceOf(each)));
          const places = scores.map(placesOf);
          const table = (list, of) => list.map((a) => list.map((b) => of(a, b)));
          return [table(bits, jaccard), table(places, spearman), overlap(bits[0], bits[1])];
        }""",
        n,
        kept,
        scores,
    )
    assert np.array(found[0], float) == pytest.approx(
        agreement.jaccard([each.kept for each in compared.methods], n), abs=1e-9, nan_ok=True
    )
    assert np.array(found[1], float) == pytest.approx(
        agreement.spearman(np.array(scores)), abs=1e-9, nan_ok=True
    )
    a, b = set(kept[0]), set(kept[1])
    assert found[2] == {"both": len(a & b), "onlyA": len(a - b), "onlyB": len(b - a)}


def test_equal_scores_share_a_place_and_a_flat_score_has_none(run):
    scores = np.array([[3, 1, 2, 2, 2, 0], [1, 1, 1, 2, 2, 2], [5, 5, 5, 5, 5, 5]], float)
    found = run(
        "common/measures.js",
        "({ placesOf, spearman }, a, b) => spearman(placesOf(a), placesOf(b))",
        scores[0].tolist(),
        scores[1].tolist(),
    )
    assert found == pytest.approx(agreement.spearman(scores)[0, 1])
    flat = "({ placesOf, spearman }, a, b) => spearman(placesOf(a), placesOf(b))"
    assert np.isnan(run("common/measures.js", flat, scores[0].tolist(), scores[2].tolist()))


@pytest.mark.parametrize("question", [QUESTION, "describe the picture ."])
def test_chance_and_the_likelihood_of_the_full_answer(run, question):
    image, cache = scenes.make(SEED).image, ResultCache(100_000_000)
    full = analyses.answer(CaseRequest.make("pico", image, question), "full", 1, cache=cache)
    draws = [
        analyses.answer(CaseRequest.make("pico", image, question), draw, 24, cache=cache)
        for draw in comparison.DRAWS
    ]
    found = run(
        "common/measures.js",
        """({ chanceOf, isLong, likelihood }, answers, full) => {
          const found = answers.map((answer) => likelihood(answer, full));
          return [isLong(full), found, chanceOf(answers, full)];
        }""",
        [answer_payload(draw) for draw in draws],
        answer_payload(full),
    )
    own = comparison.chance("random", 24, draws, full)
    assert found[0] == comparison.is_long(full) == (question != QUESTION)
    assert found[1] == pytest.approx([comparison.likelihood(d, full) for d in draws], abs=1e-3)
    assert [found[2][name] for name in ("mean", "spread", "low")] == pytest.approx(
        [own.likelihood, own.spread, own.lowest], abs=1e-3
    )
    assert found[2]["same"] / found[2]["draws"] == own.same


@pytest.mark.parametrize("lean", [False, True], ids=["whole", "lean"])
def test_what_is_drawn_is_what_the_methods_keep(run, case, lean):
    analysis, _ = case
    drawn = run(
        "common/payload.js",
        """({ choiceAt, ladderOf, readCase, scoreOf }, raw) => {
          const open = readCase(raw);
          return open.methods.flatMap((method) => ladderOf(open, method).map((budget) => {
            const { stages, layers } = choiceAt(open, method, budget);
            const { fate, scores } = stages.at(-1);
            return { method: method.key, budget, layers, fate: [...fate],
              low: scores.low, high: scores.high, score: [...scoreOf(method)] };
          }));
        }""",
        case_payload(analysis, lean=lean),
    )
    own = {found.spec: found for found in analysis.methods}
    assert {row["method"] for row in drawn} == set(own)
    for row in drawn:
        found = own[row["method"]]
        assert row["score"] == found.score.tolist()
        if found.order is not None:
            kept, scores = found.order[: found.keeps[row["budget"] - 1]], found.score
            assert np.flatnonzero(np.array(row["fate"]) == 0).tolist() == sorted(kept.tolist())
        else:
            point = next(point for point in found.points if point.budget == row["budget"])
            scores = point.stages[-1].score
            assert row["fate"] == point.stages[-1].fate.tolist(), row["method"]
            assert row["layers"] == point.layers.tolist()
        ends = [np.nanmin(scores), np.nanmax(scores)]
        assert [row["low"], row["high"]] == pytest.approx(ends, rel=1e-5, abs=1e-7)


def test_costs_are_those_that_the_server_counts(run, case):
    analysis, compared = case
    answers = [each.answer for each in compared.methods if each.answer]
    assert len(answers) == len(analysis.methods)
    points = {found.spec: found.points or () for found in analysis.methods}
    met = [  # a method that can't meet a budget answers from the next smaller one
        max((p.budget for p in points[answer.method] if p.budget <= answer.budget), default=BUDGET)
        for answer in answers
    ]
    counted = run(
        "common/payload.js",
        """({ choiceAt, costOf, readCase }, raw, asked) => {
          const open = readCase(raw);
          return asked.map(([key, budget]) => {
            const method = open.methods.find((each) => each.key === key);
            const choice = choiceAt(open, method, budget);
            return { ...costOf(open, choice), layers: choice.layers };
          });
        }""",
        case_payload(analysis, lean=True),
        [[answer.method, budget] for answer, budget in zip(answers, met, strict=True)],
    )
    for answer, cost in zip(answers, counted, strict=True):
        told = answer_payload(answer)
        assert cost == {name: told[name] for name in ("flops", "kv_bytes", "layers")}


def test_a_small_step_of_the_slider_reaches_the_next_point(run, case):
    analysis, _ = case
    found = next(each for each in analysis.methods if each.points)
    points = sorted(point.budget for point in found.points)
    reached = run(
        "common/payload.js",
        """({ floorOf, readCase, snap }, raw, key, points) => {
          const open = readCase(raw);
          const method = open.methods.find((each) => each.key === key);
          const up = points.slice(0, -1).map((from) => snap(open, method, from + 1, from, 1));
          const down = points.slice(1).map((from) => snap(open, method, from - 1, from, -1));
          return [floorOf(open, method), up, down, snap(open, method, 1)];
        }""",
        case_payload(analysis, lean=True),
        found.spec,
        points,
    )
    assert reached == [points[0], points[1:], points[:-1], points[0]]


def test_a_sweep_is_summed_up_as_the_functions_do(run):
    draw = np.random.default_rng(7)
    for _ in range(40):
        budgets = sorted(draw.choice(np.arange(1, 197), size=draw.integers(1, 12), replace=False))
        budgets = [int(budget) for budget in budgets]
        same = [bool(is_same) for is_same in draw.integers(0, 2, len(budgets))]
        heights = draw.random(len(budgets)).tolist()
        inner = [int(b) for b in np.linspace(budgets[0], budgets[-1], 4).round()]
        k_star, flips, area, between, outside = run(
            "sweep/measures.js",
            """({ auc, heightsAt, kStar, nFlips }, budgets, same, heights, inner) => [
              kStar(budgets, same),
              nFlips(same),
              auc(budgets, heights),
              heightsAt(inner, budgets, heights),
              heightsAt([budgets.at(-1) + 1], budgets, heights),
            ]""",
            budgets,
            same,
            heights,
            inner,
        )
        assert (k_star, flips) == (budget_curve.k_star(budgets, same), budget_curve.n_flips(same))
        assert area == pytest.approx(budget_curve.auc(budgets, heights))
        assert between == pytest.approx(np.interp(np.log2(inner), np.log2(budgets), heights))
        assert outside is None


def test_the_coarse_places_come_first(run):
    order = run("sweep/measures.js", "({ coarseFirst }) => coarseFirst(12)")
    assert sorted(order) == list(range(12)) and order[0] == 6


def test_only_the_newest_question_is_answered(run):
    told = run(
        "common/request.js",
        """({ Request }) => {
          const sent = [];
          const [request, other] = [new Request(), new Request()];
          const before = request.connected;
          request.connect((message, work) => sent.push([message, work]));
          request.send({ budget: 1 });
          other.send({});
          request.send({ budget: 2 });
          const [first, second] = sent.map(([{ ticket }]) => ticket);
          const late = request.receive({ ticket: first, done: true });
          const part = [request.receive({ ticket: second }), request.busy, request.pending];
          const end = [request.receive({ ticket: second, done: true }), request.busy];
          request.send({ budget: 3 });
          request.cancel({ case: "a" });
          const [message, work] = sent.at(-1);
          const again = request.receive({ ticket: sent.at(-2)[0].ticket });
          return { before, late, part, end, work, newest: message.ticket > second,
            named: message.case, again, busy: request.busy };
        }""",
    )
    assert told == {
        "before": False,
        "late": False,
        "part": [True, True, {"budget": 2}],
        "end": [True, False],
        "work": False,
        "newest": True,
        "named": "a",
        "again": False,
        "busy": False,
    }


def test_an_answer_from_before_the_right_one_was_said_is_not_kept(run):
    told = run(
        "common/store.js",
        """({ Store }) => {
          const store = new Store();
          const answer = { method: "m", budget: 1, right: null };
          const kept = (right) => store.keep("a", { ...answer, right });
          store.state.case = { id: "a" };
          const unknown = [kept(null), store.cache.answer("a", "m", 1)?.right];
          store.state.case.truth = "a cat";
          store.cache.forget("a");
          const early = [kept(null), store.cache.answer("a", "m", 1)];
          return { unknown, early, judged: [kept(false), store.cache.answer("a", "m", 1).right] };
        }""",
    )
    assert told == {"unknown": [True, None], "early": [False, None], "judged": [True, False]}


def test_a_question_that_nobody_answers_is_lost_but_still_heard(run):
    lost = run(
        "common/request.js",
        """async ({ Request }) => {
          const request = new Request(0);
          let ticket;
          request.connect((message) => ({ ticket } = message));
          request.send({});
          const pending = request.pending !== null;
          return [request.lost, request.busy, pending, request.receive({ ticket })];
        }""",
    )
    assert lost == [True, False, True, True]


def test_many_changes_are_told_once_before_the_next_frame(run):
    told = run(
        "common/observable.js",
        """async ({ Observable }) => {
          const frame = () => new Promise(requestAnimationFrame);
          const seen = new Observable("test");
          seen.state = { budget: 1 };
          let calls = 0;
          seen.subscribe(({ budget }) => (calls += budget));
          for (let i = 0; i < 5; i++) seen.changed();
          const before = calls;
          await frame();
          const measured = performance.getEntriesByName("explorer.test").length;
          return [before, calls, measured];
        }""",
    )
    assert told == [0, 1, 1]


def test_a_quiet_moment_is_used_but_not_where_data_is_saved(run):
    begun = run(
        "common/settle.js",
        """async ({ whenQuiet }) => {
          const begun = [];
          const quiet = (name) =>
            new Promise((resolve) => whenQuiet(() => resolve(begun.push(name)), 0));
          const save = (value) =>
            Object.defineProperty(navigator.connection, "saveData", { value, configurable: true });
          save(true);
          whenQuiet(() => begun.push("saved"), 0);
          await new Promise((resolve) => setTimeout(resolve, 0));
          save(false);
          await quiet("first");
          await quiet("second");
          return begun;
        }""",
    )
    assert begun == ["first", "second"]


def test_words_that_look_like_formulas_stay_words(run):
    text = run(
        "common/download.js",
        """({ toCsv }) =>
          toCsv([{ a: '=HYPERLINK("x")', b: -1, c: 'say "hi", you', d: null, e: NaN }])""",
    )
    assert text.splitlines() == ["a,b,c,d,e", '"\'=HYPERLINK(""x"")",-1,"say ""hi"", you",,']


def test_words_of_a_model_are_never_markup_in_a_plot(run):
    evil = "<b>bold</b> <a href='https://example.org'>x</a> %{y} ${1}"
    text = run(
        "sweep/plot.js",
        """({ sweepFigure }, evil) => {
          const answer = { text: evil, dominance: null };
          const points = [{ budget: 8, answer, same: false, likelihood: 0.5 }];
          const curve = { key: "a", title: "A", place: 0, floor: 1, points, random: "r" };
          const curves = [{ ...curve, chance: [] }];
          const shown = { id: "x", curves, random: "r", chance: [], full: null };
          const { traces } = sweepFigure(document.body, {
            ...shown, ladder: [4, 196], part: { stage: "late", first: false } });
          return traces.find(({ name }) => name === "A").text[0];
        }""",
        evil,
    )
    said = text.split("“")[1].split("”")[0]
    assert not set("<>{}%") & set(said.replace("<br>", ""))
    assert "bold" in said


def test_the_staircase_says_what_a_budget_is_the_mean_of(run):
    plain, wiped = run(
        "canvas/line_chart.js",
        """({ staircase }) => [false, true].map((wipes) => {
          const { node, update } = staircase();
          update([196, 64], 196, wipes);
          return node.querySelector("p").textContent;
        })""",
    )
    assert plain.startswith("Visual tokens that enter each of the 2 decoder layers")
    assert "enter every layer, so that the cost is that of all tokens" in wiped


def test_costs_of_two_runs_are_set_against_each_other_only_if_they_belong_together(run):
    stored = {"vision": 0.9, "prefill": 9.0, "decode": 9.0}
    beside = {"vision": 0.06, "prefill": 0.04, "decode": 0.09}
    rows = run(
        "explore/readout/costs.js",
        """({ costPanel }, full, kept) => {
          const zero = { width: 1, ffn: 1, heads: 1, kv_heads: 1, head_width: 1 };
          const cost = { ...zero, vocabulary: 1, text: 1, bytes: 4 };
          const kase = { grid: { n: 8 }, cost };
          const choice = { method: {}, layers: [4], final: 4, mean: 4 };
          const answers = { pruned: { answer: kept } };
          const panel = costPanel({ state: { case: kase }, full, choice, answers });
          panel.update({ case: kase });
          const text = (line) => [...line.children].map((cell) => cell.textContent);
          return [...panel.node.querySelectorAll("tbody tr")].map(text);
        }""",
        {"seconds": stored, "full_seconds": {}, "dominance": {"answer": 4}, "flops": 1},
        {
            "seconds": {"vision": 0.06, "prefill": 0.02, "decode": 0.1},
            "full_seconds": beside,
            "dominance": {"answer": 6},
        },
    )
    by_name = {name: cells for name, *cells in rows}
    assert by_name["vision ms"] == ["60", "60", "one look"]
    assert by_name["prefill ms"] == ["40", "20", "−50 %"], "not against the stored run"
    assert by_name["decode ms per token"] == ["30", "20", "−33 %"], "three steps, and five"
