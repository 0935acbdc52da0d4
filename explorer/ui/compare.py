"""The tab "Compare": all methods on the open picture at one budget.

Layout and wiring only. What methods keep is in the case that the browser already has; it asks for
the answers that it doesn't know, and the reply grows while they are worked out.
"""

from __future__ import annotations

import math

import gradio as gr
import numpy as np

from explorer import comparison, jobs, zoo
from explorer.errors import VisitorError
from explorer.payload import answer_payload, rounded
from explorer.results import Chance, Compared, Comparison
from explorer.ui import parts, replies
from explorer.ui.desk import Desk

PACE = replies.Pace(at_once=64, handful=5)


def build(desk: Desk, visit: gr.State, on_model: dict) -> None:
    """Lay out the tab and wire it. visit: what the visitor looks at in the tab "Explore"."""
    given = {"draws": list(comparison.DRAWS)}
    board = parts.block(
        '<div class="vt-compare"></div>',
        "explorer.mountCompare(element, props, watch)",
        given | {"reply": None},
        elem_id="vt-compare",
    )
    asking = parts.sender("mountComparing", "work", "announce")
    replies.wire(asking, board, given, desk, desk.comparing, visit, on_model, PACE)


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
        question, methods = gr.Textbox(label="question"), gr.Textbox("", label="methods")
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
