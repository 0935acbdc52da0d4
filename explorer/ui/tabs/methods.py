"""The tab "Methods": a card per method, with its equation, what it looks at, and its settings.

Layout and wiring only. What a card says comes from the method's own card; where a method looks
is read off the signals that it names. A changed setting asks for one new map, and nothing else.
"""

from __future__ import annotations

import inspect

import gradio as gr

from explorer.methods import catalog
from explorer.methods.method import Card, Method
from explorer.methods.signals import Size
from explorer.ui import components
from explorer.ui.payloads.method import badges

# Where a signal is found: parts of the small drawing on a card.
PLACES = {
    "tower": (
        "cls_attention", "first_cls_attention", "early_cls_attention", "last_cls_attention",
        "last_cls_logits", "wide_cls_attention", "object_attention", "patch_attention",
        "patch_logits", "keys", "last_keys", "hidden", "cls_hidden", "patch_embeds", "rerun_tower",
    ),
    "projector": ("features", "project", "project_difference", "inputs"),
    "question": ("question", "embed", "tail", "text_embeds", "question_attention", "relevance_net"),
    "llm": (
        "last_attention", "next_last_attention", "tail_attention", "next_tail_attention",
        "unrotated_attention", "visual_received", "pagerank", "visual_to_tail", "visual_attention",
        "visual_keys", "joined_keys", "global_attention", "key_norms", "tail_key_norms",
        "normed", "tail_normed", "rotated_ones", "tail_rotated_ones", "transitions", "neurons",
        "rotary_frequencies", "transitions", "neurons",
        "values", "tail_values", "other_values", "rotary",
    ),
    "answer": ("explain",),
}  # fmt: skip
DRAWN = Size(tokens=576, layers=32, columns=24)  # LLaVA-1.5, on which the papers report


def build() -> gr.HTML:
    """Lay out the tab."""
    return components.html_block(
        '<div class="vt-cards"></div>',
        "mountMethods",
        {"cards": [card_payload(each) for each in (*catalog.METHODS, *catalog.OF_VIDEOS)]},
        elem_id="vt-cards",
    )


def card_payload(method: type[Method]) -> dict:
    """Collect what a method's card says; "positions" is the authors' own way.

    Values are texts, as a spec writes them: a browser's 1 would not be the 1.0 that is offered.
    """
    card = method.card
    return {
        "key": card.key,
        "title": card.title,
        "group": catalog.group_of(method),
        "of_videos": method in catalog.OF_VIDEOS,
        "source": source(card),
        "paper": card.paper,
        "arxiv": card.arxiv,
        "repository": card.repository,
        "commit": card.commit,
        "sentence": card.sentence,
        "equation": card.equation,
        "headline": card.headline,
        "verified": card.verified,
        "uncertain": card.uncertain,
        "traps": method.traps(),
        "badges": badges(method()),
        "positions": method().positions,
        "looks": looks(method),
        "drops": drops(method()),
        "options": {name: list(map(str, each.values)) for name, each in method.options().items()},
        "meanings": {name: each.meaning for name, each in method.options().items()},
        "variants": [
            {
                "label": each.label,
                "meaning": each.meaning,
                "options": {name: str(value) for name, value in each.options.items()},
            }
            for each in method.variants
        ],
    }


def source(card: Card) -> str:
    """Name authors and year; a baseline has none."""
    return "baseline" if card.is_baseline else f"{card.authors}, {card.year}"


def looks(method: type[Method]) -> list[str]:
    """Tell where a method looks: tower, projector, question, llm, answer."""
    named = set(method.needs)
    if "signals.features" in inspect.getsource(inspect.getmodule(method)):
        named.add("features")  # always there, so no method names it
    return [place for place, signals in PLACES.items() if named & set(signals)]


def drops(method: Method) -> list[float]:
    """Tell where tokens leave, as shares of the language model's depth; 0 is before it."""
    budget = max(DRAWN.tokens // 4, method.floor(DRAWN))
    stages = method.schedule(DRAWN, budget)
    return [stage.layer / DRAWN.layers for stage in stages]
