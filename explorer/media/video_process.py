"""Opens a video in a process of its own, which can be ended; a decoder's call can't.

A file may say that decoding can start at its first frame alone: looking up the last one then
decodes all, an hour of them in one call. Others make a decoder take memory, or end its process.
Knows processes and bytes; what a video is, video.py knows. Run as a command, this is that process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
from PIL import Image

from explorer import ROOT
from explorer.errors import BadVideo
from explorer.media.image import open_picture
from explorer.media.reel import DAMAGED, SLOW
from explorer.media.video import Clip, Frame, open_video

COMMAND = (sys.executable, "-m", "explorer.media.video_process")
SECONDS = 30.0  # that it may take,
CPU_SECONDS = 60  # on all cores together,
MEMORY = 2_000_000_000  # and bytes besides its own
NICENESS = 5  # by which it comes behind answers
POLL_SECONDS = 0.1
MAX_AT_ONCE = 2
BUSY = "Others are opening videos at this moment; please try again in a minute."

_PLACES = threading.BoundedSemaphore(MAX_AT_ONCE)


def open_in_process(
    source: str | Path | None,
    count: int = 4,
    seconds: Sequence[float] | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Clip:
    """Open a video as `video.open_video` does, which tells what the arguments are.

    meanwhile: called ten times a second; the process is ended with the error that it may raise.
    Raises BadVideo also where it takes too long, or more than its share of memory.
    """
    wanted = {"source": source and str(source), "count": count, "seconds": seconds}
    until = time.monotonic() + SECONDS
    while not _PLACES.acquire(timeout=POLL_SECONDS):
        meanwhile()
        if time.monotonic() > until:
            raise BadVideo(BUSY)
    try:
        return _clip(_output(json.dumps(wanted).encode(), meanwhile))
    finally:
        _PLACES.release()


def _output(sent: bytes | None, meanwhile: Callable[[], None]) -> bytes:
    """Run the process, and give what it has written."""
    # without this variable, which would have it set up for a GPU
    environment = {name: told for name, told in os.environ.items() if name != "SPACES_ZERO_GPU"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    until = time.monotonic() + SECONDS
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, **pipes) as process:
        try:
            while True:
                try:
                    written, _ = process.communicate(sent, timeout=POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    sent = None  # what is not yet through goes on by itself
                    meanwhile()
                    if time.monotonic() > until:
                        raise BadVideo(SLOW) from None
        finally:
            process.kill()
    if process.returncode < 0:  # by a signal: its decoder has failed, or taken too much
        raise BadVideo(DAMAGED)
    if process.returncode:
        raise RuntimeError(f"the process for a video has ended with {process.returncode}")
    return written


def _clip(written: bytes) -> Clip:
    """Read what the process has written: a line of JSON, and the pixels of all frames behind it."""
    line, _, pixels = written.partition(b"\n")
    told = json.loads(line)
    if "bad" in told:
        raise BadVideo(told["bad"])
    frames, at = [], 0
    for width, height, number, second in told["frames"]:
        end = at + 3 * width * height
        image = Image.frombytes("RGB", (width, height), pixels[at:end])
        frames.append(Frame(open_picture(image), number, second))
        at = end
    return Clip(tuple(frames), told["total"], told["seconds"], tuple(told["notes"]))


# ---- inside the process --------------------------------------------------------------------------


def _bound() -> None:
    """Let this process come behind others, and end where it takes too much."""
    if sys.platform != "linux":
        return
    import resource

    os.nice(NICENESS)
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Read what is wanted, and write the frames."""
    wanted = json.load(sys.stdin)
    _bound()
    images: list[Image.Image] = []
    try:
        clip = open_video(wanted["source"], wanted["count"], wanted["seconds"])
    except BadVideo as error:
        told = {"bad": str(error)}
    except (MemoryError, cv2.error):
        told = {"bad": DAMAGED}
    else:
        images = [frame.picture.image for frame in clip.frames]
        frames = [
            [*image.size, frame.number, frame.second]
            for image, frame in zip(images, clip.frames, strict=True)
        ]
        told = {"frames": frames, "total": clip.total}
        told |= {"seconds": clip.seconds, "notes": clip.notes}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")
    for image in images:
        sys.stdout.buffer.write(image.tobytes())


if __name__ == "__main__":
    main()
