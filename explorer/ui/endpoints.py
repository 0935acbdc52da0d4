"""The public endpoints for scripts and MCP: /analyse, /answer, /compare, /sweep and others.

Knows use cases and their JSON; not the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr

from explorer.analyses.attribution.target import Target
from explorer.analyses.effects import things
from explorer.cases.generation import FULL
from explorer.cases.request import CaseRequest
from explorer.errors import BadBudget, BadMessage, VisitorError
from explorer.methods import catalog
from explorer.methods.catalog import MAX_SPEC
from explorer.ui import components
from explorer.ui.messages import MAX_SPECS
from explorer.ui.payloads.answer import answer_payload, stages_payload
from explorer.ui.payloads.attribution import importance_payload
from explorer.ui.payloads.case import case_payload
from explorer.ui.payloads.comparison import comparison_payload
from explorer.ui.payloads.diagnosis import diagnosis_payload
from explorer.ui.payloads.effects import effects_payload
from explorer.ui.payloads.inside import (
    inside_payload,
    map_payload,
    reads_payload,
    removal_payload,
)
from explorer.ui.payloads.sweep import sweep_payload
from explorer.ui.requests import ModelQueue
from explorer.ui.session import AppState
from explorer.vlm.catalog import DEFAULT


def build(app_state: AppState, model_queue: ModelQueue) -> None:
    """Offer the use cases to scripts; what they can pass is read off functions and components."""
    endpoints = Endpoints(app_state)
    with gr.Row(visible=False):
        image = components.PictureInput(type="filepath", label="image")
        question, model = gr.Textbox(label="question"), gr.Textbox(DEFAULT, label="model")
        method, methods = gr.Textbox("clsattn", label="method"), gr.Textbox("", label="methods")
        budget = components.BudgetInput(64, label="budget")
        budgets = gr.Textbox("", label="budgets")
        there, absent = gr.Textbox("", label="there"), gr.Textbox("", label="absent")
        answer, way = gr.Textbox("", label="answer"), gr.Textbox("removed", label="way")
        truth = gr.Textbox("", label="truth")
        layer, head = (gr.Number(-1, label=name, precision=0) for name in ("layer", "head"))
        keys = gr.Number(64, label="keys", precision=0)
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
            [image, question, method, budget, layer, head, keys, model],
            long_jobs,
        ),
    }
    for function, (inputs, queue) in served.items():
        handler, name = queue.serve(function), function.__name__
        run.click(handler, inputs, result, api_name=name, **queue.settings)


MAX_TEXT = {
    "model": 100,
    "method": MAX_SPEC,
    "methods": MAX_SPECS * MAX_SPEC,
    "budgets": 500,
    "answer": 8_000,
    "there": 1_000,
    "absent": 1_000,
    "way": 20,
    "truth": 200,
}  # characters; the question's are counted by who reads it


@contextmanager
def _sentences(**texts: str) -> Iterator[None]:
    """Tell a script what it can put right; everything else is a mistake of ours.

    texts: by the names of their arguments; none may be longer than any that makes sense.
    """
    try:
        for name, text in texts.items():
            if len(text or "") > MAX_TEXT[name]:
                raise BadMessage(f"{name} has at most {MAX_TEXT[name]} characters.")
        yield
    except VisitorError as error:
        raise gr.Error(str(error), print_exception=False) from error


@dataclass(frozen=True)
class Endpoints:
    """The functions that scripts call; their docstrings are what MCP tells of them."""

    app_state: AppState

    def analyse(self, image: str, question: str, model: str = DEFAULT) -> dict:
        """Score every patch of a picture by every pruning method, and answer a question about it.

        Args:
            image: the picture
            question: the question, at most 500 characters
            model: key of the model, such as "pico"

        Returns:
            grid, scores and kept sets of every method (arrays as base64), and the full answer
        """
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with _sentences(model=model):
            request = CaseRequest.make(model, image, question)
            return case_payload(use_cases.analyse(request, cache=cache))

    def answer(
        self,
        image: str,
        question: str,
        method: str,
        budget: int,
        model: str = DEFAULT,
    ) -> dict:
        """Answer a question about a picture from the visual tokens that a pruning method keeps.

        Args:
            image: the picture
            question: the question, at most 500 characters
            method: key of the method, such as "visionzip", or "full" for all tokens
            budget: visual tokens kept, averaged over the layers of the language model
            model: key of the model, such as "pico"

        Returns:
            the answer with probabilities, tokens per layer, seconds (full_seconds: of the full run
            that it is compared with), FLOPs, fidelity, and MDI and AEI with the numbers of text
            (|T|), image (|O|) and answer tokens that they count; in with_first the prompt's first
            token (BOS), an attention sink, counts as text. In notes, what was done to the picture
        """
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with _sentences(model=model, method=method):
            request = CaseRequest.make(model, image, question)
            found = use_cases.answer(request, method, budget, cache=cache)
        return answer_payload(found) | {
            "stages": stages_payload(found),
            "notes": list(request.picture.notes),
        }

    def compare(
        self, image: str, question: str, budget: int, methods: str = "", model: str = DEFAULT
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
            what random does that counts positions alike and drops at the same layers, whether the
            method is below all draws of that one; what random does before the language model, draw
            by draw; Jaccard and Spearman matrices; how many methods keep each patch
        """
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with _sentences(model=model, methods=methods):
            request = CaseRequest.make(model, image, question)
            found = use_cases.compare(request, budget, _specs(methods), cache=cache)
        return comparison_payload(found)

    def sweep(
        self,
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
            answer, its probability and MDI at every budget; what random does that counts positions
            alike and drops at the same layers; the same of random before the language model, draw
            by draw
        """
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with _sentences(model=model, methods=methods, budgets=budgets):
            request = CaseRequest.make(model, image, question)
            chosen = _specs(methods)
            found = use_cases.sweep(request, chosen, _numbers(budgets), cache=cache)
        return sweep_payload(found)

    def oracle(
        self,
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
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with _sentences(model=model, answer=answer, way=way):
            target = Target(text=answer.strip() or None)
            request = CaseRequest.make(model, image, question)
            *_, found = use_cases.explain(request, target, way, cache=cache)
        return importance_payload(found) | {"values": [float(f"{x:.5g}") for x in found.values]}

    def diagnose(
        self,
        image: str,
        question: str,
        method: str,
        budget: int,
        truth: str = "",
        model: str = DEFAULT,
    ) -> dict:
        """Tell why the answer about a picture fails after pruning, with the evidence.

        Args:
            image: the picture
            question: the question, at most 500 characters
            method: key of the method, such as "visionzip"
            budget: visual tokens kept, averaged over the layers of the language model
            truth: the right answer, such as "a cat"; empty where nobody knows it: the full answer
                stands in for it then
            model: key of the model, such as "pico"

        Returns:
            a verdict ("nothing broke", "the model was wrong anyway", "it answers without looking",
            "positions shifted", "merging blurred the evidence", "what matters is where tokens
            leave", "the evidence was dropped" or "not explained"), a sentence with its reason, the
            patches whose return restores the answer, and every step with what it found
        """
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with _sentences(model=model, method=method, truth=truth):
            request = CaseRequest.make(model, image, question)
            about = (method, budget, truth.strip() or None)
            *_, found = use_cases.diagnose(request, *about, cache=cache)
        return diagnosis_payload(found)

    def inside(
        self,
        image: str,
        question: str,
        method: str = "clsattn",
        budget: int = 64,
        layer: int = -1,
        head: int = -1,
        keys: int = 64,
        model: str = DEFAULT,
    ) -> dict:
        """Tell what each word of an answer reads, and behind which layer the answer stands.

        Args:
            image: the picture
            question: the question, at most 500 characters
            method: key of the method whose run stands beside the full one, such as "visionzip"
            budget: visual tokens kept, averaged over the layers of the language model
            layer: of the attention to patches, counted from 0; -1 for the mean of all
            head: one of that layer's; -1 for the mean of all
            keys: how many cached keys TidalDecode and TokenSelect may read at every step
            model: key of the model, such as "pico"

        Returns:
            of the full and of the pruned run: attention to patches per word (base64), its shares
            per word and layer (picture, question, template, first token, own words), the most
            probable tokens read off behind every layer, the layer from behind which the answer
            stands, and tokens per layer; what TidalDecode and TokenSelect would read; the answer
            with all visual tokens gone before each layer
        """
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with _sentences(model=model, method=method):
            request = CaseRequest.make(model, image, question)
            runs = {"full": (FULL, 1), "pruned": (method, budget)}
            told = {
                name: inside_payload(use_cases.look_inside(request, *run, cache=cache))
                for name, run in runs.items()
            }
            for name, run in runs.items():
                shown = ("attention", layer, head)
                found = use_cases.patch_map(request, *run, *shown, cache=cache)
                told[name]["attention"] = map_payload(found)
            told["reads"] = reads_payload(
                use_cases.read_keys(request, FULL, 1, keys, keys, cache=cache)
            )
            *_, removal = use_cases.remove_by_layer(request, cache=cache)
            told["removal"] = [removal_payload(each) for each in removal]
        return told

    def effects(
        self,
        image: str,
        question: str,
        there: str = "",
        absent: str = "",
        method: str = "clsattn",
        budget: int = 64,
        model: str = DEFAULT,
    ) -> dict:
        """Tell what pruning does to answers about a picture besides saving time.

        Args:
            image: the picture
            question: the question whose answer is tried for stability, at most 500 characters
            there: things that are in the picture, with commas; words for the same thing parted by
                "/", such as "dog/puppy, ball"
            absent: things that are not in the picture
            method: key of the method, such as "visionzip"; its random is always asked as well
            budget: visual tokens of ten random choices that the answer is tried with
            model: key of the model, such as "pico"

        Returns:
            probes: per thing "is there a ...?" with all tokens and at 75, 50, 25 and 10 % of them:
                P(yes), what was said, hallucinated or lost, fixed or broken against all tokens;
                totals: the same counted, with POPE's accuracy, precision, recall and F1; captions
                with CHAIRi, CHAIRs and recall, where `there` is given; stability: K*, flips, the
                share of random choices that keep the answer, other wordings and the converse
        """
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with _sentences(model=model, method=method, there=there, absent=absent):
            request = CaseRequest.make(model, image, question)
            named, asked = things.groups(there), things.typed(there, absent)
            firm = use_cases.stability(request, method, budget, cache=cache)
            probed = list(use_cases.probe(request, asked, method, cache=cache))
            told = list(use_cases.describe(request, named, method, cache=cache)) if named else []
        return effects_payload(probed, told, firm)


def _names(text: str) -> list[str]:
    """Read "fastv, visionzip"."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _specs(text: str) -> list[str] | None:
    """Read "fastv, visionzip", each method once; None for nothing. Raises `BadMessage`."""
    specs = catalog.unique(_names(text))
    if len(specs) > MAX_SPECS:
        raise BadMessage(f"One call takes at most {MAX_SPECS} methods.")
    return specs or None


def _numbers(text: str) -> list[int] | None:
    """Read "16, 64, 196"; None for nothing. Raises `BadBudget`."""
    words = _names(text)
    for word in words:
        if not (word.isascii() and word.isdigit()):
            raise BadBudget(f"Budgets are whole numbers separated by commas, not {word!r}.")
    return [int(word) for word in words] or None
