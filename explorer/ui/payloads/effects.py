"""The JSON of what pruning did to answers, for the tab "Effects" and the endpoint /effects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from explorer.analyses.effects.captions import Caption
from explorer.analyses.effects.probes import ProbeAnswer, ProbedThing
from explorer.analyses.effects.stability import Stability
from explorer.metrics.effects.pope import Confusion
from explorer.ui.payloads.encoding import rounded

COUNTED = ("hallucinated", "lost", "fixed", "broken")


def effects_payload(
    probed: Sequence[ProbedThing], captions: Sequence[Caption], firm: Stability
) -> dict:
    """Describe everything that was asked about one picture."""
    return {
        "probes": [probed_payload(each) for each in probed],
        "totals": totals_payload(probed),
        "captions": [caption_payload(each) for each in captions],
        "stability": stability_payload(firm),
    }


def probed_payload(found: ProbedThing) -> dict:
    """Describe what was said about one thing."""
    return {
        "thing": found.thing.name,
        "there": found.thing.there,
        "why": found.thing.why,
        "question": found.thing.question,
        "boxes": [list(box) for box in found.thing.boxes],
        "full": _cell(found.full),
        "answers": [_cell(each) for each in found.answers],
        "errors": list(found.errors),
    }


def _cell(each: ProbeAnswer) -> dict:
    return {
        "method": each.method,
        "budget": each.budget,
        "wished": each.wished,
        "text": each.text,
        "yes": rounded(each.share_yes),
        "p_yes": rounded(each.p_yes),
        "p_no": rounded(each.p_no),
        "says_yes": each.says_yes,
        "mistake": each.mistake,
        "change": each.change,
        "covered": rounded(each.covered),
    }


def totals_payload(found: Iterable[ProbedThing]) -> list[dict]:
    """Sum up the probes of one picture: a row for the full run and for each method and budget."""
    rows: dict[tuple[str, int], list[tuple[ProbeAnswer, bool]]] = {}
    for probed in found:
        for each in (probed.full, *probed.answers):
            rows.setdefault((each.method, each.wished), []).append((each, probed.thing.there))
    return [_total(*row, given) for row, given in rows.items()]


def _total(method: str, wished: int, given: list[tuple[ProbeAnswer, bool]]) -> dict:
    counts = Confusion.of([each.says_yes for each, _ in given], [there for _, there in given])
    named = [name for each, _ in given for name in (each.mistake, each.change)]
    return {
        "method": method,
        "wished": wished,
        "n": counts.n,
        "accuracy": rounded(counts.accuracy),
        "precision": rounded(counts.precision),
        "recall": rounded(counts.recall),
        "f1": rounded(counts.f1),
        "yes_ratio": rounded(counts.yes_ratio),
        **{name: named.count(name) for name in COUNTED},
    }


def caption_payload(found: Caption) -> dict:
    """Describe a caption. mentions: characters from start to stop, and whether that is there.

    word, words: the first word, counted by blanks, and how many; a map is asked for by them.
    """
    hallucinated = set(found.read.hallucinated)
    return {
        "method": found.method,
        "budget": found.budget,
        "wished": found.wished,
        "text": found.text,
        "mentions": [
            {
                "thing": each.thing,
                "start": each.start,
                "stop": each.stop,
                "there": each not in hallucinated,
                "word": len(found.text[: each.start].split()),
                "words": len(found.text[each.start : each.stop].split()),
            }
            for each in found.read.mentions
        ],
        "chair_i": rounded(found.read.chair_i),
        "chair_s": found.read.chair_s,
        "recall": rounded(found.read.recall),
        "length": found.length,
        "verdict_changes": found.verdict_changes,
    }


def stability_payload(found: Stability) -> dict:
    """Describe how firmly an answer stands."""
    return {
        "method": found.method,
        "full": found.full,
        "rungs": [vars(rung) for rung in found.rungs],
        "k_star": found.k_star,
        "flips": found.flips,
        "budget": found.budget,
        "subsets": list(found.subsets),
        "subsets_keep": rounded(found.subsets_keep),
        "method_keeps": found.method_keeps,
        "asked": [vars(each) for each in found.asked],
    }
