"""The table of effects, on answers whose counts are known."""

from __future__ import annotations

import pytest

from explorer.metrics.effects.table import (
    CaptionRecord,
    ProbeRecord,
    examples,
    ratio_interval,
    summary,
    to_frame,
)
from explorer.metrics.significance import mcnemar

NO, YES = 0.1, 0.9


def probes() -> list[ProbeRecord]:
    """Forty probes; the full run hallucinates four, the method other two and loses two."""
    found = []
    for number in range(40):
        seed, there = number // 4, number % 2 == 0
        why = "there" if there else ("random" if number % 4 == 1 else "random+popular")
        said = {"full": there or number in (1, 3, 5, 7), "ours": there, "lot": there}
        said["ours"] = {0: False, 2: False, 9: True, 11: True}.get(number, there)
        for row, yes in said.items():
            p = YES if yes else NO
            text = "yes" if yes else "no"
            found.append(ProbeRecord(seed, f"t{number}", there, why, row, text, p, 1 - p))
    return found


def test_counts_tests_and_strategies():
    captions = [
        CaptionRecord(seed, row, 4, int(row == "ours" and seed == 0), 3, 4, 20)
        for seed in range(10)
        for row in ("full", "ours", "lot")
    ]
    full, ours, lot = summary(to_frame(probes()), captions, "ours", "lot")
    assert [each["row"] for each in (full, ours, lot)] == ["full", "ours", "lot"]
    assert (full["n"], full["hallucinated"], full["lost"]) == (40, 4, 0)
    assert full["accuracy"] == pytest.approx(0.9) and full["ece"] is None, "too few"
    assert (ours["hallucinated"], ours["lost"], ours["fixed"], ours["broken"]) == (2, 2, 4, 4)
    assert ours["p"] == 1 and (ours["better"], ours["worse"]) == (0, 4)
    assert ours["p_random"] == mcnemar([True] * 36 + [False] * 4, [True] * 40)
    assert "p_random" not in lot and lot["interval"] == (1, 1)
    low, high = full["interval"]
    assert low < 0.9 < high
    assert full["by_strategy"]["popular"]["n"] == 30
    assert full["by_strategy"]["popular"]["accuracy"] == pytest.approx(28 / 30)
    assert full["by_strategy"]["adversarial"]["n"] == 20
    assert ours["captions"]["chair_i"]["value"] == pytest.approx(1 / 40)
    assert ours["captions"]["chair_s"]["value"] == pytest.approx(1 / 10)
    assert ours["captions"]["recall"]["value"] == pytest.approx(3 / 4)


def test_as_many_examples_that_are_fixed_as_broken():
    told = examples(to_frame(probes()), "ours", most=3)
    assert [len(told[kind]) for kind in ("fixed", "broken")] == [3, 3]
    assert {each["thing"] for each in told["fixed"]} <= {"t1", "t3", "t5", "t7"}
    few = [each for each in probes() if each.thing not in ("t1", "t3", "t5")]
    told = examples(to_frame(few), "ours")
    assert [len(told[kind]) for kind in ("fixed", "broken")] == [1, 1]


def test_unknown_probabilities_count_as_answers_but_not_for_calibration():
    records = [
        ProbeRecord(seed, "owl", True, "there", row, "yes", float("nan"), float("nan"))
        for seed in range(120)
        for row in ("full", "ours", "lot")
    ]
    full, *_ = summary(to_frame(records), [], "ours", "lot")
    assert full["n"] == 120 and full["ece"] is None and "captions" not in full


def test_scenes_that_are_all_alike_leave_no_doubt():
    assert ratio_interval([2, 2, 2], [4, 4, 4]) == (0.5, 0.5)
    assert ratio_interval([0, 0], [0, 0]) == (0, 0)
