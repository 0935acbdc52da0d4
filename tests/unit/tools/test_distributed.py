"""A list done by several processes gives what one process gives, however they are started."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
from conftest import ROOT

from explorer.tools import distributed
from explorer.tools.distributed import Team, progress
from explorer.tools.leaderboard import run

LAUNCH = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "explorer"),
]


def test_processes_of_a_launch_write_the_table_of_one_process_to_the_bit(tmp_path, monkeypatch):
    words = ["leaderboard", "--scenes", "3", "--methods", "clsattn", "fastv", "--budgets", "64"]
    together = [*LAUNCH, *words, "--out", str(tmp_path / "two")]
    launched = subprocess.run(together, cwd=ROOT, capture_output=True, text=True)
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.count("3 of 3 scenes") == 1, "the main process alone tells"
    alone = [*words, "--workers", "1", "--out", str(tmp_path / "one")]
    monkeypatch.setattr(sys, "argv", alone)
    run.main()
    for name in ("leaderboard.csv", "leaderboard.json"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    answers = [sorted((tmp_path / n / run.LOG).read_text().splitlines()) for n in ("one", "two")]
    assert answers[0] == answers[1]


def prepared(among: int) -> None:
    os.environ["TEAM"] = str(among)


def share_of(number: float) -> tuple[float, str | None, int]:
    return math.sqrt(number), os.environ.get("TEAM"), os.getpid()


def test_processes_of_one_machine_are_made_ready_and_share_a_list():
    results = dict(Team(2, prepared).results(share_of, map(float, range(20))))
    assert [results[n][0] for n in range(20)] == [math.sqrt(n) for n in range(20)]
    assert {among for _, among, _ in results.values()} == {"2"} and "TEAM" not in os.environ
    assert os.getpid() not in {process for *_, process in results.values()}
    with pytest.raises(ValueError, match="math domain"):
        list(Team(2, prepared).results(share_of, [1.0, -1.0]))


def test_every_process_of_a_launch_takes_a_card_of_its_own(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    launch = {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "4"}
    for rank, wanted in enumerate(("3", "7", "3", "7")):
        told = launch | {"LOCAL_RANK": str(rank), "CUDA_VISIBLE_DEVICES": "3,7"}
        monkeypatch.setattr(os, "environ", told)
        distributed.take_one_card()
        assert told["CUDA_VISIBLE_DEVICES"] == wanted
    monkeypatch.setattr(os, "environ", {"LOCAL_RANK": "1"})
    distributed.take_one_card()
    assert os.environ == {"LOCAL_RANK": "1"}, "nobody has launched several"


def test_results_can_be_had_in_the_order_of_their_items():
    assert list(distributed.in_order([(2, "c"), (0, "a"), (1, "b")])) == ["a", "b", "c"]


def test_the_last_line_of_progress_says_that_nothing_is_left(capsys):
    assert list(progress.told("abc", 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().out == "3 of 3 letters, 0 s, 0 s left\n"
    assert [progress.duration(s) for s in (40, 700, 12_000)] == ["40 s", "12 min", "3 h 20 min"]
