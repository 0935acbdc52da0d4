"""A case: a checked picture and a checked question in front of a loaded model.

Knows how words and visual tokens come together; does not know methods, answers or pages.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from explorer import relevance_net, zoo
from explorer.capture import Seen, causal_rows, queries_and_keys, see, tower_signals
from explorer.engine import Prompt
from explorer.explain import gradients
from explorer.families import Decoder, Vlm
from explorer.grid import Grid
from explorer.memory import Memory, recall
from explorer.picture import Picture, open_picture
from explorer.signals import Size
from explorer.words import check_question

Source = str | Path | bytes | Image.Image | Picture


@dataclass(frozen=True)
class Look:
    """A picture seen by a model's tower, before any question."""

    seen: Seen
    grid: Grid
    place: Tensor
    patches: Tensor
    seconds: float

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        return self.seen.nbytes


def case_id(model: str, picture: Picture, question: str) -> str:
    """Name a case: same model, pixels and question, same id, on every machine."""
    text = "\n".join((model, picture.digest, question))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Asked:
    """What somebody wants to know, checked, before any model is touched; a key names the model."""

    model: str | Vlm
    picture: Picture
    question: str

    @property
    def id(self) -> str:
        """The name of this case; see `case_id`."""
        key = self.model if isinstance(self.model, str) else self.model.key
        return case_id(key, self.picture, self.question)

    @property
    def case(self) -> tuple[str | Vlm, Picture, str]:
        """The three things, as the use cases take them."""
        return self.model, self.picture, self.question


def ask(model: str | Vlm, image: Source, question: str) -> Asked:
    """Check what somebody wants to know; `VisitorError` says what is wrong."""
    if isinstance(model, str):
        zoo.entry(model)
    question = check_question(question)
    return Asked(model, image if isinstance(image, Picture) else open_picture(image), question)


@dataclass(frozen=True)
class Case:
    """A checked picture and question in front of a loaded model."""

    vlm: Vlm
    picture: Picture
    question: str
    look: Look
    decoder: Decoder

    @property
    def id(self) -> str:
        """The name of this case; see `case_id`."""
        return case_id(self.vlm.key, self.picture, self.question)

    @property
    def size(self) -> Size:
        """How much there is to prune."""
        return Size(
            tokens=self.look.grid.count,
            layers=len(self.decoder.body.layers),
            columns=self.look.grid.columns,
            cls=self.look.seen.cls_hidden is not None,
        )

    def prompt(
        self,
        needs: frozenset[str] = frozenset(),
        answer: Callable[[], Sequence[int]] | None = None,
    ) -> Prompt:
        """Put words and visual tokens together, with the signals that are asked for.

        answer: gives the tokens of the full answer to methods that explain it.
        """
        words = self.vlm.family.words(self.vlm, self.question, self.look.grid)
        device, features = self.vlm.device, self.look.seen.features
        visual = words.visual.to(device)
        embeds = self.decoder.body.embed_tokens(words.ids.to(device)).clone()
        embeds[0, visual] = features.to(embeds.dtype)
        positions = torch.arange(embeds.shape[1])[None]
        if words.positions is not None:
            positions = words.positions
        signals = tower_signals(self.look.seen, self.look.place, self.look.patches, needs)
        prompt = Prompt(
            embeds,
            positions.to(device),
            visual,
            words.text.to(device),
            signals,
            words.header,
            self.look.seen.deep,
        )
        found = self._placed(needs) | self._asked(needs, prompt)
        if "explain" in needs and answer is not None:
            found["explain"] = partial(gradients, self.decoder, prompt, answer())
        return replace(prompt, signals=replace(signals, **found))

    def _placed(self, needs: frozenset[str]) -> dict[str, object]:
        """Signals that tell where tokens and views lie on the picture."""
        found, device, grid = {}, self.vlm.device, self.look.grid
        if "padding" in needs:
            found["padding"] = torch.from_numpy(grid.padding).to(device)
        if "areas" in needs:
            boxes = torch.tensor(
                [view.box for view in grid.views], device=device, dtype=torch.float32
            )
            found["areas"] = (boxes - boxes[0, :2].repeat(2)) / (
                boxes[0, 2:] - boxes[0, :2]
            ).repeat(2)
        return found

    def _asked(self, needs: frozenset[str], prompt: Prompt) -> dict[str, object]:
        """Signals that come from the words around the picture."""
        found: dict[str, object] = {}
        body, after = self.decoder.body, int(prompt.visual[-1]) + 1
        if "question" in needs:
            found["question"] = self.question
        if "embed" in needs:
            found["embed"] = self._embed
        if "tail" in needs:
            found["tail"] = prompt.embeds[0, after:].float()
        if "relevance_net" in needs:
            found["relevance_net"] = relevance_net.load(
                relevance_net.file_of(self.vlm.key), self.vlm.device
            )
        if "question_attention" in needs:
            tail = torch.arange(after, prompt.embeds.shape[1], device=prompt.embeds.device)
            cos_sin = body.rotary_emb(prompt.embeds, prompt.positions)
            with torch.no_grad():
                query, key = queries_and_keys(body.layers[0], prompt.embeds, cos_sin, tail)
            rows = causal_rows(query, key, tail, body.layers[0].self_attn.scaling)
            found["question_attention"] = rows[..., prompt.visual].mean((0, 1))
        return found

    @torch.no_grad()
    def _embed(self, text: str) -> Tensor:
        """Give the input embeddings [M, D] of a text's tokens, without BOS or template."""
        ids = self.vlm.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = torch.tensor(ids, dtype=torch.long, device=self.vlm.device)
        return self.decoder.body.embed_tokens(ids).float()


class Prompts:
    """The prompts of one case, each made once, also for several lanes that ask at the same time.

    answer: gives the tokens of the full answer to methods that explain it.
    """

    def __init__(self, case: Case, answer: Callable[[], Sequence[int]] | None = None):
        self._case, self._answer = case, answer
        self._made: dict[frozenset[str], tuple[Prompt, float]] = {}
        self._lock = threading.Lock()

    def __call__(self, needs: frozenset[str]) -> Prompt:
        """Give the prompt with the signals that are asked for."""
        return self._get(needs)[0]

    def seconds(self, needs: frozenset[str]) -> float:
        """Tell how long such a prompt took to make."""
        return self._get(needs)[1]

    @property
    def text(self) -> int:
        """Count the tokens around the visual ones."""
        return self(frozenset()).embeds.shape[1] - self._case.size.tokens

    def _get(self, needs: frozenset[str]) -> tuple[Prompt, float]:
        with self._lock:
            if needs not in self._made:
                began = time.perf_counter()
                prompt = self._case.prompt(needs, self._answer)
                self._made[needs] = prompt, time.perf_counter() - began
            return self._made[needs]


def open_case(model: str | Vlm, image: Source, question: str, memory: Memory | None = None) -> Case:
    """Check picture and question and let the tower look; `VisitorError` says what is wrong."""
    asked = ask(model, image, question)
    picture, question = asked.picture, asked.question
    vlm = model if isinstance(model, Vlm) else zoo.load(model)
    zoo.use_threads(vlm)
    look = recall(
        memory,
        ("look", vlm.key, picture.digest),
        lambda: _look(vlm, picture),
        lambda look: look.nbytes,
    )
    return Case(vlm, picture, question, look, vlm.family.decoder(vlm))


def count_tokens(
    model: str | Vlm, image: Source, question: str, memory: Memory | None = None
) -> int:
    """Count the visual tokens that the model makes of a picture."""
    return open_case(model, image, question, memory).size.tokens


def _look(vlm: Vlm, picture: Picture) -> Look:
    began = time.perf_counter()
    family = vlm.family
    grid = family.grid(vlm, *picture.image.size)
    seen = see(family.tower(vlm), family.pixels(vlm, picture.image))
    seconds = time.perf_counter() - began
    place = torch.from_numpy(grid.place.astype("int64")).to(vlm.device)
    patches = torch.from_numpy(grid.patches.astype("int64")).to(vlm.device)
    return Look(seen, grid, place, patches, seconds)
