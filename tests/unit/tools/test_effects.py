"""The command for effects: it goes on where it was stopped, and its file says where it is from."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from explorer.tools.distributed.log import append
from explorer.tools.distributed.weights import weights_digest
from explorer.tools.effects import run, scene_log

SEED = run.FIRST_SEED + 1


@pytest.fixture(scope="module")
def scene() -> scene_log.MeasuredScene:
    return run.evaluate(SEED, "clsattn", 49)


def test_a_scene_is_probed_by_every_strategy_and_described_by_all_three(scene):
    rows = {probe.row for probe in scene.probes}
    assert rows == {"full", "clsattn", "random"} == {each.row for each in scene.captions}
    things = {probe.thing: probe for probe in scene.probes}
    assert len(scene.probes) == 3 * len(things)
    assert sum(probe.there for probe in things.values()) in (1, 2, 3)
    assert {why for p in things.values() for why in p.why.split("+")} == {
        "there", "random", "popular", "adversarial",
    }  # fmt: skip


def test_an_interrupted_run_goes_on_and_writes_what_the_page_shows(
    scene, tmp_path, monkeypatch, capsys
):
    log = tmp_path / "clsattn-49.jsonl"
    seeds = range(run.FIRST_SEED, run.FIRST_SEED + 3)
    append(log, replace(scene, seed=seeds[1]))
    append(log, replace(scene, seed=seeds[0], weights="others"))
    log.write_bytes(log.read_bytes() + b'{"cut off')
    asked = []

    def evaluate(seed, method, budget):
        asked.append(seed)
        return replace(scene, seed=seed)

    monkeypatch.setattr(run, "evaluate", evaluate)
    command = [
        "effects",
        "--method",
        "clsattn",
        "--budget",
        "49",
        "--scenes",
        "3",
        "--workers",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path)])
    run.main()
    assert asked == [seeds[0], seeds[2]], "answers of other weights don't count"
    told = json.loads((tmp_path / "clsattn-49.json").read_text())
    assert told["scenes"] == 3 and told["weights"] == weights_digest()
    assert [row["title"] for row in told["rows"]][::2] == ["All tokens", "Random"]
    assert "3 scenes" in capsys.readouterr().out
