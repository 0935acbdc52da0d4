"""One opened video file: how many frames it has, when each is shown, and any of them as RGB.

A container may say nothing of its frames (a browser's recorder writes as it goes), or something
wrong. So the last frame that it names is looked up; where it isn't there, or isn't the last, all
frames are decoded once and counted. Knows decoders; not which frames anybody wants.
"""

from __future__ import annotations

import bisect
import math
import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
from PIL import Image

from explorer.errors import BadVideo
from explorer.media.image import DAMAGE, MAX_RATIO, MIN_SIDE

MAX_SECONDS = 3600.0
MAX_PIXELS = 4096 * 2304  # 4K and a little; a decoder holds a dozen of such frames at once
MAX_FPS = 1000.0
NEAR = 12  # frames; those so near are passed by, as seeking would decode a dozen frames, too
PATIENCE = 20.0  # seconds that finding the frames of one file may take

DAMAGED = "The video is damaged or incomplete; please save it again or choose another one."
SLOW = "Its frames take too long to find here; please save the video shorter or smaller."
SOUND = "The file holds sound alone; please choose an MP4, WebM or GIF file with pictures."

SOUND_CODECS = (b"A_OPUS", b"A_VORBIS", b"A_AAC")
CODECS = (b"V_VP", b"V_AV1", b"V_MPEG", b"V_THEORA")

ReadFrame = Callable[[int], Image.Image | None]


@dataclass(frozen=True)
class Reel:
    """An opened video.

    total: frames; lasts: seconds. read: gives frame `number` as RGB, or None where there is none;
    cheapest in the order of time. times: the second of each frame where they are not evenly spread.
    """

    total: int
    lasts: float
    read: ReadFrame
    times: tuple[float, ...] | None = None

    def second(self, number: int) -> float:
        """Tell when a frame is shown."""
        return self.times[number] if self.times else number * self.lasts / self.total

    def number(self, second: float) -> int:
        """Find the frame that is shown at a second."""
        if self.times:
            return max(0, bisect.bisect_right(self.times, second + 1e-6) - 1)
        return min(self.total - 1, int(second * self.total / self.lasts + 1e-6))


def deadline() -> float:
    """Give the moment, in seconds of `time.monotonic`, at which patience ends."""
    return time.monotonic() + PATIENCE


@contextmanager
def open_reel(path: Path) -> Iterator[Reel]:
    """Open a file with OpenCV, or a GIF with PIL where OpenCV can't; close it in the end."""
    file = _capture(path)
    try:
        if file.isOpened():
            yield _by_opencv(path, file)
        elif _is_sound(path):
            raise BadVideo(SOUND)
        else:
            yield _by_pil(path)
    finally:
        file.release()


def check_size(width: int, height: int) -> None:
    """Refuse a video by its width and height alone."""
    if width <= 0 or height <= 0:
        raise BadVideo(DAMAGED)
    if width * height > MAX_PIXELS:
        raise BadVideo(
            f"The video is too large ({width} x {height} pixels); please save it with at most "
            "3840 x 2160."
        )
    small, large = sorted((width, height))
    if small < MIN_SIDE or large > MAX_RATIO * small:
        raise BadVideo(
            f"The video is too small or too thin ({width} x {height} pixels); please choose "
            "another one."
        )


def _capture(path: Path) -> cv2.VideoCapture:
    try:
        return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    except cv2.error:
        raise BadVideo(DAMAGED) from None


def _by_opencv(path: Path, file: cv2.VideoCapture) -> Reel:
    width, height = file.get(cv2.CAP_PROP_FRAME_WIDTH), file.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if width <= 0 and _is_sound(path):
        raise BadVideo(SOUND)
    check_size(int(width), int(height))
    fps, count = file.get(cv2.CAP_PROP_FPS), file.get(cv2.CAP_PROP_FRAME_COUNT)
    fps = fps if math.isfinite(fps) and 0 < fps <= MAX_FPS else None
    said = int(count) if 0 < count < MAX_SECONDS * MAX_FPS else 0
    if said and (said == 1 or said / (fps or 25.0) > MAX_SECONDS or _is_last(file, said - 1)):
        return Reel(said, said / (fps or 25.0), _seeking(file))
    times = _decoded_times(path)
    total = len(times)
    lasts = times[-1] * total / (total - 1) if total > 1 else 0.0
    if fps and (lasts <= 0 or abs(total / fps - lasts) < 0.1 * lasts):
        lasts = total / fps
    # a decoder that tells no times shows its frames evenly
    return Reel(total, lasts or total / 25.0, _forward(path), times if times[-1:] > (0,) else None)


def _is_last(file: cv2.VideoCapture, number: int) -> bool:
    """Tell whether a frame is there and no other behind it."""
    file.set(cv2.CAP_PROP_POS_FRAMES, number)
    return file.grab() and not file.grab()


def _decoded_times(path: Path) -> tuple[float, ...]:
    """Decode all frames of a file and give the second of each."""
    file, end, times = _capture(path), deadline(), []
    try:
        while file.grab():
            times.append(max(0.0, file.get(cv2.CAP_PROP_POS_MSEC) / 1000))
            if time.monotonic() > end:
                raise BadVideo(SLOW)
    finally:
        file.release()
    return tuple(times)


def _seeking(file: cv2.VideoCapture) -> ReadFrame:
    """Read any frame of a file whose count can be trusted."""
    coming = math.inf  # the frame that the decoder gives next

    def read(number: int) -> Image.Image | None:
        nonlocal coming
        if 0 <= number - coming <= NEAR:
            for _ in range(number - coming):
                file.grab()
        else:
            file.set(cv2.CAP_PROP_POS_FRAMES, number)
        coming = number + 1
        return _rgb(*file.read())

    return read


def _forward(path: Path) -> ReadFrame:
    """Read frames of a file in which nothing can be looked up: from the start, one by one."""
    file, coming = _capture(path), 0

    def read(number: int) -> Image.Image | None:
        nonlocal file, coming
        if number < coming:
            file.release()
            file, coming = _capture(path), 0
        for _ in range(number - coming):
            file.grab()
        coming = number + 1
        return _rgb(*file.read())

    return read


def _rgb(good: bool, pixels) -> Image.Image | None:
    return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)) if good else None


def _by_pil(path: Path) -> Reel:
    try:
        image = Image.open(path, formats=("GIF",))
        check_size(*image.size)
        total = getattr(image, "n_frames", 1)
        each = float(image.info.get("duration") or 100) / 1000
    except (*DAMAGE, Image.DecompressionBombError):
        raise BadVideo(DAMAGED) from None

    def read(number: int) -> Image.Image | None:
        try:
            image.seek(number)
            return image.convert("RGB")
        except DAMAGE:
            return None

    return Reel(total, total * each, read)


def _is_sound(path: Path) -> bool:
    """Tell whether a file of the MP4 or Matroska kind names a track of sound and none of pictures.

    An MP4 names the handler of each track ("soun", "vide"), Matroska its codec ("A_...", "V_...").
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[4:8] == b"ftyp":
            return data.find(b"soun") >= 0 and data.find(b"vide") < 0
        if data[:4] == b"\x1a\x45\xdf\xa3":
            sound, pictures = (
                any(data.find(name) >= 0 for name in names) for names in (SOUND_CODECS, CODECS)
            )
            return sound and not pictures
    return False
