"""The leaderboard's command: what is asked, that it goes on where it was stopped, and its file."""

from __future__ import annotations

import json
import sys

import pytest

from explorer.metrics.leaderboard.table import EvalRecord, read_table
from explorer.tools.distributed import Team
from explorer.tools.distributed.log import append
from explorer.tools.distributed.weights import weights_digest
from explorer.tools.leaderboard import answer_log, run
from explorer.tools.leaderboard.answer_log import Measured
from explorer.tools.leaderboard.rows import draw_of, rows_for, title

SEEDS = [run.FIRST_SEED + 7, run.FIRST_SEED + 8]
BUDGETS = (4, 64)
WEIGHTS = weights_digest()


def measured(
    seed: int, *rows: str, weights: str = WEIGHTS, budgets: tuple[int, ...] = BUDGETS
) -> Measured:
    told = (EvalRecord(seed, 'the "EXIT", left ?', "at", row, 4, True, True, 0.5, 0.25, 0.3)
            for row in rows)  # fmt: skip
    return Measured(seed, weights, rows, budgets, tuple(told))


def test_every_method_comes_with_the_random_that_it_is_measured_by():
    rows = rows_for(["clsattn", "fastv", "random"])
    assert rows == ["random", "random_inside", "clsattn", "fastv"]
    assert title("random_inside") == "Random where FastV drops"
    assert title("random?positions=keep") == "Random · positions kept"
    assert title("full") == "All tokens" and title("fopru:row") == "FoPru · row"


@pytest.fixture(scope="module")
def first() -> Measured:
    return run.evaluate(SEEDS[0], rows_for(["clsattn", "fastv"]), BUDGETS)


def test_one_question_is_answered_by_every_row_at_every_budget_it_can_reach(first):
    # FastV can't keep a mean of four: its first layers see every token
    assert [(t.method, t.budget) for t in first.records] == [
        ("full", 1), ("random", 4), ("random", 64), ("random_inside", 64),
        ("clsattn", 4), ("clsattn", 64), ("fastv", 64),
    ]  # fmt: skip
    assert {t.question for t in first.records} == {first.records[0].question}
    assert {t.method: t.random for t in first.records} == {
        "full": "", "random": "random", "clsattn": "random", "fastv": "random_inside",
        "random_inside": "random_inside",
    }  # fmt: skip
    full, *pruned = first.records
    assert (full.agrees, full.log_prob_loss, full.flops, full.kv) == (True, 0, 1, 1)
    assert all(0 < t.flops < 0.5 and 0 < t.kv < 0.5 for t in pruned)


def test_a_new_draw_of_random_comes_with_every_scene():
    drawn = {draw_of("random?positions=keep", seed) for seed in range(5)}
    assert len(drawn) == 5 and draw_of("fastv", 3) == "fastv"


def test_a_run_goes_on_where_it_was_stopped(first, tmp_path, monkeypatch):
    log, asked = tmp_path / "answers.jsonl", []
    append(log, first)
    monkeypatch.setattr(
        run, "evaluate",
        lambda seed, rows, budgets: asked.append((seed, *rows)) or measured(seed, *rows),
    )  # fmt: skip
    rows = [*first.rows, "divprune"]
    found = run.fill(log, SEEDS, rows, BUDGETS, Team())
    assert asked == [(SEEDS[0], "divprune"), (SEEDS[1], *rows)]
    assert list(answer_log.read(log, WEIGHTS)) == found and len(found) == 3
    assert run.fill(log, SEEDS, rows, BUDGETS, Team()) == found and len(asked) == 2
    run.fill(log, SEEDS[:1], ["clsattn"], (4, 8), Team())
    assert asked[2:] == [(SEEDS[0], "clsattn")], "a budget that it hasn't been asked at"


def test_answers_of_other_weights_are_asked_for_again(tmp_path, monkeypatch):
    log, seed = tmp_path / "answers.jsonl", SEEDS[0]
    append(log, measured(seed, "random", weights="0123456789ab"))
    now = measured(seed, "random")
    monkeypatch.setattr(run, "evaluate", lambda *_: now)
    assert run.fill(log, [seed], ["random"], BUDGETS, Team()) == [now]
    assert list(answer_log.read(log, WEIGHTS)) == [now]


def test_a_line_that_was_cut_off_is_taken_away(tmp_path):
    log = tmp_path / "answers.jsonl"
    assert list(answer_log.read(log, WEIGHTS)) == []
    append(log, measured(1, "random"))
    log.write_text(log.read_text() + '{"seed": 2, "rows": ["ran')
    assert list(answer_log.read(log, WEIGHTS)) == [measured(1, "random")]
    append(log, measured(2, "random"))
    assert [one.seed for one in answer_log.read(log, WEIGHTS)] == [1, 2]


def test_the_command_writes_table_and_figure(first, tmp_path, monkeypatch, capsys):
    append(tmp_path / run.LOG, Measured(run.FIRST_SEED, first.weights, first.rows, BUDGETS, tuple(
        EvalRecord(**{**vars(record), "seed": run.FIRST_SEED}) for record in first.records
    )))  # fmt: skip
    words = ["leaderboard", "--scenes", "1", "--methods", "clsattn", "fastv"]
    words += ["--budgets", "4", "64", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    run.main()
    assert "Random where FastV drops" in capsys.readouterr().out
    rows = read_table(tmp_path / "leaderboard.csv").set_index(["method", "budget"])
    assert rows["title"]["fastv", 64] == "FastV" and rows["positions"]["fastv", 64] == "keep"
    assert rows["random_title"]["fastv", 64] == "Random where FastV drops"
    assert rows["positions"]["clsattn", 64] == "renumber" and rows["n"]["full", 1] == 1
    assert json.loads((tmp_path / "leaderboard.json").read_text())["data"]
