"""The guard in front of videos: a few frames of a file become plain RGB pictures.

What a file is, its first bytes say, not its name; only containers that hold the video themselves
are opened (a playlist could name other files). Only the frames that are asked for are kept, so that
memory does not grow with the length; where a container can be trusted to tell how many there are
(reel.py), only they are decoded. Knows nothing of models, patches or pages.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from explorer.errors import BadVideo
from explorer.media.image import Picture, open_picture
from explorer.media.reel import DAMAGED, MAX_SECONDS, SLOW, Reel, deadline, open_reel

MOST_FRAMES = 16
MAX_BYTES = 100 * 1024 * 1024
FRAME_SIDE = 512  # pixels of the longer side that are kept; no model here looks closer at a frame

CHOOSE = "please choose an MP4, WebM or GIF file"
SINGLE = "The video has only one frame; open it as a picture in the tab Explore instead."

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
    def nbytes(self) -> int:
        """Bytes of the frames in memory."""
        return sum(frame.picture.nbytes for frame in self.frames)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits, equal for equal frames."""
        text = "\n".join(frame.picture.digest for frame in self.frames)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_video(
    source: str | Path | None, count: int = 4, seconds: Sequence[float] | None = None
) -> Clip:
    """Take `count` frames evenly over a video, first and last among them, or those at `seconds`.

    Raises BadVideo with one sentence that says what to do.
    """
    with open_reel(_checked(source)) as reel:
        _check(reel)
        numbers = even(reel.total, count) if seconds is None else _at(seconds, reel)
        return _taken(reel, numbers)


def from_images(images: Sequence[Image.Image], fps: float, count: int) -> Clip:
    """Take `count` frames evenly from pictures that are already there, as from a video."""
    reel = Reel(len(images), len(images) / fps, lambda number: images[number])
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


def _at(seconds: Sequence[float], reel: Reel) -> list[int]:
    """Find the frames that are shown at some seconds."""
    late = [second for second in seconds if not 0 <= second <= reel.lasts]
    if late:
        raise BadVideo(f"The video has no second {late[0]:g}: it lasts {in_words(reel.lasts)}.")
    numbers = sorted({reel.number(second) for second in seconds})
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


def _check(reel: Reel) -> None:
    if reel.total < 1:
        raise BadVideo("The video has no frames; please save it again or choose another one.")
    if reel.total == 1:
        raise BadVideo(DAMAGED if reel.read(0) is None else SINGLE)
    if reel.lasts > MAX_SECONDS:
        raise BadVideo(
            f"The video lasts {in_words(reel.lasts)}, and {MOST_FRAMES} frames of it would miss "
            "almost all; please cut out at most an hour."
        )


def _taken(reel: Reel, numbers: list[int]) -> Clip:
    """Read some frames, keep them small, and say what could not be read."""
    end, frames, digests = deadline(), [], set()
    for number in numbers:
        if time.monotonic() > end:
            raise BadVideo(SLOW)
        image = reel.read(number)
        if image is None:
            continue
        small = image.copy()
        small.thumbnail((FRAME_SIDE, FRAME_SIDE))
        frames.append(Frame(open_picture(small), number, reel.second(number)))
        digests.add(frames[-1].picture.digest)
    if len(frames) < 2:
        raise BadVideo(DAMAGED)
    notes = []
    if len(frames) < len(numbers):
        missing = len(numbers) - len(frames)
        notes.append(f"{missing} of {len(numbers)} frames could not be read and are left out.")
    if len(digests) == 1:
        notes.append("All frames look the same.")
    return Clip(tuple(frames), reel.total, reel.lasts, tuple(notes))
