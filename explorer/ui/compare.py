"""The tab "Compare": all methods on the open picture at one budget.

Layout and wiring only. What methods keep is in the case that the browser already has; it asks for
the answers that it doesn't know, and the reply grows while they are worked out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import gradio as gr
import numpy as np

from explorer import comparison, jobs, together, zoo
from explorer.errors import VisitorError
from explorer.payload import answer_payload, rounded
from explorer.results import Chance, Compared, Comparison
from explorer.ui import parts
from explorer.ui.desk import Desk, Visit

AT_ONCE = {True: 64, False: 8}  # answers of one event; few where a model takes its time
MOST = 200  # wishes that are looked at
PAUSE, HANDFUL = 0.3, 5  # seconds between two replies, or so many answers


def build(desk: Desk, visit: gr.State, on_model: dict) -> None:
    """Lay out the tab and wire it. visit: what the visitor looks at in the tab "Explore"."""
    board = parts.block(
        '<div class="vt-compare"></div>',
        "explorer.mountCompare(element, props, watch)",
        {"draws": list(comparison.DRAWS), "reply": None},
        elem_id="vt-compare",
    )
    asking = parts.block(
        "<i hidden></i>",
        "explorer.mountComparing(element, props, trigger) /* 'compare' 'announce' */",
        elem_classes="vt-sender",
    )

    def announce(asked: dict, request: gr.Request) -> None:
        desk.comparing.announce(request.session_hash, _ticket(asked))

    def work_out(asked: dict, visit: Visit, request: gr.Request) -> Iterator[dict]:
        wishes, ticket = _wishes(asked), _ticket(asked)

        def stale() -> bool:
            return desk.comparing.stale(request.session_hash, ticket)

        if not wishes or asked.get("case") != visit.id or stale():
            return
        for reply in _replies(desk, visit, wishes, stale):
            yield {"draws": list(comparison.DRAWS), "reply": reply | {"ticket": ticket}}

    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    asking.announce(announce, [asking], None, queue=False, **quiet)
    asking.compare(work_out, [asking, visit], [board], **quiet, **on_model)


def _ticket(asked: object) -> int:
    ticket = asked.get("ticket") if isinstance(asked, dict) else None
    return ticket if isinstance(ticket, int) else 0


def _wishes(asked: object) -> list[together.Wanted]:
    """Read what the browser wants: pairs of a method's spec and a budget."""
    wanted = asked.get("wanted") if isinstance(asked, dict) else None
    pairs = wanted[:MOST] if isinstance(wanted, list) else []
    return [
        (pair[0], pair[1])
        for pair in pairs
        if isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], int)
    ]


def _replies(
    desk: Desk, visit: Visit, wishes: list[together.Wanted], stop: Callable[[], bool]
) -> Iterator[dict]:
    """Give what is known by now, again and again: a page may miss a reply, but not the last one."""
    case = (visit.model, visit.picture, visit.question)
    told: list[dict] = []
    error = None

    def reply(done: bool = False) -> dict:
        return {"case": visit.id, "answers": list(told), "done": done, "error": error}

    try:
        known = together.remembered(*case, wishes, desk.memory)
        told += [_told(each, visit) for each in known]
        if told:
            yield reply()
        done = {(each.method, each.budget) for each in known}
        left = [wish for wish in wishes if wish not in done]
        left = left[: AT_ONCE[zoo.entry(visit.model).live]]
        sent, last = len(told), 0.0
        for each in jobs.several(*case, left, desk.memory, stop):
            told.append(_told(each, visit))
            # Every reply costs some 60 ms on its way, more than most answers do.
            if time.monotonic() - last > PAUSE or len(told) - sent >= HANDFUL:
                yield reply()
                sent, last = len(told), time.monotonic()
    except VisitorError as failure:
        error = str(failure)
    if not stop():
        yield reply(done=True)


def _told(each: together.Told, visit: Visit) -> dict:
    if each.answer is not None:
        return answer_payload(each.answer, visit.truth, visit.id)
    return {
        "case": visit.id,
        "method": each.method,
        "budget": each.budget,
        "error": each.error,
    }


def endpoint(desk: Desk, on_model: dict) -> None:
    """Offer the comparison to scripts: /compare."""

    def compare(
        image: str, question: str, budget: int, methods: str = "", model: str = zoo.DEFAULT
    ) -> dict:
        """Let pruning methods answer at one budget, and measure how far they agree.

        Args:
            image: the picture
            question: the question, at most 500 characters
            budget: visual tokens kept, averaged over the layers of the language model
            methods: keys separated by commas, such as "fastv, visionzip"; empty for all
            model: key of the model, such as "pico"

        Returns:
            per method (random, uniform and pool always among them) the answer, the kept patches,
            whether it does worse than random; what random does over several draws; Jaccard and
            Spearman matrices; how many methods keep each patch
        """
        chosen = [name.strip() for name in methods.split(",") if name.strip()]
        try:
            found = jobs.compare(model, image, question, budget, chosen or None, desk.memory)
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return comparison_payload(found)

    with gr.Row(visible=False):
        image = parts.PictureInput(type="filepath", label="image")
        question, methods = gr.Textbox(label="question"), gr.Textbox(label="methods")
        budget = gr.Number(64, label="budget", precision=0)
        model = gr.Textbox(zoo.DEFAULT, label="model")
        out, run = gr.JSON(label="result"), gr.Button()
    inputs = [image, question, budget, methods, model]
    run.click(compare, inputs, out, api_name="compare", **on_model)


def comparison_payload(found: Comparison) -> dict:
    """Describe a comparison as JSON; a figure that does not exist is null."""
    return {
        "case": found.case,
        "budget": found.budget,
        "tokens": found.tokens,
        "full": answer_payload(found.full),
        "per_token": found.per_token,
        "methods": [_compared(each) for each in found.methods],
        "random": _chance(found.random),
        "jaccard": _matrix(found.jaccard),
        "spearman": _matrix(found.spearman),
        "disputed": found.disputed.tolist(),
        "notes": list(found.notes),
    }


def _compared(each: Compared) -> dict:
    return {
        "method": each.method,
        "budget": each.budget,
        "reached": each.reached,
        "kept": each.kept.tolist(),
        "likeness": rounded(each.likeness),
        "worse_than_random": each.worse,
        "select_seconds": rounded(each.select_seconds),
        "answer": None if each.answer is None else answer_payload(each.answer),
        "error": each.error,
    }


def _chance(random: Chance) -> dict:
    return {
        "likeness": rounded(random.likeness),
        "spread": rounded(random.spread),
        "same": random.same,
        "draws": [answer_payload(answer) for answer in random.draws],
    }


def _matrix(values: np.ndarray) -> list[list[float | None]]:
    return [[None if math.isnan(x) else round(x, 4) for x in row] for row in values.tolist()]
