"""How scripts get to a browser: which files, under which address, how long they are kept."""

from __future__ import annotations

import re
import shutil

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from explorer.ui.web import scripts


@pytest.fixture(params=["", "/some/path"], ids=["at the root", "below a path"])
def client(request) -> TestClient:
    """The app that serves the files; below a path, which the proxy in front of it takes away."""
    return TestClient(Starlette(**scripts.web_app()), root_path=request.param)


def test_what_the_page_fetches_at_once_is_there_and_kept(client):
    head = scripts.head()
    addresses = re.findall(r'href="\.([^"]+)"', head) + re.findall(r'URL\("\.([^"]+)"', head)
    assert len(addresses) > 20 and addresses[0] == addresses[-1] == f"{scripts.folder()}/main.js"
    for address in addresses:
        found = client.get(address)
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/javascript")
        assert "immutable" in found.headers["cache-control"]


def test_style_sheets_and_plotly_are_served_beside_the_scripts(client):
    style = client.get(f"{scripts.folder()}/compare/compare.css")
    assert style.headers["content-type"].startswith("text/css") and ".vt-mini" in style.text
    plotly = client.get(f"{scripts.folder()}/plotly.min.js")
    assert plotly.status_code == 200 and plotly.headers["content-encoding"] == "gzip"
    plain = client.get(f"{scripts.folder()}/plotly.min.js", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == plotly.content


@pytest.mark.parametrize(
    "name",
    ["", "nothing.js", "../leaderboard/leaderboard.csv", "..%2f..%2fapp.py", "%2fetc%2fhosts"],
)
def test_nothing_else_of_the_disk_is_served(client, name):
    assert client.get(f"{scripts.folder()}/{name}").status_code == 404


def test_another_version_has_another_address_and_the_old_one_is_gone(monkeypatch, tmp_path):
    page = tmp_path / "page"
    shutil.copytree(scripts.PAGE, page)
    monkeypatch.setattr(scripts, "PAGE", page)
    before = scripts.folder()
    assert scripts.folder() == before
    (page / "explore" / "share.css").write_text("p { color: red }")
    assert scripts.folder() != before
    client = TestClient(Starlette(**scripts.web_app()))
    assert client.get(f"{before}/main.js").status_code == 404
    assert client.get(f"{scripts.folder()}/main.js").status_code == 200


def test_other_tabs_are_not_fetched_with_the_page():
    needed = scripts.needed()
    tabs = ("compare", "sweep", "debug", "failures", "video", "methods")
    assert not [name for name in needed if name.startswith(tabs)]
    assert ".vt-stage" in scripts.styles() and ".vt-matrix" not in scripts.styles()
