"""What becomes of uploads that are cut, too large, cancelled, or left behind."""

from __future__ import annotations

import asyncio
import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder

from explorer.ui.web import uploads
from explorer.ui.web.uploads import UploadLimits, VisitorFiles


class Uploading:
    """An upload of which only a part comes, behind the limits; then what an app makes of it."""

    def __init__(self, app) -> None:
        self.limits, self.sent = UploadLimits(app), []

    def run(self, *parts: bytes) -> str:
        waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]

        async def receive() -> dict:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        async def send(message: dict) -> None:
            self.sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": []}
        with ThreadPoolExecutor(1) as other:  # a browser's loop may run in this thread
            other.submit(asyncio.run, self.limits(scope, receive, send)).result()
        return b"".join(each.get("body", b"") for each in self.sent).decode()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def test_an_upload_that_says_nothing_of_its_size_is_counted_as_it_comes(folder, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_REQUEST", 10)

    async def app(scope, receive, send) -> None:
        while (await receive())["type"] == "http.request":
            (folder / "tmp1").touch()

    assert "at most" in Uploading(app).run(b"x" * 6, b"x" * 6)
    assert list(folder.iterdir()) == []


def test_one_more_upload_waits_until_another_has_ended(folder, monkeypatch):
    """Twenty visitors who bring a picture at the same moment: none is sent away."""
    under_way, most, sent = 0, 0, []

    async def app(scope, receive, send) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        await send({"type": "http.response.start", "status": 200})

    async def everybody(limits: UploadLimits, many: int) -> None:
        async def send(message: dict) -> None:
            sent.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": []}
        await asyncio.gather(*(limits(scope, None, send) for _ in range(many)))

    def run(many: int) -> None:
        with ThreadPoolExecutor(1) as other:
            other.submit(asyncio.run, everybody(UploadLimits(app), many)).result()

    run(3 * uploads.MAX_AT_ONCE)
    assert sent == [200] * 3 * uploads.MAX_AT_ONCE and most <= uploads.MAX_AT_ONCE
    sent.clear()
    monkeypatch.setattr(uploads, "PATIENCE", 0)
    run(3 * uploads.MAX_AT_ONCE)
    assert 503 in sent and 200 in sent, "nobody waits for ever"


def test_what_a_cut_upload_has_left_is_deleted_and_what_was_brought_stays(folder):
    (folder / "hash").mkdir()
    (folder / "hash" / "picture.png").touch()

    async def app(scope, receive, send) -> None:
        while (await receive())["type"] == "http.request":
            (folder / "tmp1").touch()

    Uploading(app).run(b"x")
    assert [file.name for file in folder.rglob("*")] == ["hash", "picture.png"]


def test_a_full_disk_gets_one_sentence(folder):
    async def app(scope, receive, send) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    uploading = Uploading(app)
    assert uploading.run(b"x").startswith("The server has no room")
    assert uploading.sent[0]["status"] == 507


def test_a_file_goes_when_its_visitor_leaves_or_brings_another_one(tmp_path):
    files, paths = VisitorFiles(), [tmp_path / name for name in "abc"]
    for path in paths:
        path.touch()
    files.keep("one", str(paths[0]))
    files.keep("two", str(paths[0]))
    files.keep("one", str(paths[1]))
    assert paths[0].exists(), "the other visitor brought the same"
    files.forget("two")
    assert not paths[0].exists() and paths[1].exists()
    files.forget("one")
    assert [path.exists() for path in paths] == [False, False, True]


def test_a_process_deletes_what_one_that_was_killed_has_left(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    left, alive, other = (tmp_path / f"{uploads.PREFIX}{n}" for n in (2**22 + 1, 1, "word"))
    for each in (left, alive, other):
        each.mkdir()
    own = uploads.own_folder()
    assert Path(get_upload_folder()) == own and own.is_dir()
    assert [each.exists() for each in (left, alive, other)] == [False, True, True]
