"""The leaderboard's table: what it says of answers that are made up, and that it can be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from explorer.metrics.leaderboard.figure import figure
from explorer.metrics.leaderboard.table import (
    FOLDER,
    EvalRecord,
    read_table,
    table,
    to_frame,
    write_table,
)
from explorer.metrics.leaderboard.text import findings, markdown


def trial(seed: int, method: str, right: bool, budget: int = 8, kind: str = "at") -> EvalRecord:
    return EvalRecord(seed, "what ?", kind, method, budget, right, right, 0.5, 0.25, 0.3)


def made_up() -> list[EvalRecord]:
    """Of 40 scenes the full model knows all, `good` 36, `random` and `equal` 12, `bad` none."""
    found = []
    for seed in range(40):
        found += [
            replace(trial(seed, "full", True, budget=1), random=""),
            trial(seed, "random", seed < 12),
            trial(seed, "equal", seed >= 28),
            trial(seed, "good", seed < 36, kind="at" if seed < 20 else "read"),
            trial(seed, "bad", False),
        ]
    return found


def told(records: list[EvalRecord]) -> pd.DataFrame:
    """The table as the command describes it."""
    rows = table(to_frame(records))
    return rows.assign(
        title=rows["method"].str.title(),
        random_title=rows["random"].str.title(),
        positions=np.where(rows["method"] == "full", "", "keep"),
    )


def rows_of(records: list[EvalRecord]) -> pd.DataFrame:
    """The table, a row by the name of its method."""
    return table(to_frame(records)).set_index("method")


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
    assert rows["verdict"]["like"] == "no better than random" and rows["p"]["like"] == 1
    assert rows["verdict"]["poor"] == "worse than random"
    assert rows["random"]["like"] == "random_inside" and rows["random"]["good"] == "random"
    assert rows["verdict"]["random_inside"] == ""


def test_the_table_tells_shares_intervals_costs_and_who_beats_random():
    rows = rows_of(made_up())
    good = rows.loc["good"]
    assert (good["n"], good["right"], good["right_at"], good["right_read"]) == (40, 0.9, 1, 0.8)
    assert good["low"] < 0.9 < good["high"] and (good["flops"], good["kv"]) == (0.25, 0.3)
    assert good["verdict"] == "better than random" and good["p"] < 1e-4
    assert good["gain"] == pytest.approx(0.6) and good["gain_low"] < 0.6 < good["gain_high"]
    assert rows["gain"]["bad"] == pytest.approx(-0.3)
    assert rows["verdict"]["bad"] == "worse than random"
    assert rows["verdict"]["equal"] == "no better than random" and rows["p"]["equal"] == 1
    assert rows["gain_low"]["equal"] < 0 < rows["gain_high"]["equal"]
    for measured_by_nothing in ("random", "full"):
        assert rows["verdict"][measured_by_nothing] == ""
        assert np.isnan(rows["p"][measured_by_nothing])


def test_a_chance_find_among_many_tests_is_none():
    few = [trial(s, "random", s >= 8) for s in range(40)] + [
        trial(s, "lucky", True) for s in range(40)
    ]
    alone = rows_of(few)
    assert alone["verdict"]["lucky"] == "better than random" and alone["p"]["lucky"] == 2 / 2**8
    others = [replace(trial(s, f"m{i}", s >= 8)) for i in range(9) for s in range(40)]
    among = rows_of(few + others)
    assert among["p"]["lucky"] == alone["p"]["lucky"]
    assert among["p_holm"]["lucky"] == pytest.approx(10 * 2 / 2**8)
    assert among["verdict"]["lucky"] == "no better than random"


def test_only_questions_that_both_answered_are_compared():
    found = made_up()
    found += [replace(t, seed=t.seed + 100) for t in found if t.method == "bad"]
    rows = rows_of(found)
    assert rows["n"]["bad"] == 80 and rows["n"]["random"] == 40
    assert rows["p"]["bad"] == rows_of(made_up())["p"]["bad"]


def test_an_answer_that_was_measured_twice_counts_once():
    found = made_up()
    assert table(to_frame(found + found)).equals(table(to_frame(found)))


def test_a_table_can_be_written_and_read(tmp_path):
    rows = table(to_frame(made_up()))
    write_table(rows, tmp_path / "table.csv")
    again = read_table(tmp_path / "table.csv")
    names = ["method", "budget", "n", "verdict", "random"]
    assert again[names].values.tolist() == rows[names].values.tolist()
    assert np.allclose(again["low"], rows["low"], rtol=1e-3)
    assert again["p"].isna().tolist() == rows["p"].isna().tolist()


def test_the_shipped_table_is_written_as_it_was_read(tmp_path):
    shipped = FOLDER / "leaderboard.csv"
    write_table(read_table(shipped), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == shipped.read_bytes()


def test_the_figure_puts_the_best_first_and_marks_who_beats_random():
    drawn = figure(told(made_up()))
    (heat,) = drawn.data
    assert list(heat.y) == ["Good", "Random", "Equal", "Bad"] and list(heat.x) == ["8"]
    assert [line[0] for line in heat.text] == ["90% ↑", "30%", "30% ≈", "0% ↓"]
    assert "against Random" in heat.customdata[0][0] and "FLOPs 25%" in heat.customdata[0][0]


def test_a_menu_of_the_figure_shows_one_kind_of_question():
    (menu,) = figure(told(made_up())).layout.updatemenus
    assert [button.label for button in menu.buttons] == ["all questions", "at", "read"]
    (change,) = menu.buttons[2].args
    assert change["text"] == [[["80%"], [""], [""], [""]]], "only `good` was asked to read"


def test_findings_name_who_beats_its_random_and_who_never_does():
    said = " ".join(findings(told(made_up())))
    assert "40 questions" in said and "100.0% of the answers are right" in said
    assert "At 8 tokens better than its own random: Good (+60); worse: Bad (-30)." in said
    assert "At no budget better: Equal, Bad." in said


def test_findings_say_where_a_method_was_asked_less():
    some = [t for t in made_up() if t.method != "bad" or t.seed < 10]
    assert "40 questions, of some methods 10" in findings(told(some))[0]
    (line,) = [line for line in markdown(told(some)).splitlines() if line.startswith("| Bad")]
    assert line.endswith("| Random | 10 |")


def test_the_same_choice_under_both_policies_is_told_by_places_and_other_kinds():
    anew = [trial(s, "good", s % 2 == 0, kind="where" if s < 20 else "count") for s in range(40)]
    kept = [replace(t, method="good?positions=keep", right=t.seed < 20) for t in anew]
    full = [replace(t, method="full", budget=1, right=True, random="") for t in anew]
    other = [replace(t, method="random") for t in anew]
    text = markdown(told(full + other + anew + kept))
    assert "| Good | 50% → 50% | 50% → 100% | 50% → 0% |" in text
    assert "counted anew → kept" not in markdown(told(full + other + anew))
