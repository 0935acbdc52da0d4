"""A second look at a region that a person has chosen: does a closer crop change the answer?

Four runs side by side: the full picture; the picture and then the crop, in the order in which VPT
shows them; the crop alone; and both pruned so that together they cost what the picture costs. VPT's
trained model chooses the region itself; here the visitor does. Knows cases, methods and the engine;
not pages.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from PIL import Image

from explorer.cases.answers import FullRun, Generation, full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.method_maps import plan_of
from explorer.cases.records import Token
from explorer.cases.request import Source
from explorer.errors import MethodUnavailable, VisitorError
from explorer.inference.decode import decode, teacher_force
from explorer.inference.prefill import KEEP_ALL, prefill
from explorer.inference.sequence import Prompt, Sequence
from explorer.media.image import Picture, open_picture
from explorer.media.region import Cells, seen_size
from explorer.methods import catalog
from explorer.methods.signals import Signals
from explorer.metrics import fidelity
from explorer.vlm.components import Vlm

MODES = ("full", "both", "crop", "equal")


@dataclass(frozen=True)
class RegionAnswer:
    """What a model said in one of the four runs.

    tokens: visual tokens of picture and crop. likely: the probability of the full answer there.
    error: why there is no answer. seconds: of prefill and decoding.
    """

    mode: str
    tokens: tuple[int, int]
    text: str = ""
    pieces: tuple[Token, ...] = ()
    likely: float = 0.0
    same: bool = False
    seconds: float = 0.0
    error: str | None = None


def cut_out(picture: Picture, cells: Cells) -> Image.Image:
    """Cut the cells out of the picture, at least 28 pixels to a side, as VPT does."""
    crop = picture.image.crop(cells.box(*picture.image.size))
    size = tuple(map(max, crop.size, seen_size(*crop.size)))
    return crop if crop.size == size else crop.resize(size, Image.Resampling.BICUBIC)


def answer_with_crop(
    model: str | Vlm,
    image: Source,
    question: str,
    cells: Cells,
    method: str = "clsattn",
    memory: ResultCache | None = None,
) -> Iterator[RegionAnswer]:
    """Answer from the picture, from picture and crop, from the crop, and from both at equal cost.

    cells: what is cut out, dilated or not. method: who prunes in the last run, before the LLM.
    Raises `VisitorError` with one clear sentence for a bad picture, question or model.
    """
    case = open_case(model, image, question, memory)
    crop = open_case(model, open_picture(cut_out(case.picture, cells)), question, memory)
    compared = full_run(case, memory)
    whole, part = case.size.tokens, crop.size.tokens
    yield _run(case, "full", (whole, 0), compared, case.prompt())
    yield _run(case, "both", (whole, part), compared, joined(case.prompt(), _silent(crop)))
    yield _run(case, "crop", (0, part), compared, crop.prompt())
    share = min(part, whole // 2)
    try:
        kept = _pruned(case, case.prompt(), method, whole - share, compared)
        seen = _pruned(crop, _silent(crop), method, share, compared)
    except VisitorError as error:
        yield RegionAnswer("equal", (whole - share, share), error=str(error))
        return
    yield _run(case, "equal", (whole - share, share), compared, joined(kept, seen))


def _silent(crop: Case) -> Prompt:
    """Show the crop without asking again, and without a second beginning of the text."""
    prompt = replace(crop, question="").prompt()
    bos = crop.vlm.processor.tokenizer.bos_token_id
    begins = 0
    if bos is not None:
        mark = crop.decoder.body.embed_tokens(prompt.visual_positions.new_tensor([bos]))[0]
        begins = int(torch.equal(prompt.inputs_embeds[0, 0], mark))
    return replace(
        prompt,
        inputs_embeds=prompt.inputs_embeds[:, begins:],
        position_ids=prompt.position_ids[..., begins:] - begins,
        visual_positions=prompt.visual_positions - begins,
        is_text=prompt.is_text[begins:],
    )


def joined(first: Prompt, second: Prompt) -> Prompt:
    """Let one prompt follow another, as two turns of the same talk."""
    seen, behind = first.inputs_embeds.shape[1], int(first.position_ids.max()) + 1
    signals = Signals(
        grid_position=torch.cat([first.signals.grid_position, second.signals.grid_position]),
        features=torch.cat([first.signals.features, second.signals.features]),
    )
    return Prompt(
        inputs_embeds=torch.cat([first.inputs_embeds, second.inputs_embeds], 1),
        position_ids=torch.cat([first.position_ids, second.position_ids + behind], -1),
        visual_positions=torch.cat([first.visual_positions, second.visual_positions + seen]),
        is_text=torch.cat([first.is_text, second.is_text]),
        signals=signals,
        n_response_header=second.n_response_header,
        deepstack=tuple(
            torch.cat(both) for both in zip(first.deepstack, second.deepstack, strict=True)
        ),
    )


def _pruned(case: Case, prompt: Prompt, method: str, budget: int, compared: FullRun) -> Prompt:
    """Let a method look at a case, and take from a prompt of it what the method does not keep."""
    pruner = catalog.resolve(method)
    plan = plan_of(pruner, case.size, budget)
    stages = [stage for stage in plan.stages if not stage.optional]
    if any(stage.layer for stage in stages):
        raise MethodUnavailable(
            f"{pruner.card.title} prunes inside the language model, where picture and crop are "
            "one; choose a method that prunes before it."
        )
    signals = case.prompt(plan.needs, lambda: compared.tokens).signals
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
    case: Case, mode: str, tokens: tuple[int, int], compared: FullRun, prompt: Prompt
) -> RegionAnswer:
    """Answer a prompt, and tell how likely the full answer is there."""
    began = time.perf_counter()
    run, speech = prefill(case.decoder, prompt, KEEP_ALL), Generation(case)
    for step in decode(run, case.vlm.max_new_tokens):
        speech.add(step)
    seconds = time.perf_counter() - began
    likely = fidelity.probability(teacher_force(run, list(compared.tokens)), compared.tokens)
    text = speech.text.strip()
    same = fidelity.agrees(text, compared.answer.text)
    return RegionAnswer(mode, tokens, text, tuple(speech.pieces), likely, same, seconds)
