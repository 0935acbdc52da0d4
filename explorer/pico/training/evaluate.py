"""How often pico is right: exact match of whole answers on new scenes, by kind of question.

`evaluate` runs the plain Hugging Face model with all visual tokens, greedily until EOS; the
picture is passed once and its questions follow as one batch. `evaluate_dropped` is for the 500
scenes that weights are chosen by, and counts too how many answers stay the same when tokens leave
at the input. Knows none of the page's methods of pruning, and no command line.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoProcessor, DynamicCache, LlavaForConditionalGeneration

from explorer import ROOT
from explorer.pico.architecture import PATCHES, as_pixels, encode_images, normalised
from explorer.pico.data import scenes
from explorer.pico.data.questions import Question, sample
from explorer.pico.training.packing import Packed, leaving, pack, placed, read, shorten

FOLDER = ROOT / "assets" / "pico"
COLUMNS = ("at", "where", "rel", "exist", "count", "total", "color", "cat", "read", "list")
FIRST_SEED = 1_000_000_000  # training keeps to larger seeds
QUESTIONS = 6  # per scene
MAX_NEW_TOKENS = 80  # the longest list: nine signs with their places
VALIDATION_SEEDS = range(1_500_000_000, 1_500_000_500)  # of no training, figure or leaderboard
PICTURES_AT_ONCE = 6
KEPT = (
    *(("random", count) for count in (128, 64, 21)),
    ("[CLS] attention", 21),
    ("farthest first", 21),
)


@dataclass
class Score:
    """How many questions of each kind were asked, and how many answered exactly right."""

    asked: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)

    @property
    def overall(self) -> float:
        """Share of right answers over all questions."""
        return self.right.total() / self.asked.total()

    def table(self) -> str:
        """Write a Markdown table: a column per kind, accuracy and number of questions."""
        kinds = [kind for kind in COLUMNS if self.asked[kind]]
        shares = [f"{self.right[kind] / self.asked[kind]:.2f}" for kind in kinds]
        rows = [
            ["", *kinds, "overall"],
            ["---"] * (len(kinds) + 2),
            ["right", *shares, f"{self.overall:.2f}"],
            ["questions", *(str(self.asked[kind]) for kind in kinds), str(self.asked.total())],
        ]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def load(folder: Path = FOLDER) -> tuple[LlavaForConditionalGeneration, AutoProcessor]:
    """Load a model in single precision, and its processor, from a folder."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoProcessor.from_pretrained(folder)


@torch.no_grad()
def answers(model, processor, image: Image.Image, questions: Sequence[str]) -> list[str]:
    """Answer questions about one picture greedily; the same as asking them one by one."""
    before, after = _prompts(model, processor, questions)
    pixels = processor.image_processor(image, return_tensors="pt")["pixel_values"]
    cache = DynamicCache(config=model.config.text_config)
    model(input_ids=before, pixel_values=pixels.to(model.device), cache=cache)
    cache.batch_repeat_interleave(len(questions))
    tokens = _greedy(model, cache, before.shape[1], after)
    texts = processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return [text.strip() for text in texts]


def _prompts(model, processor, questions: Sequence[str]) -> tuple[Tensor, list[list[int]]]:
    """Cut the prompts behind the picture: ids [1, P] they share, and the rest of each."""
    rests, image = [], model.config.image_token_index
    for question in questions:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        cut = ids.index(image)
        before = ids[:cut] + [image] * model.config.image_seq_length
        rests.append(ids[cut + 1 :])
    return torch.tensor([before], device=model.device), rests


def _greedy(model, cache: DynamicCache, past: int, rests: list[list[int]]) -> list[list[int]]:
    """Pass the rests of the prompts behind `past` cached tokens and decode all rows at once.

    Short rests are padded on the left; the padding is masked and takes no position.
    """
    device, eos, width = model.device, model.generation_config.eos_token_id, max(map(len, rests))
    padding = torch.tensor([width - len(rest) for rest in rests], device=device)
    ids = torch.tensor([[0] * (width - len(rest)) + rest for rest in rests], device=device)
    steps = torch.arange(width, device=device)[None]
    mask = torch.ones(len(rests), past + width, dtype=torch.long, device=device)
    mask[:, past:] = steps >= padding[:, None]
    positions = (past + steps - padding[:, None]).clamp_min(past)
    found: list[list[int]] = [[] for _ in rests]
    rows = list(range(len(rests)))
    for _ in range(MAX_NEW_TOKENS):
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, cache=cache)
        chosen = output.logits[:, -1].argmax(-1)
        going = [i for i, token in enumerate(chosen.tolist()) if token != eos]
        for i in going:
            found[rows[i]].append(int(chosen[i]))
        if not going:
            break
        rows, kept = [rows[i] for i in going], torch.tensor(going, device=device)
        if len(going) < len(chosen):
            cache.batch_select_indices(kept)
        ids, positions = chosen[kept, None], positions[kept, -1:] + 1
        mask = torch.nn.functional.pad(mask[kept], (0, 1), value=1)
    return found


def evaluate(model, processor, seeds: Iterable[int], per_scene: int = QUESTIONS) -> Score:
    """Ask about the scenes of these seeds, drawn with the shipped icons."""
    score = Score()
    for seed in seeds:
        scene = scenes.make(seed)
        asked = sample(scene, random.Random(f"questions {seed}"), per_scene)
        given = answers(model, processor, scene.image, [question.text for question in asked])
        for question, answer in zip(asked, given, strict=True):
            score.asked[question.kind] += 1
            score.right[question.kind] += answer == question.answer
    return score


@dataclass
class Retention:
    """How many of the answers from all tokens come again from those that an order keeps."""

    answers: int = 0
    same: Counter[tuple[str, int, bool]] = field(default_factory=Counter)

    def share(self, order: str, count: int, renumbered: bool) -> float:
        """Give the share of the same answers; renumbered: positions count on, else are kept."""
        return self.same[order, count, renumbered] / self.answers

    def table(self) -> str:
        """Write a Markdown table: a row per order and number of tokens."""
        rows = ["| tokens | positions kept | renumbered |", "| --- | --- | --- |"]
        for order, count in KEPT:
            shares = [self.share(order, count, renumbered) for renumbered in (False, True)]
            rows.append(f"| {order} {count} | {shares[0]:.3f} | {shares[1]:.3f} |")
        return "\n".join(rows)


@torch.no_grad()
def evaluate_dropped(
    model, processor, seeds: Sequence[int], per_scene: int = QUESTIONS
) -> tuple[Score, Retention]:
    """Ask about the scenes of these seeds with all tokens, and again with some of them."""
    score, retention = Score(), Retention()
    for start in range(0, len(seeds), PICTURES_AT_ONCE):
        some = seeds[start : start + PICTURES_AT_ONCE]
        shown = [scenes.make(seed) for seed in some]
        pixels = torch.stack([as_pixels(scene.image) for scene in shown]).to(model.device)
        patches, _ = encode_images(model, pixels)
        asked = [sample(s, random.Random(f"questions {s.seed}"), per_scene) for s in shown]
        packed = pack(pixels, asked).to(model.device)
        right = _foretold(model, packed, read(model, packed, patches))
        for question, good in zip((q for row in asked for q in row), right, strict=True):
            score.asked[question.kind] += 1
            score.right[question.kind] += good
        given, verdicts = [], iter(right)
        for scene, questions in zip(shown, asked, strict=True):
            given.append(_as_answered(model, processor, scene.image, questions, verdicts))
        packed = pack(pixels, given).to(model.device)
        retention.answers += len(right)
        for name, order in orders(model, pixels, patches, some).items():
            for count in (count for known, count in KEPT if known == name):
                kept = order[:, :count].sort(1).values
                for renumbered in (False, True):
                    again = _with_kept(model, packed, patches, kept, renumbered)
                    retention.same[name, count, renumbered] += sum(again)
    return score, retention


def _foretold(model, packed: Packed, hidden: Tensor) -> list[bool]:
    """Tell of each question whether the model, told an answer so far, always goes on with it.

    Then it gives this answer by itself as well: decoding is greedy.
    """
    chosen = model.lm_head(hidden).argmax(-1)
    same = chosen == packed.targets
    return [bool(same[span.row, span.first : span.stop].all()) for span in packed.spans]


def _as_answered(
    model, processor, image: Image.Image, questions: list[Question], right: Iterator[bool]
) -> list[Question]:
    """Put the model's own answers in the place of the right ones."""
    wrong = [question for question in questions if not next(right)]
    if not wrong:
        return questions
    given = answers(model, processor, image, [question.text for question in wrong])
    told = {question.text: answer for question, answer in zip(wrong, given, strict=True)}
    return [replace(q, answer=told.get(q.text, q.answer)) for q in questions]


def _with_kept(
    model, packed: Packed, patches: Tensor, kept: Tensor, renumbered: bool
) -> list[bool]:
    """Tell of each question whether its answer stays the same with the patches `kept` alone."""
    short = shorten(packed, kept)
    if renumbered:
        count = torch.arange(1, kept.shape[1] + 2, device=kept.device)
        short = placed(short, count.expand(len(kept), -1))
    with leaving(model, packed, kept, 0, short):
        return _foretold(model, short, read(model, packed, patches))


def orders(model, pixels: Tensor, patches: Tensor, seeds: Sequence[int]) -> dict[str, Tensor]:
    """Give orders, int64 [B, 196], of which any number of patches are kept from the start."""
    drawn = [torch.randperm(PATCHES, generator=torch.Generator().manual_seed(s)) for s in seeds]
    projected = model.model.multi_modal_projector(patches)
    return {
        "random": torch.stack(drawn).to(pixels.device),
        "[CLS] attention": cls_attention(model, pixels).argsort(1, descending=True),
        "farthest first": torch.stack([farthest_first(tokens) for tokens in projected]),
    }


def cls_attention(model, pixels: Tensor) -> Tensor:
    """Give what [CLS] pays to each patch in the layer that feeds the projector, [B, 196]."""
    tower = model.model.vision_tower
    layer = tower.encoder.layers[-2]
    states = tower(normalised(pixels), output_hidden_states=True).hidden_states[-3]
    states = layer.layer_norm1(states)
    heads = (len(pixels), -1, layer.self_attn.num_heads, layer.self_attn.head_dim)
    query = layer.self_attn.q_proj(states[:, :1]).view(heads).transpose(1, 2)
    key = layer.self_attn.k_proj(states).view(heads).transpose(1, 2)
    weights = (query @ key.mT * layer.self_attn.head_dim**-0.5).softmax(-1)  # [B, H, 1, 197]
    return weights[:, :, 0, 1:].mean(1)


def farthest_first(tokens: Tensor) -> Tensor:
    """Order tokens [N, D] so that each is as unlike those before it as can be, by their cosine.

    The first is the one that is least like its nearest neighbour.
    """
    tokens = torch.nn.functional.normalize(tokens, dim=-1)
    distance = 1 - tokens @ tokens.T
    nearest = distance.fill_diagonal_(float("inf")).amin(1)
    chosen = [int(nearest.argmax())]
    nearest = distance[chosen[0]].clone()
    for _ in range(len(tokens) - 1):
        nearest[chosen] = -float("inf")
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, distance[chosen[-1]])
    return torch.tensor(chosen, device=tokens.device)
