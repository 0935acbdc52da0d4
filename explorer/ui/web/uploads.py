"""Files of visitors: which of them a message may name, how many there may be, and when they go.

Every process has a folder of its own, which is deleted when it ends; one that a killed process has
left is deleted when the next begins. Gradio looks only at messages that say of themselves that they
hold a file, and has no limit but that of one file. Knows the folder of uploads; opens nothing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import stat
import tempfile
import threading
from pathlib import Path

from gradio.utils import get_upload_folder
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.errors import CannotStart, NotUploaded
from explorer.ui.web.request_limits import is_upload

LOG = logging.getLogger(__name__)
NOT_UPLOADED = "This file was not uploaded here; please choose it anew."
MAX_FILE = 100_000_000  # bytes of a video; a picture of more than 10 MB gets a sentence
MAX_REQUEST = MAX_FILE + 100_000  # and of what stands around it: one upload is one file
MAX_TOTAL = 1_000_000_000  # bytes of all uploads that are there
MAX_KEPT = 100  # visitors whose file is kept
MAX_AT_ONCE = 8  # uploads under way,
PATIENCE = 20  # and seconds for which others wait for one of them to end
SECONDS = 600  # that an upload may take
PREFIX = "explorer-uploads-"  # of the folder of a process, whose number stands behind it
FULL = (errno.ENOSPC, errno.EDQUOT)


def own_folder() -> Path:
    """Make the folder of this process, tell Gradio of it, and delete those of processes that ended.

    Raises `CannotStart` where no folder can be made.
    """
    try:
        # what is named is meant: Python would go on to another folder where it can't be used
        named = os.environ.get("GRADIO_TEMP_DIR") or os.environ.get("TMPDIR")
        base = Path(named or tempfile.gettempdir())
        for left in base.glob(f"{PREFIX}*"):
            number = left.name.removeprefix(PREFIX)
            if number.isdigit() and not Path(f"/proc/{number}").exists() and _dead(int(number)):
                shutil.rmtree(left, ignore_errors=True)
        folder = base / f"{PREFIX}{os.getpid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "probe").touch()
        (folder / "probe").unlink()
    except OSError as error:
        raise CannotStart(
            f"Uploads can't be kept ({error}); set TMPDIR to a folder that exists and can be "
            "written to."
        ) from None
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # the one way to tell Gradio
    return folder


def _dead(number: int) -> bool:
    """Tell whether no process has this number."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False


def check(path: str | None) -> str:
    """Give the path of an uploaded file; `NotUploaded` for every other, whether it exists or not.

    Links are followed before the look: what lies elsewhere, a folder or a device is no upload.
    """
    try:
        real = Path(path or "").resolve(strict=True)
        is_file = stat.S_ISREG(real.stat().st_mode)
    except (OSError, ValueError, RuntimeError):  # missing; a null byte; a link to itself
        raise NotUploaded(NOT_UPLOADED) from None
    if not is_file or not real.is_relative_to(Path(get_upload_folder()).resolve()):
        raise NotUploaded(NOT_UPLOADED)
    return str(real)


def discard(path: str) -> None:
    """Delete an upload that nobody needs any more."""
    Path(path).unlink(missing_ok=True)


class VisitorFiles:
    """The upload that each visitor still needs: it goes when he leaves or brings another one."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}
        self._lock = threading.Lock()

    def keep(self, visitor: str, path: str) -> None:
        """Note that a visitor needs a file, and delete the one that he had before."""
        with self._lock:
            before = self._paths.pop(visitor, path)
            self._paths[visitor] = path
            oldest = next(iter(self._paths)) if len(self._paths) > MAX_KEPT else None
        if before != path:
            self.discard(before)
        if oldest is not None:
            self.forget(oldest)

    def forget(self, visitor: str) -> None:
        """Delete the file of a visitor who has left."""
        with self._lock:
            path = self._paths.pop(visitor, None)
        if path is not None:
            self.discard(path)

    def discard(self, path: str) -> None:
        """Delete a file unless a visitor still needs it."""
        with self._lock:
            shared = path in self._paths.values()  # the same file, brought by two visitors
        if not shared:
            discard(path)


class UploadLimits:
    """Stands before Gradio's uploads: one file each, a total, and no rests of those cut short."""

    def __init__(self, app: ASGIApp):
        self.app, self._under_way = app, 0
        self._places = asyncio.Semaphore(MAX_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take an upload, or refuse it with a sentence."""
        if scope["type"] != "http" or not is_upload(scope):
            await self.app(scope, receive, send)
            return
        length = int(dict(scope["headers"]).get(b"content-length", b"0") or 0)
        if length > MAX_REQUEST:
            await _too_large()(scope, receive, send)
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._places.acquire()
        except TimeoutError:
            await _busy()(scope, receive, send)
            return
        self._under_way += 1
        try:
            if _total() + length > MAX_TOTAL:
                await _no_room()(scope, receive, send)
            else:
                await self._take(scope, receive, send)
        finally:
            self._places.release()
            self._under_way -= 1
            if not self._under_way:
                _delete_rests()

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken, began = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_REQUEST:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        refusal = None
        try:
            async with asyncio.timeout(SECONDS):
                await self.app(scope, counted, watched)
        except _TooLarge:
            refusal = _too_large()
        except ClientDisconnect:  # cut short: nobody is there to be told
            return
        except TimeoutError:
            refusal = PlainTextResponse("This upload has taken too long.", 408)
        except OSError as error:
            if error.errno not in FULL:
                raise
            LOG.warning("no room for uploads: %s", error)
            refusal = _no_room()
        if refusal is not None and not began:
            await refusal(scope, receive, send)


class _TooLarge(Exception):
    """More bytes have come than a request may have."""


def _too_large() -> PlainTextResponse:
    return PlainTextResponse(f"An upload has at most {MAX_FILE // 1_000_000} MB.", 413)


def _busy() -> PlainTextResponse:
    return PlainTextResponse("Others are uploading; please try again in a minute.", 503)


def _no_room() -> PlainTextResponse:
    sentence = "The server has no room for more uploads at this moment; please try again later."
    return PlainTextResponse(sentence, 507)


def _total() -> int:
    """Count the bytes of all uploads."""
    return sum(_size(file) for file in Path(get_upload_folder()).rglob("*"))


def _size(file: Path) -> int:
    try:
        found = file.lstat()
    except OSError:  # deleted in this moment
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _delete_rests() -> None:
    """Delete what uploads that were cut short have left: files that lie in no folder of a name."""
    for file in Path(get_upload_folder()).glob("*"):
        if file.is_file():
            file.unlink(missing_ok=True)
