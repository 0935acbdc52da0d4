"""A second look at a region that a person has chosen: does a closer crop change the answer?

Four runs side by side: the full picture; the picture and then the crop, in the order in which VPT
shows them; the crop alone; and both pruned so that together they cost what the picture costs. VPT's
trained model chooses the region itself; here the visitor does. Knows cases, methods and the engine;
not pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from PIL import Image

from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.generation import FullRun, Generation
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.method_maps import plan_of
from explorer.cases.records import Token
from explorer.cases.request import CaseRequest
from explorer.errors import MethodUnavailable, VisitorError
from explorer.inference.decode import decode, teacher_force
from explorer.inference.prefill import KEEP_ALL, prefill
from explorer.inference.sequence import Prompt, Sequence
from explorer.media.image import Picture, open_picture
from explorer.media.region import Cells, seen_size
from explorer.methods import catalog
from explorer.methods.signals import Signals
from explorer.metrics import fidelity
from explorer.vlm.turns.current_run import clock

MODES = ("full", "both", "crop", "equal")


@dataclass(frozen=True)
class RegionAnswer:
    """What a model said in one of the four runs.

    tokens: visual tokens of picture and crop. likelihood: of the full answer there.
    error: why there is no answer. seconds: of prefill and decoding.
    """

    mode: str
    tokens: tuple[int, int]
    text: str = ""
    pieces: tuple[Token, ...] = ()
    likelihood: float = 0.0
    agrees: bool = False
    seconds: float = 0.0
    error: str | None = None


def cut_out(picture: Picture, cells: Cells) -> Image.Image:
    """Cut the cells out of the picture, at least 28 pixels to a side, as VPT does."""
    crop = picture.image.crop(cells.box(*picture.image.size))
    size = tuple(map(max, crop.size, seen_size(*crop.size)))
    return crop if crop.size == size else crop.resize(size, Image.Resampling.BICUBIC)


@use_case(cost=GpuCost(answers=5))
def answer_with_crop(
    request: CaseRequest,
    cells: Cells,
    method: str = "clsattn",
    *,
    cache: ResultCache | None = None,
) -> Iterator[RegionAnswer]:
    """Answer from the picture, from picture and crop, from the crop, and from both at equal cost.

    cells: what is cut out, dilated or not. method: prunes in the last run, before the LLM.
    Raises `VisitorError` with one clear sentence.
    """
    case = open_case(request, cache)
    picture = open_picture(cut_out(request.picture, cells))
    crop = open_case(replace(request, picture=picture), cache)
    full = full_run(case, cache)
    whole, part = case.size.tokens, crop.size.tokens
    yield _run(case, "full", (whole, 0), full, case.prompt())
    yield _run(case, "both", (whole, part), full, joined(case.prompt(), _without_question(crop)))
    yield _run(case, "crop", (0, part), full, crop.prompt())
    share = min(part, whole // 2)
    try:
        first = _pruned(case, case.prompt(), method, whole - share, full)
        second = _pruned(crop, _without_question(crop), method, share, full)
    except VisitorError as error:
        yield RegionAnswer("equal", (whole - share, share), error=str(error))
        return
    yield _run(case, "equal", (whole - share, share), full, joined(first, second))


def _without_question(crop: Case) -> Prompt:
    """Give the crop's prompt without the question, and without a second BOS token."""
    prompt = replace(crop, question="").prompt()
    bos = crop.vlm.processor.tokenizer.bos_token_id
    n_bos = 0
    if bos is not None:
        embedding = crop.decoder.body.embed_tokens(prompt.visual_positions.new_tensor([bos]))[0]
        n_bos = int(torch.equal(prompt.inputs_embeds[0, 0], embedding))
    return replace(
        prompt,
        inputs_embeds=prompt.inputs_embeds[:, n_bos:],
        position_ids=prompt.position_ids[..., n_bos:] - n_bos,
        visual_positions=prompt.visual_positions - n_bos,
        is_text=prompt.is_text[n_bos:],
    )


def joined(first: Prompt, second: Prompt) -> Prompt:
    """Append one prompt to another, as two turns of the same chat."""
    length, next_position = first.inputs_embeds.shape[1], int(first.position_ids.max()) + 1
    signals = Signals(
        grid_position=torch.cat([first.signals.grid_position, second.signals.grid_position]),
        features=torch.cat([first.signals.features, second.signals.features]),
    )
    return Prompt(
        inputs_embeds=torch.cat([first.inputs_embeds, second.inputs_embeds], 1),
        position_ids=torch.cat([first.position_ids, second.position_ids + next_position], -1),
        visual_positions=torch.cat([first.visual_positions, second.visual_positions + length]),
        is_text=torch.cat([first.is_text, second.is_text]),
        signals=signals,
        n_response_header=second.n_response_header,
        deepstack=tuple(
            torch.cat(both) for both in zip(first.deepstack, second.deepstack, strict=True)
        ),
    )


def _pruned(case: Case, prompt: Prompt, method: str, budget: int, full: FullRun) -> Prompt:
    """Let a method score a case, and drop from a prompt of it the tokens that it does not keep."""
    pruner = catalog.resolve(method)
    plan = plan_of(pruner, case.size, budget)
    stages = [stage for stage in plan.stages if not stage.optional]
    if any(stage.layer for stage in stages):
        raise MethodUnavailable(
            f"{pruner.card.title} prunes inside the language model, where picture and crop are "
            "one; choose a method that prunes before it."
        )
    signals = case.prompt(plan.needs, lambda: full.tokens).signals
    sequence = Sequence(prompt)
    for stage in stages:
        sequence.drop(plan.choose(signals, stage), stage, plan.renumber)
    return Prompt(
        inputs_embeds=sequence.hidden_states,
        position_ids=sequence.position_ids,
        visual_positions=sequence.visual_positions,
        is_text=sequence.is_text,
        signals=Signals(
            grid_position=sequence.grid_position,
            features=sequence.hidden_states[0, sequence.visual_positions].float(),
        ),
        n_response_header=prompt.n_response_header,
        deepstack=sequence.deepstack,
    )


def _run(
    case: Case, mode: str, tokens: tuple[int, int], full: FullRun, prompt: Prompt
) -> RegionAnswer:
    """Answer a prompt, and tell how likely the full answer is there."""
    began = clock()
    run, generation = prefill(case.decoder, prompt, KEEP_ALL), Generation(case)
    for step in decode(run, case.vlm.max_new_tokens):
        generation.add(step)
    seconds = clock() - began
    likelihood = fidelity.probability(teacher_force(run, list(full.tokens)), full.tokens)
    text = generation.text.strip()
    agrees = fidelity.agrees(text, full.answer.text)
    pieces = tuple(generation.pieces)
    return RegionAnswer(mode, tokens, text, pieces, likelihood, agrees, seconds)
