"""What a visitor may send: sizes, names of sessions, uploads; and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import httpx
import pytest
from gradio.utils import get_upload_folder

from explorer.ui.web import request_limits, uploads
from explorer.ui.web.request_limits import MAX_SESSION
from explorer.ui.web.uploads import UploadLimits, VisitorFiles


@pytest.fixture
def api(url) -> str:
    return f"{url}/gradio_api"


def test_names_of_sessions_are_short_wherever_they_stand(api):
    long, right = "s" * (MAX_SESSION + 1), "s" * MAX_SESSION
    body = {"data": [], "fn_index": 0}
    for path in ("queue/join", "call/answer", "run/answer", "cancel"):
        response = httpx.post(f"{api}/{path}", json=body | {"session_hash": long})
        assert response.status_code == 400 and "session" in response.text, path
    for path in (f"heartbeat/{long}", f"queue/data?session_hash={long}"):
        assert httpx.get(f"{api}/{path}").status_code == 400
    assert httpx.post(f"{api}/queue/join", json=body | {"session_hash": right}).is_success


def test_what_is_larger_than_any_message_is_refused_as_a_whole(api, monkeypatch):
    monkeypatch.setattr(request_limits, "MAX_BODY", 1_000)
    response = httpx.post(f"{api}/queue/join", json={"data": ["&" * 2_000], "session_hash": "s"})
    assert response.status_code == 413 and response.text.endswith(".")
    assert httpx.get(f"{api}/info?{'a' * 20_000}").status_code == 414


def test_what_the_page_has_no_use_for_is_not_there(api):
    for path in ("component_server", "component_server/", "process_recording", "vibe-edit"):
        assert httpx.post(f"{api}/{path}", json={}).status_code == 404, path
    assert httpx.get(f"{api}/deep_link?session_hash=s").status_code == 404


def send(api: str, *sizes: int) -> httpx.Response:
    files = [("files", (f"{n}.png", b"x" * size, "image/png")) for n, size in enumerate(sizes)]
    return httpx.post(f"{api}/upload", files=files, timeout=60)


def test_an_upload_is_one_file_and_all_together_have_a_limit(api, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_REQUEST", 3_000)
    assert send(api, 2_000).is_success
    several = send(api, 1_500, 1_500, 1_500)
    assert several.status_code == 413 and several.text.endswith(".")
    monkeypatch.setattr(uploads, "MAX_TOTAL", 3_000)
    monkeypatch.setattr(uploads, "_total", lambda: 2_000)
    assert send(api, 2_000).status_code == 507
    assert not [file for file in Path(get_upload_folder()).glob("*") if file.is_file()]


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
        asyncio.run(self.limits(scope, receive, send))
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
