"""The tab "Sweep": several methods over a ladder of budgets on the open picture.

Layout and wiring only. The browser asks for the answers that it doesn't know, keeps them where the
other tabs look, too, and draws them with the plotly.js that comes with the package `plotly`.
"""

from __future__ import annotations

import gradio as gr

from explorer import comparison, jobs, sweeps, zoo
from explorer.errors import BadBudget, VisitorError
from explorer.payload import answer_payload, rounded
from explorer.results import Answer, Chance, Sweep, Swept
from explorer.ui import parts, replies
from explorer.ui.desk import Desk

PACE = replies.Pace(at_once=128, handful=12)  # five methods and five draws at once


def build(desk: Desk, visit: gr.State, on_model: dict) -> None:
    """Lay out the tab and wire it. visit: what the visitor looks at in the tab "Explore"."""
    gr.set_static_paths([parts.PLOTLY])  # never fetched from elsewhere
    given = {"draws": list(comparison.DRAWS), "first": list(sweeps.FIVE)}
    board = parts.block(
        '<div class="vt-sweep"></div>',
        "explorer.mountSweep(element, props, watch)",
        given | {"reply": None},
        elem_id="vt-sweep",
    )
    asking = parts.sender("mountSweeping", "work", "announce")
    replies.wire(asking, board, given, desk, desk.sweeping, visit, on_model, PACE)


def endpoint(desk: Desk, on_model: dict) -> None:
    """Offer the sweep to scripts: /sweep."""

    def sweep(
        image: str, question: str, methods: str = "", budgets: str = "", model: str = zoo.DEFAULT
    ) -> dict:
        """Let pruning methods answer over a ladder of budgets: where does the answer break?

        Args:
            image: the picture
            question: the question, at most 500 characters
            methods: keys separated by commas, such as "fastv, visionzip"; empty for five that
                differ. Several draws of random are always among them
            budgets: visual tokens kept, averaged over the layers of the language model: numbers
                separated by commas; empty for about 12 of them up to all tokens
            model: key of the model, such as "pico"

        Returns:
            per method K* (from this budget on every larger one gives the full answer), how often
            the answer flips, the area under the probability of the full answer, the floor, and the
            answer, its probability and MDI at every budget; the same of random, draw by draw
        """
        named = [name.strip() for name in methods.split(",") if name.strip()]
        try:
            ladder = _numbers(budgets)
            found = jobs.sweep(model, image, question, named or None, ladder, desk.memory)
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return sweep_payload(found)

    with gr.Row(visible=False):
        image = parts.PictureInput(type="filepath", label="image")
        question, methods = gr.Textbox(label="question"), gr.Textbox("", label="methods")
        budgets, model = gr.Textbox("", label="budgets"), gr.Textbox(zoo.DEFAULT, label="model")
        out, run = gr.JSON(label="result"), gr.Button()
    inputs = [image, question, methods, budgets, model]
    run.click(sweep, inputs, out, api_name="sweep", **on_model)


def _numbers(text: str) -> list[int] | None:
    """Read "16, 64, 196"; None for nothing. Raises `BadBudget`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise BadBudget(f"Budgets are whole numbers separated by commas, not {word!r}.")
    return [int(word) for word in words] or None


def sweep_payload(found: Sweep) -> dict:
    """Describe a sweep as JSON; a figure that does not exist is null."""
    chances = zip(found.budgets, found.random, strict=True)
    return {
        "case": found.case,
        "tokens": found.tokens,
        "budgets": list(found.budgets),
        "full": answer_payload(found.full),
        "per_token": found.per_token,
        "methods": [_swept(each) for each in found.methods],
        "draws": [_swept(each) for each in found.draws],
        "random": [_chance(budget, chance) for budget, chance in chances],
    }


def _swept(each: Swept) -> dict:
    points = zip(each.budgets, each.answers, each.likeness, strict=True)
    return {
        "method": each.method,
        "floor": each.floor,
        "k_star": each.safe,
        "flips": each.flips,
        "area": rounded(each.area),
        "area_of_random": rounded(each.area_random),
        "error": each.error,
        "points": [_point(*point) for point in points],
    }


def _point(budget: int, answer: Answer | None, likeness: float | None) -> dict:
    if answer is None:
        return {"budget": budget, "text": None}
    stages = answer.dominance.stages if answer.dominance else {}
    return {
        "budget": budget,
        "text": answer.text,
        "same": answer.same,
        "likeness": rounded(likeness),
        "p_full": rounded(answer.p_full),
        "tokens_at_last_layer": answer.final,
        "mdi": {name: rounded(mdi) for name, (mdi, _) in stages.items()},
    }


def _chance(budget: int, chance: Chance | None) -> dict:
    if chance is None:
        return {"budget": budget}
    return {
        "budget": budget,
        "likeness": rounded(chance.likeness),
        "spread": rounded(chance.spread),
        "same": chance.same,
    }
