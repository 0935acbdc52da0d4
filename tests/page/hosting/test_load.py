"""Many visitors at once, as `doctor --load` drives them: nobody gets an answer of another."""

from __future__ import annotations

from explorer.tools.bench import load


def test_many_visitors_get_their_own_answers(url, monkeypatch):
    report = load.measure(url, visitors=2, minutes=0.0)
    told = str(report)
    assert report.well and not report.otherwise, told
    assert "2 visitors, 12 answers" in told and "0 answers that belong" in told
    for kind in ("questions   2, median", "maps        2, median", "drags       8, median"):
        assert kind in told
    assert " MB before, " in told, "the server runs on this machine"
    (asked, text, took), *rest = report.said
    report.said = [(asked, f"{text} of somebody else", took), *rest]
    for says, mixed in ((f"{text} of somebody else", 0), (text, 1)):
        monkeypatch.setattr(load.Asked, "of", lambda *_, says=says: says)
        load._compare(url, report)
        assert (report.mixed, report.otherwise) == (mixed, 1)
