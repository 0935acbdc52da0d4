"""A video that is opened in a process of its own: the same frames, and an end to what has none."""

from __future__ import annotations

import sys

import pytest
from clips import written

from explorer.errors import BadVideo
from explorer.media import video_process
from explorer.media.reel import DAMAGED, SLOW
from explorer.media.video import open_video
from explorer.media.video_process import open_in_process


def instead(monkeypatch, script: str) -> None:
    """Let the process do something else."""
    monkeypatch.setattr(video_process, "COMMAND", (sys.executable, "-c", script))


def test_the_frames_are_those_that_are_opened_here(tmp_path):
    film = written(tmp_path / "film.mp4")
    assert open_in_process(film, seconds=[0.5, 2.05]) == open_video(film, seconds=[0.5, 2.05])
    with pytest.raises(BadVideo, match="Please choose 2 to 16 frames"):
        open_in_process(film, count=64)


def test_what_takes_too_long_or_ends_its_process_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setattr(video_process, "SECONDS", 0.0)
    instead(monkeypatch, "import time; time.sleep(600)")
    for _ in range(video_process.MAX_AT_ONCE + 1):  # each gives its place back
        with pytest.raises(BadVideo) as caught:
            open_in_process("film.mp4")
        assert str(caught.value) == SLOW
    monkeypatch.setattr(video_process, "SECONDS", 60.0)
    instead(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(BadVideo) as caught:
        open_in_process("film.mp4")
    assert str(caught.value) == DAMAGED
    instead(monkeypatch, "raise ValueError")
    with pytest.raises(RuntimeError):
        open_in_process("film.mp4")


def test_it_ends_as_soon_as_nobody_waits(monkeypatch):
    instead(monkeypatch, "import time; time.sleep(600)")

    class Gone(BaseException):
        pass

    def leave() -> None:
        raise Gone

    with pytest.raises(Gone):
        open_in_process("film.mp4", meanwhile=leave)


def test_one_more_video_waits_for_a_place_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(video_process, "SECONDS", 0.0)
    for _ in range(video_process.MAX_AT_ONCE):
        video_process._PLACES.acquire()
    try:
        with pytest.raises(BadVideo, match="Others are opening videos"):
            open_in_process("film.mp4")
    finally:
        for _ in range(video_process.MAX_AT_ONCE):
            video_process._PLACES.release()
