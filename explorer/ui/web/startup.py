"""What has to be right before the page is served; what is not is told in one sentence, exit code 2.

Imports neither gradio nor torch, so that a fault is told at once. Knows files, ports and signals.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import re
import shutil
import signal
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explorer import ROOT
from explorer.errors import CannotStart, VisitorError

FAULT = 2  # exit code
LOCAL = "127.0.0.1"
MALLOC_ARENAS = 2  # heaps from which threads allocate; glibc takes eight for each core
MMAP_BYTES = 8_000_000  # from which on a block lies in no heap, and goes back at once: pictures
FREE_BYTES = 64_000_000  # at a heap's end, kept for the next block: pages are costly to get again
M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -8, -3, -1  # as glibc's malloc.h has them
TRIM_SECONDS = 30.0  # after which free memory goes back to the system: takes milliseconds
SCRIPT_IMPORT = re.compile(r'(?:from|import\()\s*"(\.[^"]+)"')


@contextmanager
def told() -> Iterator[None]:
    """End the process with one sentence where something can be put right."""
    try:
        yield
    except VisitorError as error:
        sentence = str(error)
    except FileNotFoundError as error:
        missing = Path(error.filename or "/")
        if not missing.is_relative_to(ROOT):
            raise
        sentence = f"The file {missing.relative_to(ROOT)} is missing; please clone again."
    else:
        return
    print(sentence, file=sys.stderr)
    sys.exit(FAULT)


def bound_heaps() -> None:
    """Let all threads allocate from a few heaps, and give back what lies free in them.

    To be called before there are other threads. A page computes in whatever thread is free: with a
    heap for each, what one frees is of no use to the next. And between two results that are
    remembered lie the holes of what was freed. Both grow for as long as new pictures come. Does
    nothing where the C library is not glibc.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt"):
        return
    libc.mallopt(M_ARENA_MAX, MALLOC_ARENAS)
    libc.mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)  # else it grows with every block that is freed;
    libc.mallopt(M_TRIM_THRESHOLD, FREE_BYTES)  # with it, this no longer grows by itself

    def trim() -> None:
        while True:
            time.sleep(TRIM_SECONDS)
            libc.malloc_trim(0)

    threading.Thread(target=trim, daemon=True, name="trim heaps").start()


def add_arguments(parser: ArgumentParser) -> None:
    """Offer where to listen."""
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine)")
    parser.add_argument("--port", type=int, default=None, help="port (default: 7860 or the next)")


def port(host: str | None, wanted: int | None) -> int | None:
    """Give the port that is asked for, if it is free; None where any will do.

    wanted: of the command line; else the variable GRADIO_SERVER_PORT counts. Raises `CannotStart`.
    """
    named = os.environ.get("GRADIO_SERVER_PORT", "")
    if wanted is None and not named:
        return None
    if wanted is None and not named.isdigit():
        raise CannotStart(f"GRADIO_SERVER_PORT is no port: {named!r}.")
    number = int(named) if wanted is None else wanted
    if not 0 <= number < 2**16:
        raise CannotStart(f"There is no port {number}; they are numbered from 0 to 65535.")
    try:
        family = socket.getaddrinfo(host or LOCAL, number, type=socket.SOCK_STREAM)[0]
        with socket.socket(*family[:2]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(family[4])
    except OSError as error:
        raise CannotStart(
            f"Port {number} of {host or 'this machine'} can't be used ({error}); choose another "
            "one with --port."
        ) from None
    return number


def check_scripts(page: Path = ROOT / "assets" / "page") -> None:
    """See that every script is there that another one imports, also those that are fetched late."""
    for file in page.rglob("*.js"):
        for target in SCRIPT_IMPORT.findall(file.read_text(encoding="utf-8")):
            (file.parent / target).resolve().stat()


def delete_at_the_end(folder: Path) -> None:
    """Delete a folder when this process ends, also by SIGTERM, which ends it at once."""

    def terminate(number: int, _: object) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    signal.signal(signal.SIGTERM, terminate)
