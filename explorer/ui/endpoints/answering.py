"""The endpoints that answer: /analyse, /answer, /compare and /sweep.

Knows use cases and their JSON; not the page.
"""

from __future__ import annotations

from explorer.ui.endpoints.base import EndpointGroup, numbers, sentences, specs
from explorer.ui.payloads.answer import answer_payload, stages_payload
from explorer.ui.payloads.case import case_payload
from explorer.ui.payloads.comparison import comparison_payload
from explorer.ui.payloads.sweep import sweep_payload
from explorer.vlm.catalog import DEFAULT


class AnsweringEndpoints(EndpointGroup):
    """Answers of one method, of many, and over many budgets."""

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
        with sentences(model=model):
            request = self.request(model, image, question)
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
        with sentences(model=model, method=method):
            request = self.request(model, image, question)
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
        with sentences(model=model, methods=methods):
            request = self.request(model, image, question)
            found = use_cases.compare(request, budget, specs(methods), cache=cache)
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
        with sentences(model=model, methods=methods, budgets=budgets):
            request = self.request(model, image, question)
            chosen = specs(methods)
            found = use_cases.sweep(request, chosen, numbers(budgets), cache=cache)
        return sweep_payload(found)
