"""The leaderboard: what is measured, what the table says, and that it can be read again."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from explorer.metrics.leaderboard import (
    FOLDER,
    EvalRecord,
    figure,
    read_records,
    read_table,
    table,
    to_frame,
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


def test_a_method_is_measured_by_its_own_random():
    inside = [
        replace(t, method=name, random="random_inside")
        for t in made_up()
        for name in {"random": ["random_inside"], "good": ["like"], "bad": ["poor"]}.get(
            t.method, []
        )
    ]
    # random inside the LLM knows 36 of 40, as many as `good`
    inside = [replace(t, right=t.seed < 36) if t.method == "random_inside" else t for t in inside]
    rows = rows_of(made_up() + inside)
    assert rows["verdict"]["good"] == "better than random"
    assert rows["verdict"]["like"] == "no better than random" and rows["vs_random"]["like"] == 1
    assert rows["verdict"]["poor"] == "worse than random"
    assert rows["random"]["like"] == "random_inside" and rows["random"]["good"] == "random"
    assert rows["verdict"]["random_inside"] == ""


def rows_of(records: list[EvalRecord]) -> pd.DataFrame:
    """The table, a row by the name of its method."""
    return table(to_frame(records)).set_index("method")


def test_the_table_tells_shares_intervals_and_who_beats_random():
    rows = rows_of(made_up())
    good = rows.loc["good"]
    assert (good["n"], good["right"], good["kinds"]) == (40, 0.9, "at=1.000 read=0.800")
    assert good["low"] < 0.9 < good["high"]
    assert good["verdict"] == "better than random" and good["vs_random"] < 1e-4
    assert rows["verdict"]["bad"] == "worse than random"
    assert rows["verdict"]["uniform"] == "no better than random"
    assert rows["vs_random"]["uniform"] == 1
    assert rows["verdict"]["random"] == "" and np.isnan(rows["vs_random"]["random"])
    assert rows["verdict"]["full"] == ""


def test_only_questions_that_both_answered_are_compared():
    found = made_up()
    found += [replace(t, seed=t.seed + 100) for t in found if t.method == "bad"]
    rows = rows_of(found)
    assert rows["n"]["bad"] == 80
    assert rows["vs_random"]["bad"] == rows_of(made_up())["vs_random"]["bad"]


def test_an_answer_that_two_shares_measured_counts_once():
    found = made_up()
    assert table(to_frame(found + found)).equals(table(to_frame(found)))


def test_a_table_can_be_written_and_read(tmp_path):
    rows = table(to_frame(made_up()))
    write_table(rows, tmp_path / "table.csv")
    again = read_table(tmp_path / "table.csv")
    names = ["method", "budget", "n", "verdict", "kinds"]
    assert again[names].values.tolist() == rows[names].values.tolist()
    assert np.allclose(again["low"], rows["low"], rtol=1e-3)
    assert again["vs_random"].isna().tolist() == rows["vs_random"].isna().tolist()


def test_the_shipped_table_is_written_as_it_was_read(tmp_path):
    shipped = FOLDER / "leaderboard.csv"
    write_table(read_table(shipped), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == shipped.read_bytes()


def test_single_answers_are_read_as_they_were_written(tmp_path):
    first = replace(made_up()[0], question='what is on the sign "EXIT, left" ?', total=float("nan"))
    records = [first, *made_up()[1:]]
    write_records(records, tmp_path / "answers.csv")
    assert read_records(tmp_path / "answers.csv").equals(to_frame(records))


def test_the_figure_puts_the_best_first_and_marks_who_does_not_beat_random():
    (drawn,) = figure(table(to_frame(made_up()))).data
    assert list(drawn.y) == ["good", "random", "uniform", "bad"]
    at_eight = [line[list(drawn.x).index("8")] for line in drawn.text]
    assert at_eight == ["90%", "30%", "30% ≈", "0% ↓"]
    assert {text for line in drawn.text for text in line if text} == set(at_eight)


def test_shares_measured_apart_make_the_same_table(tmp_path):
    found, parts = made_up(), []
    for share in (shard("2/3"), shard("1/3"), shard("3/3")):
        seeds = set(share.take(range(40)))
        parts.append(tmp_path / f"answers-{share}.csv")
        write_records([t for t in found if t.seed in seeds], parts[-1])
    merged = table(pd.concat(map(read_records, parts)))
    assert merged.sort_values("method", ignore_index=True).equals(
        table(to_frame(found)).sort_values("method", ignore_index=True)
    )


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
            ("fastv", 64), ("random_inside", 64),
        }  # fmt: skip
        assert {t.method: t.random for t in batch} == {
            "full": "", "random": "random", "clsattn": "random", "fastv": "random_inside",
            "random_inside": "random_inside",
        }  # fmt: skip
        assert batch[0].same and batch[0].drop == 0
    assert all(np.isnan(t.total) for t in batches[0])
    assert all(t.total > t.select >= 0 for t in batches[1][1:]), "every tenth scene is timed"
    again = next(iter(measure([7], specs, budgets, questions=1, workers=1)))
    assert [t.right for t in again] == [t.right for t in batches[0]]
