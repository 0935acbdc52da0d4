"""What the doctor does to a page: many visitors at once, and hostile calls of every kind."""

from __future__ import annotations

from explorer.tools.bench import hostile, load


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


def test_hostile_calls_break_nothing_and_a_visitor_is_answered_after_them(canned_url, monkeypatch):
    monkeypatch.setattr(hostile, "REST_SECONDS", 0.0)
    monkeypatch.setattr(hostile, "WORK_SECONDS", 0.0)
    report = hostile.measure(canned_url, calls=len(hostile.CALLS))
    assert report.answered and not report.faults, str(report)
    for grown, well in ((hostile.MAX_GROWTH, True), (hostile.MAX_GROWTH + 1, False)):
        report.memory = 1_000.0, 1_000.0 + grown
        assert report.well == well, str(report)
