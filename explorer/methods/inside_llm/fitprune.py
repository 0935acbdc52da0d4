"""FitPrune: a recipe fitted offline says how many tokens leave each layer, attention says which.

Ye, Wu, Lin, Zhou, "Fit and Prune: Fast and Training-free Visual Token Pruning for Multi-modal Large
Language Models", AAAI 2025, arXiv 2409.10197. Official code: ywh187/FitPrune @d28e418,
LLaVA_1.5/llava/model/language_model/modeling_llama.py; the fit: llava/eval/statistical_analysis.py.
The recipes are in ops/recipes.py; `python -m explorer fitprune-recipe` fits one for another model,
or for a single picture.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from explorer.methods.inside_llm import token_schedule
from explorer.methods.inside_llm.token_schedule import InsideLLM
from explorer.methods.method import Card, option
from explorer.methods.ops.recipes import RECIPES
from explorer.methods.signals import Signals, Size, Stage

RECIPE_MEANS = "the authors' recipes for LLaVA-1.5-7B, or those fitted on scenes for that model"


@dataclass(frozen=True)
class FitPrune(InsideLLM):
    """What neither words nor picture look at leaves, a few tokens in every layer."""

    card = Card(
        key="fitprune",
        title="FitPrune",
        authors="Ye, Wu, Lin, Zhou",
        year=2024,
        arxiv="2409.10197",
        repository="ywh187/FitPrune",
        commit="d28e418c9209",
        verified=(
            "Scores and kept sets of every layer, logits, answers and cache lengths, the shipped "
            "recipes, and the statistics and recipes of the fit equal those of the official code "
            "on 2 recorded runs of tiny random models."
        ),
        uncertain=(
            "Known from code, README and abstract; the paper was not read. On which samples the "
            "shipped recipes were fitted is open, and so is whether the paper multiplies the two "
            "attentions, as the code does here, or takes what is low in both, as its fit does. "
            "Mixing and stretching recipes for other budgets and depths is ours, and so is the "
            "FLOPs count of the fit, within a point of theirs. A recipe of the picture at hand is "
            "no setting here, as where tokens leave is known before a picture is: a command fits "
            "one."
        ),
        sentence=(
            "Deletes a few patches in every layer, as many as a recipe fitted on other pictures "
            "says: those that neither the words nor the rest of the picture look at."
        ),
        equation="s_j = Σ_text max_h A_h[t, j] · 1/n Σ_v max_h A_h[v, j]; the smallest leave",
        headline=(
            "LLaVA-NeXT: 54.9 % fewer FLOPs at an accuracy 0.5 % lower; a recipe takes about five "
            "minutes. Abstract."
        ),
        traps=(
            "Not trained, but calibrated: unless its setting `recipe` names another model, the "
            "recipe was fitted on LLaVA-1.5-7B and is only stretched. Rows are causal: patches at "
            "the top of the picture are looked at by more of the others."
        ),
        score_means="attention from the words times attention from the picture",
    )
    needs = frozenset({"tail_attention", "visual_received"})
    reads_question = True
    nested = False
    slow = True  # a stage behind almost every layer: its map runs the whole model many times
    positions = "keep"
    recipe: str = option(*RECIPES, meaning=RECIPE_MEANS)

    def layers(self, size: Size) -> list[int]:
        """Tokens may leave behind every layer; deleting them in the last one changes nothing."""
        return list(range(1, size.layers))

    def smallest(self, size: Size) -> list[Stage]:
        """A single token is left after the first layer."""
        return [Stage(1, 1)]

    def stages(self, size: Size, budget: int) -> list[Stage]:
        """Mix or shrink the fitted curves until the mean fits; take one as it is where it does."""
        recipes = RECIPES[self.recipe]
        shares, fitted = recipes.shares(size.layers, budget / size.tokens)
        counts = [max(1, int(size.tokens * share + 1e-6)) for share in shares[1:]]
        if fitted and size.tokens == recipes.tokens and size.layers == len(recipes.deleted[0]):
            return token_schedule.steps(size, self.layers(size), counts)
        return token_schedule.hand_out(size, budget, self.layers(size), counts)

    def score(self, signals: Signals) -> Tensor:
        """Give cross_j self_j of the layer that has just run, [N]."""
        cross = signals.tail_attention.float().amax(0).sum(0)  # head maximum, over the words
        own = signals.visual_received.float() / signals.count  # the same from the picture's tokens
        return cross * own
