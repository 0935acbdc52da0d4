"""The endpoint /oracle: what an answer rests on, for scripts and as an MCP tool. Wiring only."""

from __future__ import annotations

import gradio as gr

from explorer import jobs, zoo
from explorer.errors import VisitorError
from explorer.importance import Target
from explorer.ui import parts
from explorer.ui.debug import importance_payload
from explorer.ui.desk import Desk


def endpoint(desk: Desk, on_model: dict) -> None:
    """Offer the oracle to scripts: /oracle."""

    def oracle(
        image: str,
        question: str,
        answer: str = "",
        way: str = "removed",
        model: str = zoo.DEFAULT,
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
            *_, found = jobs.oracle(model, image, question, target, way, desk.memory)
        except VisitorError as error:
            raise gr.Error(str(error), print_exception=False) from error
        return importance_payload(found) | {"values": [float(f"{x:.5g}") for x in found.values]}

    with gr.Row(visible=False):
        image = parts.PictureInput(type="filepath", label="image")
        question, answer = gr.Textbox(label="question"), gr.Textbox("", label="answer")
        way, model = gr.Textbox("removed", label="way"), gr.Textbox(zoo.DEFAULT, label="model")
        out, run = gr.JSON(label="result"), gr.Button()
    inputs = [image, question, answer, way, model]
    run.click(oracle, inputs, out, api_name="oracle", **on_model)
