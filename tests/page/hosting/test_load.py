"""Many visitors at once, as `doctor --load` drives them: nobody gets an answer of another."""

from __future__ import annotations

from explorer.tools.bench import load


def test_many_visitors_get_their_own_answers(url):
    report = load.measure(url, visitors=4, minutes=0.0)
    assert report.well, str(report)
    assert len(report.seconds) == 4 and "0 answers that belong" in str(report)
    (asked, text), *rest = report.said
    assert load._mixed([(asked, f"{text} of somebody else"), *rest]) == 1
