"""What a visitor may send: sizes, names of sessions, uploads; and what is left of it afterwards."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from gradio.utils import get_upload_folder

from explorer.ui.web import request_limits, uploads
from explorer.ui.web.request_limits import MAX_SESSION


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


def test_large_messages_are_taken_from_open_pages_alone(api):
    """What else is kept of whoever sends it, forty times 10 MB, is what made memory grow."""
    large = {"data": ["&" * 400_000], "fn_index": 0}
    for session in ("nobody", "visitor"):
        told = httpx.post(f"{api}/queue/join", json=large | {"session_hash": session})
        assert told.status_code == 413 and told.text == "A request has at most 300 kB here."
    with httpx.stream("GET", f"{api}/heartbeat/visitor") as alive:
        lines = alive.iter_lines()  # closed with its last reference, and the connection with it
        assert next(lines) is not None
        join = f"{api}/queue/join"
        assert httpx.post(join, json=large | {"session_hash": "visitor"}).is_success
        assert httpx.post(join, json=large | {"session_hash": "nobody"}).status_code == 413
        assert httpx.post(join, json={"session_hash": "visitor"} | large).status_code == 413
        assert lines
    assert httpx.post(f"{api}/call/answer", json={"data": ["&" * 400_000]}).status_code == 413


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


def test_no_address_leads_out_of_the_uploads(api):
    """Paths that climb, other schemes and Gradio's proxy: nothing of the disk, nothing fetched."""
    secret = Path(__file__).resolve()
    inside = Path(get_upload_folder()).resolve()
    climbing = f"{inside}/../{'../' * 20}{secret}"
    tried = [
        f"file={path}" for path in (secret, climbing, "/etc/passwd", "/dev/zero", "/proc/1/mem")
    ]
    tried += [f"file=file://{secret}", f"file=http://127.0.0.1:9/{secret}", f"file={inside}"]
    tried += [f"proxy=http://127.0.0.1:9{secret}", f"proxy=file://{secret}", "page/../../../app.py"]
    tried += [path.replace("/", "%2f").replace("..", "%2e%2e") for path in tried]
    for path in tried:
        told = httpx.get(f"{api}/{path}", timeout=60)
        assert told.status_code >= 400, path
        assert "test_no_address" not in told.text and "root:" not in told.text, path


def test_a_page_or_drawing_that_somebody_uploads_never_runs_in_a_browser(api):
    script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    for name in ("a.html", "a.svg", "a.xhtml", "a.png"):
        [path] = httpx.post(f"{api}/upload", files=[("files", (name, script))], timeout=60).json()
        told = httpx.get(f"{api}/file={path}", timeout=60)
        harmless = told.headers.get("content-type", "").startswith("image/png")
        saved = told.headers.get("content-disposition", "").startswith("attachment")
        assert told.status_code >= 400 or harmless or saved, (name, told.headers)
