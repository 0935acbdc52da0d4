"""Own pictures of the tab "Failures": what can't be looked at is named, the rest is looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

from explorer.analyses.failures import Failure
from explorer.pico.data import scenes
from explorer.ui.session import UseCases
from explorer.ui.tab_messages import OwnPicturesMessage
from explorer.ui.tabs.failures import own_hits
from explorer.ui.web import uploads


@dataclass
class Judge:
    asked: list[str] = field(default_factory=list)

    def judge_pictures(self, asked, *how) -> list[Failure]:
        self.asked += [each.name for each in asked]
        return []


def test_an_upload_that_is_gone_is_named_and_the_next_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "get_upload_folder", lambda: str(tmp_path))
    there = tmp_path / "there.png"
    scenes.make(1).image.save(there)
    rows = [
        {"path": str(path), "name": path.name, "question": "what is it ?"}
        for path in (tmp_path / "gone.png", there)
    ]
    message = OwnPicturesMessage(method="fastv", budget=64, against="full", rows=rows)
    judge = Judge()
    (reply,) = own_hits(UseCases(judge_pictures=judge.judge_pictures), message, "pico")
    assert reply["bad"] == [f"gone.png: {uploads.NOT_UPLOADED}"]
    assert judge.asked == ["there.png"] and reply["looked"] == 2 and reply["done"]
    assert not there.exists(), "deleted once it has been looked at"
