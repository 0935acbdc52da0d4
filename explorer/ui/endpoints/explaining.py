"""The endpoints that explain answers: /oracle, /diagnose, /inside and /effects.

Knows use cases and their JSON; not the page.
"""

from __future__ import annotations

from explorer.analyses.attribution.target import Target
from explorer.analyses.effects import things
from explorer.cases.generation import FULL
from explorer.ui.endpoints.base import EndpointGroup, sentences
from explorer.ui.payloads.attribution import importance_payload
from explorer.ui.payloads.diagnosis import diagnosis_payload
from explorer.ui.payloads.effects import effects_payload
from explorer.ui.payloads.inside import (
    inside_payload,
    map_payload,
    reads_payload,
    removal_payload,
)
from explorer.vlm.catalog import DEFAULT


class ExplainingEndpoints(EndpointGroup):
    """What an answer rests on, why it fails, what is inside it, and what pruning does to it."""

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
        with sentences(model=model, answer=answer, way=way):
            target = Target(text=answer.strip() or None)
            request = self.request(model, image, question)
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
        with sentences(model=model, method=method, truth=truth):
            request = self.request(model, image, question)
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
        what: str = "attention",
    ) -> dict:
        """Tell what each word of an answer reads, and behind which layer the answer stands.

        Args:
            image: the picture
            question: the question, at most 500 characters
            method: key of the method whose run stands beside the full one, such as "visionzip"
            budget: visual tokens kept, averaged over the layers of the language model
            layer: of the map of patches, counted from 0; -1 for the mean of all
            head: one of that layer's, of the attention; -1 for the mean of all
            keys: how many cached keys TidalDecode and TokenSelect may read at every step
            model: key of the model, such as "pico"
            what: the map shows: "attention" of every word, "rollout" of it through all layers,
                "norm" of a layer's tokens, their "change" in a layer, norms in the "tower" or of
                each "token" before the language model

        Returns:
            of the full and of the pruned run: that map under its name (base64), attention's shares
            per word and layer (picture, question, template, first token, own words), the most
            probable tokens read off behind every layer, the layer from behind which the answer
            stands, and tokens per layer; what TidalDecode and TokenSelect would read; the answer
            with all visual tokens gone before each layer
        """
        use_cases, cache = self.app_state.use_cases, self.app_state.cache
        with sentences(model=model, method=method):
            request = self.request(model, image, question)
            runs = {"full": (FULL, 1), "pruned": (method, budget)}
            told = {
                name: inside_payload(use_cases.look_inside(request, *run, cache=cache))
                for name, run in runs.items()
            }
            for name, run in runs.items():
                found = use_cases.patch_map(request, *run, what, layer, head, cache=cache)
                told[name][what] = map_payload(found)
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
        with sentences(model=model, method=method, there=there, absent=absent):
            request = self.request(model, image, question)
            named, asked = things.groups(there), things.typed(there, absent)
            firm = use_cases.stability(request, method, budget, cache=cache)
            probed = list(use_cases.probe(request, asked, method, cache=cache))
            told = list(use_cases.describe(request, named, method, cache=cache)) if named else []
        return effects_payload(probed, told, firm)
