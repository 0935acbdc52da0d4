"""How often pico is right: exact match of whole answers on new scenes, by kind of question.

`python -m explorer.pico.evaluate --scenes 300`. Runs the plain Hugging Face model with all visual
tokens, greedily until EOS; the picture is passed once and its questions follow as one batch. Knows
nothing of pruning.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoProcessor, DynamicCache, LlavaForConditionalGeneration

from explorer.pico import scenes
from explorer.pico.questions import sample

FOLDER = Path(__file__).resolve().parent.parent.parent / "assets" / "pico"
COLUMNS = ("at", "where", "rel", "exist", "count", "total", "color", "cat", "read", "list")
FIRST_SEED = 1_000_000_000  # training keeps to larger seeds
QUESTIONS = 6  # per scene
MAX_NEW_TOKENS = 80  # the longest list: nine signs with their places


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


def main() -> None:
    """Print the share of exactly right answers by kind of question."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="per scene")
    parser.add_argument("--model", type=Path, default=FOLDER, help="folder of the weights")
    options = parser.parse_args()
    model, processor = load(options.model)
    seeds = range(FIRST_SEED, FIRST_SEED + options.scenes)
    score = evaluate(model, processor, seeds, options.questions)
    print(score.table())
    print(f"overall {score.overall:.3f}")


if __name__ == "__main__":
    main()
