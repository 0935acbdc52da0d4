"""The public endpoints for scripts and MCP: /analyse, /answer, /compare, /sweep and others.

Knows use cases and their JSON; not the page.
"""

from __future__ import annotations

import gradio as gr

from explorer.ui import components
from explorer.ui.endpoints.answering import AnsweringEndpoints
from explorer.ui.endpoints.explaining import ExplainingEndpoints
from explorer.ui.session import AppState
from explorer.ui.web.model_queue import ModelQueue
from explorer.vlm.catalog import DEFAULT


class Endpoints(AnsweringEndpoints, ExplainingEndpoints):
    """All functions that scripts call."""


def build(app_state: AppState, model_queue: ModelQueue) -> None:
    """Offer the use cases to scripts; what they can pass is read off functions and components."""
    endpoints = Endpoints(app_state)
    with gr.Row(visible=False):
        image = components.PictureInput(type="filepath", label="image")
        question, model = gr.Textbox(label="question"), gr.Textbox(DEFAULT, label="model")
        method, methods = gr.Textbox("clsattn", label="method"), gr.Textbox("", label="methods")
        budget = components.WholeInput(64, label="budget")
        budgets = gr.Textbox("", label="budgets")
        there, absent = gr.Textbox("", label="there"), gr.Textbox("", label="absent")
        answer, way = gr.Textbox("", label="answer"), gr.Textbox("removed", label="way")
        truth = gr.Textbox("", label="truth")
        layer, head = (components.WholeInput(-1, label=name) for name in ("layer", "head"))
        keys, what = components.WholeInput(64, label="keys"), gr.Textbox("attention", label="what")
        result, run = gr.JSON(label="result"), gr.Button()
    long_jobs = model_queue.of_long_jobs  # others come before these
    served = {
        endpoints.analyse: ([image, question, model], model_queue),
        endpoints.answer: ([image, question, method, budget, model], model_queue),
        endpoints.compare: ([image, question, budget, methods, model], long_jobs),
        endpoints.sweep: ([image, question, methods, budgets, model], long_jobs),
        endpoints.oracle: ([image, question, answer, way, model], long_jobs),
        endpoints.effects: ([image, question, there, absent, method, budget, model], long_jobs),
        endpoints.diagnose: ([image, question, method, budget, truth, model], long_jobs),
        endpoints.inside: (
            [image, question, method, budget, layer, head, keys, model, what],
            long_jobs,
        ),
    }
    for function, (inputs, queue) in served.items():
        handler, name = queue.serve(function), function.__name__
        run.click(handler, inputs, result, api_name=name, **queue.settings)
