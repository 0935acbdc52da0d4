"""The leaderboard: what is measured, what the table says, and that it can be read again."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pytest

from explorer.metrics.leaderboard import (
    EvalRecord,
    figure,
    read_records,
    read_table,
    table,
    write_records,
    write_table,
)
from explorer.tools.leaderboard import measure
from explorer.tools.shards import Shard, shard


def trial(seed: int, method: str, right: bool, budget: int = 8, kind: str = "at") -> EvalRecord:
    return EvalRecord(seed, "what ?", kind, method, budget, right, right, 0.5, 0.001, 0.02)


def made_up() -> list[EvalRecord]:
    """Of 40 scenes the full model knows all, `good` 36, `random` and `uniform` 12, `bad` none."""
    found = []
    for seed in range(40):
        found += [
            trial(seed, "full", True, budget=1),
            trial(seed, "random", seed < 12),
            trial(seed, "uniform", seed >= 28),
            trial(seed, "good", seed < 36, kind="at" if seed < 20 else "read"),
            trial(seed, "bad", False),
        ]
    return found


def test_the_table_tells_shares_intervals_and_who_beats_random():
    rows = {row.method: row for row in table(made_up())}
    good = rows["good"]
    assert (good.n, good.right, good.kinds) == (40, 0.9, "at=1.000 read=0.800")
    assert good.low < 0.9 < good.high
    assert good.verdict == "better than random" and good.vs_random < 1e-4
    assert rows["bad"].verdict == "worse than random"
    assert rows["uniform"].verdict == "no better than random" and rows["uniform"].vs_random == 1
    assert rows["random"].verdict == "" and np.isnan(rows["random"].vs_random)
    assert rows["full"].verdict == ""


def test_only_questions_that_both_answered_are_compared():
    found = made_up()
    found += [replace(t, seed=t.seed + 100) for t in found if t.method == "bad"]
    rows = {row.method: row for row in table(found)}
    assert rows["bad"].n == 80
    assert rows["bad"].vs_random == table(made_up())[-1].vs_random


def test_a_table_can_be_written_and_read(tmp_path):
    rows = table(made_up())
    write_table(rows, tmp_path / "table.csv")
    again = read_table(tmp_path / "table.csv")
    assert [(r.method, r.budget, r.n, r.verdict) for r in again] == [
        (r.method, r.budget, r.n, r.verdict) for r in rows
    ]
    assert np.allclose([r.low for r in again], [r.low for r in rows], rtol=1e-3)


def test_the_figure_puts_the_best_first_and_marks_who_does_not_beat_random():
    (drawn,) = figure(table(made_up())).data
    assert list(drawn.y) == ["good", "random", "uniform", "bad"]
    at_eight = [line[list(drawn.x).index("8")] for line in drawn.text]
    assert at_eight == ["90%", "30%", "30% ≈", "0% ↓"]


def test_shares_measured_apart_make_the_same_table(tmp_path):
    found, parts = made_up(), []
    for share in (shard("2/3"), shard("1/3"), shard("3/3")):
        seeds = set(share.take(range(40)))
        parts.append(tmp_path / f"answers-{share}.csv")
        write_records([t for t in found if t.seed in seeds], parts[-1])
    merged = table([t for part in parts for t in read_records(part)])
    assert sorted(map(str, merged)) == sorted(map(str, table(found)))


def test_every_item_is_in_exactly_one_share():
    items = list(range(11))
    shares = [list(Shard(number, 4).take(items)) for number in (1, 2, 3, 4)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) == 3
    for text in ("0/4", "5/4", "2", "a/b", "1/0"):
        with pytest.raises(argparse.ArgumentTypeError, match="no share"):
            shard(text)


def test_two_scenes_measured_on_pico():
    specs, budgets = ["random", "clsattn", "fastv"], (4, 64)
    batches = list(measure([7, 10], specs, budgets, questions=1, workers=1))
    assert [{t.seed for t in batch} for batch in batches] == [{7}, {10}]
    for batch in batches:
        # FastV can't keep a mean of four: its first layers see every token
        assert {(t.method, t.budget) for t in batch} == {
            ("full", 1), ("random", 4), ("random", 64), ("clsattn", 4), ("clsattn", 64),
            ("fastv", 64),
        }  # fmt: skip
        assert batch[0].same and batch[0].drop == 0
    assert all(np.isnan(t.total) for t in batches[0])
    assert all(t.total > t.select >= 0 for t in batches[1][1:]), "every tenth scene is timed"
    again = next(iter(measure([7], specs, budgets, questions=1, workers=1)))
    assert [t.right for t in again] == [t.right for t in batches[0]]
