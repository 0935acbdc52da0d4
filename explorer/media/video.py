"""The guard in front of videos: a few frames of a file become plain RGB pictures.

What a file is, its first bytes say, not its name; only containers that hold the video themselves
are opened (a playlist could name other files). Only the frames that are asked for are decoded and
kept, so that memory does not grow with the length. Knows nothing of models, patches or pages.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from explorer.errors import BadVideo
from explorer.media.image import DAMAGE, MAX_RATIO, MIN_SIDE, Picture, open_picture

MOST_FRAMES = 16
MAX_BYTES = 100 * 1024 * 1024
MAX_SECONDS = 3600.0
MAX_PIXELS = 4096 * 2304  # 4K and a little; a decoder holds a dozen of such frames at once
FRAME_SIDE = 512  # pixels of the longer side that are kept; no model here looks closer at a frame
NEAR = 12  # frames; those so near are passed by, as seeking would decode a dozen frames, too
PATIENCE = 20.0  # seconds that finding the frames of one file may take

CHOOSE = "please choose an MP4, WebM or GIF file"
DAMAGED = "The video is damaged or incomplete; please save it again or choose another one."
SINGLE = "The video has only one frame; open it as a picture in the tab Explore instead."
SLOW = "Its frames take too long to find here; please save the video shorter or smaller."

# Where a container's name stands, and what it is. An MP4 begins with the size of its first box.
BEGINNINGS = (
    (4, (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")),
    (0, (b"\x1a\x45\xdf\xa3",)),  # WebM, Matroska
    (0, (b"GIF87a", b"GIF89a")),
    (8, (b"AVI ",)),
)
STILLS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
STILL_BRANDS = (b"avif", b"heic", b"heix", b"mif1", b"msf1")


@dataclass(frozen=True)
class Frame:
    """One frame: its picture, its number in the video, and the second at which it is shown."""

    picture: Picture
    number: int
    second: float


@dataclass(frozen=True)
class Clip:
    """Some frames of a video, in the order of time.

    total: frames of the whole video; seconds: how long it lasts; notes: sentences for the visitor.
    """

    frames: tuple[Frame, ...]
    total: int
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """16 hexadecimal digits, equal for equal frames."""
        text = "\n".join(frame.picture.digest for frame in self.frames)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Reel:
    """An opened video. read: gives frame `number` as RGB, or None where there is none."""

    total: int
    fps: float
    width: int
    height: int
    read: Callable[[int], Image.Image | None]


def open_video(
    source: str | Path | None, count: int = 4, seconds: Sequence[float] | None = None
) -> Clip:
    """Take `count` frames evenly over a video, first and last among them, or those at `seconds`.

    Raises BadVideo with one sentence that says what to do.
    """
    with _opened(_checked(source)) as reel:
        numbers = even(reel.total, count) if seconds is None else _at(seconds, reel)
        return _taken(reel, numbers)


def from_images(images: Sequence[Image.Image], fps: float, count: int) -> Clip:
    """Take `count` frames evenly from pictures that are already there, as from a video."""
    width, height = images[0].size
    reel = _Reel(len(images), fps, width, height, lambda number: images[number])
    return _taken(reel, even(len(images), count))


def even(total: int, count: int) -> list[int]:
    """Spread `count` frames evenly over `total`, as LLaVA-Video does (np.linspace, cut off)."""
    if isinstance(count, bool) or not isinstance(count, int) or not 2 <= count <= MOST_FRAMES:
        raise BadVideo(f"Please choose 2 to {MOST_FRAMES} frames.")
    return sorted({int(number) for number in np.linspace(0, total - 1, count)})


def read_seconds(text: str) -> list[float] | None:
    """Read times such as "0, 1.5; 1:20", in seconds or minutes:seconds; None for an empty text."""
    words = re.split(r"[,;\s]+", text.strip())
    if words == [""]:
        return None
    found = []
    for word in words:
        read = re.fullmatch(r"(?:(\d{1,3}):)?(\d{1,5}(?:\.\d{1,3})?)", word)
        if read is None:
            raise BadVideo("Please write the times as seconds with commas, such as 0, 1.5, 3.")
        found.append(60 * int(read[1] or 0) + float(read[2]))
    return found


def _at(seconds: Sequence[float], reel: _Reel) -> list[int]:
    """Find the frames that are shown at some seconds."""
    lasts = reel.total / reel.fps
    late = [second for second in seconds if not 0 <= second <= lasts]
    if late:
        raise BadVideo(f"The video has no second {late[0]:g}: it lasts {in_words(lasts)}.")
    last = reel.total - 1
    numbers = sorted({min(last, int(second * reel.fps + 1e-6)) for second in seconds})
    if not 2 <= len(numbers) <= MOST_FRAMES:
        raise BadVideo(
            f"These times name {len(numbers)} different frame{'s' * (len(numbers) != 1)}; "
            f"please name 2 to {MOST_FRAMES}."
        )
    return numbers


def in_words(seconds: float) -> str:
    """Say a duration: "2 h 5 min", "3 min 20 s", "4.2 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


# ---- one file -----------------------------------------------------------------------------------


def _checked(source: str | Path | None) -> Path:
    """Look at a file's size and first bytes before any decoder sees it."""
    if source is None or source == "":
        raise BadVideo("There is no video yet; please choose one first.")
    path = Path(source)
    try:
        if not path.is_file():
            raise BadVideo(f'There is no file "{path.name}"; {CHOOSE} that exists.')
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        raise BadVideo(f'The file "{path.name}" can\'t be read; {CHOOSE}.') from None
    if not size:
        raise BadVideo(f"The file is empty; {CHOOSE}.")
    if size > MAX_BYTES:
        raise BadVideo(f"The file is larger than {MAX_BYTES // 2**20} MB; please cut it shorter.")
    if start.startswith(STILLS) or start[8:12] in (b"WEBP", *STILL_BRANDS):
        raise BadVideo("This is a picture, whatever its name says; open it in the tab Explore.")
    if not any(start[at:].startswith(names) for at, names in BEGINNINGS):
        raise BadVideo(f"The file is not a video that can be read here; {CHOOSE}.")
    return path


@contextmanager
def _opened(path: Path) -> Iterator[_Reel]:
    """Open a file with OpenCV, or a GIF with PIL where OpenCV can't; close it in the end."""
    try:
        file = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    except cv2.error:
        raise BadVideo(DAMAGED) from None
    try:
        reel = _by_opencv(file) if file.isOpened() else _by_pil(path)
        _check(reel)
        yield reel
    finally:
        file.release()


def _by_opencv(file: cv2.VideoCapture) -> _Reel:
    width = int(file.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(file.get(cv2.CAP_PROP_FRAME_HEIGHT))
    _check_size(width, height)
    fps, count = file.get(cv2.CAP_PROP_FPS), file.get(cv2.CAP_PROP_FRAME_COUNT)
    fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else 25.0
    if not 0 < count < MAX_SECONDS * 1000:
        count = 0 if count >= 0 else _counted(file)

    at = math.inf  # the frame that comes next

    def read(number: int) -> Image.Image | None:
        nonlocal at
        if 0 <= number - at <= NEAR:
            for _ in range(number - at):
                file.grab()
        else:
            file.set(cv2.CAP_PROP_POS_FRAMES, number)
        good, pixels = file.read()
        at = number + 1
        return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)) if good else None

    return _Reel(int(count), fps, width, height, read)


def _counted(file: cv2.VideoCapture) -> int:
    """Count the frames of a file that does not say how many it has (recorded in a browser)."""
    deadline, count = time.monotonic() + PATIENCE, 0
    while file.grab():
        count += 1
        if time.monotonic() > deadline:
            raise BadVideo(SLOW)
    return count


def _by_pil(path: Path) -> _Reel:
    try:
        image = Image.open(path, formats=("GIF",))
        _check_size(*image.size)
        total = getattr(image, "n_frames", 1)
        lasts = float(image.info.get("duration") or 100) / 1000
    except (*DAMAGE, Image.DecompressionBombError):
        raise BadVideo(DAMAGED) from None

    def read(number: int) -> Image.Image | None:
        try:
            image.seek(number)
            return image.convert("RGB")
        except DAMAGE:
            return None

    return _Reel(total, 1 / lasts, *image.size, read)


def _check_size(width: int, height: int) -> None:
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


def _check(reel: _Reel) -> None:
    if reel.total < 1:
        raise BadVideo("The video has no frames; please save it again or choose another one.")
    if reel.total == 1:
        raise BadVideo(DAMAGED if reel.read(0) is None else SINGLE)
    lasts = reel.total / reel.fps
    if lasts > MAX_SECONDS:
        raise BadVideo(
            f"The video lasts {in_words(lasts)}, and {MOST_FRAMES} frames of it would miss almost "
            "all; please cut out at most an hour."
        )


def _taken(reel: _Reel, numbers: list[int]) -> Clip:
    """Read some frames, keep them small, and say what could not be read."""
    deadline, frames, digests = time.monotonic() + PATIENCE, [], set()
    for number in numbers:
        if time.monotonic() > deadline:
            raise BadVideo(SLOW)
        image = reel.read(number)
        if image is None:
            continue
        small = image.copy()
        small.thumbnail((FRAME_SIDE, FRAME_SIDE))
        frames.append(Frame(open_picture(small), number, number / reel.fps))
        digests.add(frames[-1].picture.digest)
    if len(frames) < 2:
        raise BadVideo(DAMAGED)
    notes = []
    if len(frames) < len(numbers):
        missing = len(numbers) - len(frames)
        notes.append(f"{missing} of {len(numbers)} frames could not be read and are left out.")
    if len(digests) == 1:
        notes.append("All frames look the same.")
    return Clip(tuple(frames), reel.total, reel.total / reel.fps, tuple(notes))
