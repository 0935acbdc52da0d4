"""Opening videos: the frames that are asked for, and a sentence for everything that can be wrong.

Frame number i of every file is grey of brightness 8 i.
"""

from __future__ import annotations

import random

import cv2
import numpy as np
import psutil
import pytest
from clips import CODECS, gif, written
from PIL import Image

from explorer import ROOT
from explorer.errors import BadVideo
from explorer.media import reel, video
from explorer.media.video import MOST_FRAMES, even, from_images, open_video, read_seconds

GOLDENS = ROOT / "tests" / "goldens"


def brightness(clip) -> list[float]:
    return [float(np.asarray(frame.picture.image).mean()) for frame in clip.frames]


@pytest.mark.parametrize("ending", CODECS)
def test_frames_are_spread_evenly_and_are_the_right_ones(tmp_path, ending):
    clip = open_video(written(tmp_path / f"film.{ending}"), count=4)
    assert [frame.number for frame in clip.frames] == [0, 9, 19, 29]
    assert [frame.second for frame in clip.frames] == [0, 0.9, 1.9, 2.9]
    assert np.allclose(brightness(clip), [0, 72, 152, 232], atol=4)
    assert (clip.total, clip.seconds, clip.notes) == (30, 3.0, ())
    assert clip.frames[0].picture.image.size == (160, 120)


def test_frames_can_be_picked_by_their_time(tmp_path):
    clip = open_video(written(tmp_path / "film.mp4"), seconds=[2.05, 0.5, 3.0])
    assert [frame.number for frame in clip.frames] == [5, 20, 29]
    assert np.allclose(brightness(clip), [40, 160, 232], atol=4)


@pytest.mark.parametrize("opencv_can", [True, False])
def test_a_gif_is_read_by_opencv_or_else_by_pil(tmp_path, monkeypatch, opencv_can):
    if not opencv_can:
        monkeypatch.setattr(cv2.VideoCapture, "isOpened", lambda self: False)
    clip = open_video(gif(tmp_path / "film.gif"), count=3)
    assert [frame.number for frame in clip.frames] == [0, 4, 8]
    assert np.allclose(brightness(clip), [0, 80, 160], atol=2)
    assert clip.seconds == pytest.approx(0.9)


def test_the_content_counts_and_not_the_name(tmp_path):
    film = written(tmp_path / "film.mp4").rename(tmp_path / "film.txt")
    assert len(open_video(film).frames) == 4
    other = gif(tmp_path / "other.gif").rename(tmp_path / "other.mp4")
    assert len(open_video(other).frames) == 4


def test_frames_are_kept_small(tmp_path):
    clip = open_video(written(tmp_path / "film.mp4", frames=4, size=(1280, 720)), count=2)
    assert clip.frames[0].picture.image.size == (512, 288)


def test_only_the_frames_that_are_asked_for_are_read(tmp_path, monkeypatch):
    film = written(tmp_path / "film.mp4", frames=200)
    reads, real = [], cv2.VideoCapture.read
    monkeypatch.setattr(cv2.VideoCapture, "read", lambda self: reads.append(1) or real(self))
    assert len(open_video(film, count=3).frames) == len(reads) == 3


def problems(folder):
    """Every bad file with words that its sentence must hold."""
    (folder / "empty.mp4").touch()
    (folder / "words.mp4").write_text("not a video at all")
    (folder / "list.mp4").write_text("#EXTM3U\nfile:///etc/passwd\n")
    Image.new("RGB", (60, 60)).save(folder / "photo.mp4", "PNG")
    whole = written(folder / "whole.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "noise.mp4").write_bytes(whole[:40] + bytes(range(256)) * 20)
    (folder / "cut.gif").write_bytes(gif(folder / "whole.gif").read_bytes()[:30])
    return [
        (None, "no video yet"),
        (folder / "nowhere.mp4", "There is no file"),
        (folder / "empty.mp4", "empty"),
        (folder / "words.mp4", "not a video"),
        (folder / "list.mp4", "not a video"),
        (folder / "photo.mp4", "a picture"),
        (folder / "cut.mp4", "damaged"),
        (folder / "noise.mp4", "damaged"),
        (folder / "cut.gif", "damaged"),
        (written(folder / "one.mp4", frames=1), "only one frame"),
        (gif(folder / "one.gif", frames=1), "only one frame"),
        (written(folder / "long.avi", frames=8, fps=8 / 7200), "lasts 2 h"),
        (written(folder / "large.avi", frames=2, size=(7680, 4320)), "7680 x 4320"),
        (written(folder / "thin.avi", frames=2, size=(640, 16)), "too thin"),
    ]


def test_every_bad_file_gets_a_sentence_of_its_own(tmp_path):
    for path, words in problems(tmp_path):
        with pytest.raises(BadVideo) as caught:
            open_video(path)
        sentence = str(caught.value)
        assert words in sentence, (path, sentence)
        assert sentence.endswith(".") and "\n" not in sentence
        assert str(tmp_path) not in sentence


def test_a_file_without_frames_says_so(tmp_path, monkeypatch):
    path = written(tmp_path / "film.mp4")
    monkeypatch.setattr(cv2.VideoCapture, "grab", lambda self: False)
    with pytest.raises(BadVideo, match="no frames"):
        open_video(path)


@pytest.mark.parametrize("count", [-9.2e15, 0.0, 12.0, 31.0, 4000.0, 1e15])
@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_frames_are_counted_where_a_file_does_not_say_how_many_or_is_wrong(
    tmp_path, monkeypatch, ending, count
):
    path = written(tmp_path / f"film.{ending}")
    wrong = {cv2.CAP_PROP_FRAME_COUNT: count}
    real = cv2.VideoCapture.get
    monkeypatch.setattr(cv2.VideoCapture, "get", lambda self, key: wrong.get(key, real(self, key)))
    clip = open_video(path, count=4)
    assert (clip.total, clip.seconds) == (30, pytest.approx(3.0))
    assert [frame.number for frame in clip.frames] == [0, 9, 19, 29]
    assert np.allclose(brightness(clip), [0, 72, 152, 232], atol=4)
    assert open_video(path, seconds=[0.5, 2.05]).frames[1].number == 20


def test_what_a_browser_has_recorded_is_read():
    """Without duration, number of frames or a way to seek; the steps in time are uneven."""
    clip = open_video(GOLDENS / "recorded_in_a_browser.webm", count=16)
    assert clip.total == 59 and clip.seconds == pytest.approx(3.9, abs=0.1)
    assert len({frame.picture.digest for frame in clip.frames}) == len(clip.frames) == 16
    seconds = [frame.second for frame in clip.frames]
    assert seconds == sorted(seconds) and seconds[-1] == pytest.approx(3.894)
    assert clip.notes == ()


@pytest.mark.parametrize("start", [b"\0\0\0\x18ftypisom", b"\x1a\x45\xdf\xa3"])
def test_sound_alone_is_called_sound(tmp_path, start):
    track = b"hdlr\0\0\0\0\0\0\0\0soun" if b"ftyp" in start else b"\x86\x86A_OPUS"
    (tmp_path / "song.mp4").write_bytes(start + bytes(40) + track + bytes(400))
    with pytest.raises(BadVideo, match="sound alone"):
        open_video(tmp_path / "song.mp4")


def test_frames_that_can_not_be_read_are_left_out_and_named(tmp_path, monkeypatch):
    path = written(tmp_path / "film.mp4")
    reads, real = iter(range(99)), cv2.VideoCapture.read
    monkeypatch.setattr(
        cv2.VideoCapture, "read", lambda self: (False, None) if next(reads) == 1 else real(self)
    )
    clip = open_video(path, count=4)
    assert [frame.number for frame in clip.frames] == [0, 19, 29]
    assert clip.notes == ("1 of 4 frames could not be read and are left out.",)


def test_patience_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(reel, "PATIENCE", -1.0)
    with pytest.raises(BadVideo, match="too long to find"):
        open_video(written(tmp_path / "film.mp4"))


def test_a_file_that_is_too_large_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "MAX_BYTES", 1000)
    with pytest.raises(BadVideo, match="larger than"):
        open_video(written(tmp_path / "film.mp4"))


def test_frames_are_never_named_twice():
    assert even(3, 8) == [0, 1, 2]
    assert even(100, MOST_FRAMES)[-1] == 99
    for count in (0, 1, MOST_FRAMES + 1, True, 2.0):
        with pytest.raises(BadVideo, match="2 to 16"):
            even(100, count)


def test_times_are_read_as_a_person_writes_them():
    assert read_seconds("0, 1.5;3  1:20") == [0, 1.5, 3, 80]
    assert read_seconds("  ") is None
    for text in ("soon", "1,,x", "-3", "1e9"):
        with pytest.raises(BadVideo, match="as seconds"):
            read_seconds(text)


def test_times_that_are_no_good_are_named(tmp_path):
    film = written(tmp_path / "film.mp4")
    with pytest.raises(BadVideo, match=r"no second 9: it lasts 3\.0 s"):
        open_video(film, seconds=[0, 9])
    with pytest.raises(BadVideo, match="name 1 different frame;"):
        open_video(film, seconds=[1, 1.01])


def test_pictures_can_be_a_clip_too():
    images = [Image.new("RGB", (40, 40), (number, 0, 0)) for number in range(12)]
    clip = from_images(images, fps=4, count=3)
    assert [(frame.number, frame.second) for frame in clip.frames] == [
        (0, 0),
        (5, 1.25),
        (11, 2.75),
    ]
    assert clip.digest != from_images(images, fps=4, count=4).digest
    assert from_images(images[:1] * 5, fps=1, count=2).notes == ("All frames look the same.",)


@pytest.mark.parametrize("ending", ["mp4", "webm", "avi", "gif"])
def test_a_damaged_video_is_read_or_refused_but_never_fails(tmp_path, ending):
    make = gif if ending == "gif" else written
    whole = make(tmp_path / f"film.{ending}", 12).read_bytes()
    for seed in range(12):
        draw, damaged = random.Random(seed), bytearray(whole)
        for _ in range(draw.choice((1, 10, 100))):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        if seed % 3 == 0:
            del damaged[draw.randrange(len(damaged)) :]
        path = tmp_path / f"damaged.{ending}"
        path.write_bytes(damaged)
        try:
            open_video(path, 4)
        except BadVideo as refused:
            assert str(refused).endswith(".")


def test_a_small_file_that_claims_to_be_huge_takes_no_memory(tmp_path):
    """Sizes of 65,535 pixels in the headers of an MP4 and of a GIF: 12 GB a frame."""
    film = bytearray(written(tmp_path / "film.mp4", 12).read_bytes())
    entry = film.rindex(b"mp4v") + 4 + 24  # in the sample description: width, height
    film[entry : entry + 4] = b"\xff" * 4
    header = film.index(b"tkhd") + 4 + 76  # in the track, as fixed-point numbers
    film[header : header + 8] = b"\xff\xff\0\0" * 2
    moving = bytearray(gif(tmp_path / "film.gif").read_bytes())
    moving[6:10] = b"\xff" * 4
    for name, content in (("huge.mp4", film), ("huge.gif", moving)):
        (tmp_path / name).write_bytes(content)
        before = psutil.Process().memory_info().rss
        try:
            opened = open_video(tmp_path / name, 4)
        except BadVideo as refused:
            assert str(refused).endswith(".")
        else:
            assert opened.nbytes < 10_000_000
        assert psutil.Process().memory_info().rss - before < 300_000_000, name
