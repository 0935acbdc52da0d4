"""The public endpoints for scripts and MCP: /analyse, /answer, /compare, /sweep and /oracle.

Knows use cases and their JSON; not the page.
"""

from __future__ import annotations

import gradio as gr

from explorer.analyses.attribution.importance import Target
from explorer.errors import BadBudget, VisitorError
from explorer.ui import components
from explorer.ui.payloads.answer import answer_payload, stages_payload
from explorer.ui.payloads.attribution import importance_payload
from explorer.ui.payloads.case import case_payload
from explorer.ui.payloads.comparison import comparison_payload
from explorer.ui.payloads.sweep import sweep_payload
from explorer.ui.session import AppState
from explorer.vlm.catalog import DEFAULT


def oracle_endpoint(app_state: AppState, model_queue: dict) -> None:
    """Offer the oracle to scripts: /oracle."""

    def oracle(
        image: str,
        question: str,
        answer: str = "",
        way: str = "removed",
        model: str = DEFAULT,
    ) -> dict:
        """Tell how much an answer about a picture rests on each patch, measured with captum.

        Args:
            image: the picture
            question: the question, at most 500 characters
            answer: the answer to explain, such as "a cat"; empty for the model's own
            way: "removed" leaves one patch out at a time; "mean" and "zero" replace it;
                "gradients" are integrated gradients; "shapley" samples Shapley values of 2 x 2
                patches; "occlusion" paints over squares of the picture
            model: key of the model, such as "pico"

        Returns:
            one signed value per visual token, above zero where it speaks for the answer; the
            answer's log-probability from all tokens (full) and from none; whether the answer hardly
            depends on the picture (weak)
        """
        try:
            target = Target(text=answer.strip() or None)
            *_, found = app_state.use_cases.oracle(
                model, image, question, target, way, app_state.memory
            )
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return importance_payload(found) | {"values": [float(f"{x:.5g}") for x in found.values]}

    with gr.Row(visible=False):
        image = components.PictureInput(type="filepath", label="image")
        question, answer = gr.Textbox(label="question"), gr.Textbox("", label="answer")
        way, model = gr.Textbox("removed", label="way"), gr.Textbox(DEFAULT, label="model")
        out, run = gr.JSON(label="result"), gr.Button()
    inputs = [image, question, answer, way, model]
    run.click(oracle, inputs, out, api_name="oracle", **model_queue)


def compare_endpoint(app_state: AppState, model_queue: dict) -> None:
    """Offer the comparison to scripts: /compare."""

    def compare(
        image: str, question: str, budget: int, methods: str = "", model: str = DEFAULT
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
            found = app_state.use_cases.compare(
                model, image, question, budget, chosen or None, app_state.memory
            )
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return comparison_payload(found)

    with gr.Row(visible=False):
        image = components.PictureInput(type="filepath", label="image")
        question, methods = gr.Textbox(label="question"), gr.Textbox("", label="methods")
        budget = gr.Number(64, label="budget", precision=0)
        model = gr.Textbox(DEFAULT, label="model")
        out, run = gr.JSON(label="result"), gr.Button()
    inputs = [image, question, budget, methods, model]
    run.click(compare, inputs, out, api_name="compare", **model_queue)


def case_endpoints(app_state: AppState, model_queue: dict) -> None:
    """Offer the use cases to scripts: /analyse and /answer (others come from their own tabs)."""

    def analyse(image: str, question: str, model: str = DEFAULT) -> dict:
        """Score every patch of a picture by every pruning method, and answer a question about it.

        Args:
            image: the picture
            question: the question, at most 500 characters
            model: key of the model, such as "pico"

        Returns:
            grid, scores and kept sets of every method (arrays as base64), and the full answer
        """
        try:
            return case_payload(
                app_state.use_cases.analyse(model, image, question, app_state.memory)
            )
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def answer(image: str, question: str, method: str, budget: int, model: str = DEFAULT) -> dict:
        """Answer a question about a picture from the visual tokens that a pruning method keeps.

        Args:
            image: the picture
            question: the question, at most 500 characters
            method: key of the method, such as "visionzip", or "full" for all tokens
            budget: visual tokens kept, averaged over the layers of the language model
            model: key of the model, such as "pico"

        Returns:
            the answer with probabilities, tokens per layer, seconds, FLOPs, fidelity, MDI and AEI
        """
        try:
            found = app_state.use_cases.answer(
                model, image, question, method, budget, app_state.memory
            )
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return answer_payload(found) | {"stages": stages_payload(found)}

    with gr.Row(visible=False):
        image = components.PictureInput(type="filepath", label="image")
        question, method = gr.Textbox(label="question"), gr.Textbox("clsattn", label="method")
        budget = gr.Number(64, label="budget", precision=0)
        model = gr.Textbox(DEFAULT, label="model")
        out, run = gr.JSON(label="result"), gr.Button()
    run.click(analyse, [image, question, model], out, api_name="analyse", **model_queue)
    run.click(
        answer, [image, question, method, budget, model], out, api_name="answer", **model_queue
    )


def sweep_endpoint(app_state: AppState, model_queue: dict) -> None:
    """Offer the sweep to scripts: /sweep."""

    def sweep(
        image: str,
        question: str,
        methods: str = "",
        budgets: str = "",
        model: str = DEFAULT,
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
            found = app_state.use_cases.sweep(
                model, image, question, named or None, ladder, app_state.memory
            )
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return sweep_payload(found)

    with gr.Row(visible=False):
        image = components.PictureInput(type="filepath", label="image")
        question, methods = gr.Textbox(label="question"), gr.Textbox("", label="methods")
        budgets, model = gr.Textbox("", label="budgets"), gr.Textbox(DEFAULT, label="model")
        out, run = gr.JSON(label="result"), gr.Button()
    inputs = [image, question, methods, budgets, model]
    run.click(sweep, inputs, out, api_name="sweep", **model_queue)


def _numbers(text: str) -> list[int] | None:
    """Read "16, 64, 196"; None for nothing. Raises `BadBudget`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise BadBudget(f"Budgets are whole numbers separated by commas, not {word!r}.")
    return [int(word) for word in words] or None
