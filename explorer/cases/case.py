"""A case: a checked picture and a checked question in front of a loaded model.

Knows how the embeddings of words and of visual tokens become one sequence; does not know methods,
answers or pages.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from explorer.cases.cache import ResultCache, VisionKey, get_or_compute
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.request import CaseRequest, case_id
from explorer.inference.attention_weights import causal_rows, queries_and_keys
from explorer.inference.dry_run import SharedPrefix
from explorer.inference.gradients import gradients
from explorer.inference.layer_signals import OF_MODULES
from explorer.inference.prefill import PrefillRun
from explorer.inference.sequence import Prompt
from explorer.inference.vision import VisionOutput, encode_image, tower_signals
from explorer.media.grid import Grid
from explorer.media.image import Picture
from explorer.methods.attention import relevance_net
from explorer.methods.signals import Signals, Size
from explorer.vlm.components import Decoder, Vlm
from explorer.vlm.loader import default_loader
from explorer.vlm.prompt import as_read
from explorer.vlm.turns.current_run import clock


@dataclass(frozen=True)
class CaseVision:
    """What a model's tower makes of a picture, before any question.

    grid_position [N, 3]: view, row and column of each visual token, -1 where it has none; patches
    [N, k]: the tower's patches that it is made of. seconds: what the tower took. frame_position
    [N, 3]: of a video, the frame, row and column of each token.
    """

    output: VisionOutput
    grid: Grid
    grid_position: Tensor
    patches: Tensor
    seconds: float
    frame_position: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        return self.output.nbytes


@dataclass(frozen=True)
class Case:
    """A checked picture and question in front of a loaded model."""

    vlm: Vlm
    picture: Picture
    question: str
    vision: CaseVision
    decoder: Decoder

    @cached_property
    def id(self) -> str:
        """The name of this case; see `case_id`."""
        return case_id(self.vlm.key, self.picture, self.question)

    @property
    def size(self) -> Size:
        """How much there is to prune."""
        frames = self.vision.frame_position
        return Size(
            tokens=self.vision.grid.count,
            layers=len(self.decoder.body.layers),
            columns=self.vision.grid.columns,
            cls=self.vision.output.cls_hidden is not None,
            frames=1 if frames is None else int(frames[:, 0].max()) + 1,
        )

    def prompt(
        self,
        needs: frozenset[str] = frozenset(),
        answer: Callable[[], Sequence[int]] | None = None,
    ) -> Prompt:
        """Put the embeddings of words and visual tokens together, with the signals of `needs`.

        answer: gives the tokens of the full answer to methods that explain it.
        """
        return self.with_signals(self.embedded(), needs, answer)

    def embedded(self) -> Prompt:
        """Put the embeddings of words and visual tokens together."""
        chat = self.vlm.family.build_prompt(self.vlm, self.question, self.vision.grid)
        device, features = self.vlm.device, self.vision.output.features
        visual = chat.visual_positions.to(device)
        embeds = self.decoder.body.embed_tokens(chat.input_ids.to(device)).clone()
        embeds[0, visual] = features.to(embeds.dtype)
        positions = torch.arange(embeds.shape[1])[None]
        if chat.position_ids is not None:
            positions = chat.position_ids
        return Prompt(
            embeds,
            positions.to(device),
            visual,
            chat.is_text.to(device),
            self._tower_signals(frozenset()),
            chat.n_response_header,
            self.vision.output.deepstack,
        )

    def _tower_signals(
        self, needs: frozenset[str], known: dict[str, object] | None = None
    ) -> Signals:
        vision = self.vision
        return tower_signals(vision.output, vision.grid_position, vision.patches, needs, known)

    def with_signals(
        self,
        prompt: Prompt,
        needs: frozenset[str],
        answer: Callable[[], Sequence[int]] | None = None,
        known: dict[str, object] | None = None,
    ) -> Prompt:
        """Give the same prompt with the signals of `needs`; its tensors are not copied.

        known: tower signals of this case that were derived before, by name; gets the new ones.
        """
        more = self._grid_signals(needs) | self._question_signals(needs, prompt)
        if "explain" in needs and answer is not None:
            more["explain"] = partial(gradients, self.decoder, prompt, answer())
        return replace(prompt, signals=replace(self._tower_signals(needs, known), **more))

    def _grid_signals(self, needs: frozenset[str]) -> dict[str, object]:
        """Give the signals that say where tokens and views lie on the picture."""
        signals, device, grid = {}, self.vlm.device, self.vision.grid
        if "padding" in needs:
            signals["padding"] = torch.from_numpy(grid.padding).to(device)
        if "frame_position" in needs and self.vision.frame_position is not None:
            signals["frame_position"] = self.vision.frame_position
        if "areas" in needs:
            boxes = torch.tensor(
                [view.box for view in grid.views], device=device, dtype=torch.float32
            )
            signals["areas"] = (boxes - boxes[0, :2].repeat(2)) / (
                boxes[0, 2:] - boxes[0, :2]
            ).repeat(2)
        return signals

    def _question_signals(self, needs: frozenset[str], prompt: Prompt) -> dict[str, object]:
        """Give the signals that come from the words around the picture."""
        signals: dict[str, object] = {}
        body, after = self.decoder.body, int(prompt.visual_positions[-1]) + 1
        if "question" in needs:
            signals["question"] = as_read(self.question, self.vlm.processor.tokenizer)
        if "embed" in needs:
            signals["embed"] = self._embed
        if "tail" in needs:
            signals["tail"] = prompt.inputs_embeds[0, after:].float()
        if "rotary_frequencies" in needs:
            signals["rotary_frequencies"] = body.rotary_emb.inv_freq
        if "relevance_net" in needs:
            signals["relevance_net"] = relevance_net.load(
                relevance_net.file_of(self.vlm.key), self.vlm.device
            )
        if "question_attention" in needs:
            tail = torch.arange(
                after, prompt.inputs_embeds.shape[1], device=prompt.inputs_embeds.device
            )
            cos_sin = body.rotary_emb(prompt.inputs_embeds, prompt.position_ids)
            with torch.no_grad():
                query, key = queries_and_keys(body.layers[0], prompt.inputs_embeds, cos_sin, tail)
            rows = causal_rows(query, key, tail, body.layers[0].self_attn.scaling)
            signals["question_attention"] = rows[..., prompt.visual_positions].mean((0, 1))
        return signals

    @torch.no_grad()
    def _embed(self, text: str) -> Tensor:
        """Give the input embeddings [M, D] of a text's tokens, without BOS or template."""
        ids = self.vlm.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = torch.tensor(ids, dtype=torch.long, device=self.vlm.device)
        return self.decoder.body.embed_tokens(ids).float()


class PromptCache:
    """The prompts of one case, each made once, also for threads that ask at the same time.

    Until it is let go, it holds what stands between the layers that its prefixes have walked.

    answer: gives the tokens of the full answer to methods that explain it.
    """

    def __init__(self, case: Case, answer: Callable[[], Sequence[int]] | None = None):
        self._case, self._answer = case, answer
        self._prompts: dict[frozenset[str], tuple[Prompt, float]] = {}
        self._prefixes: dict[frozenset[str], SharedPrefix] = {}
        self._tower_signals: dict[str, object] = {}
        self._lock = threading.Lock()

    def __call__(self, needs: frozenset[str]) -> Prompt:
        """Give the prompt with the signals of `needs`."""
        return self._get(needs)[0]

    def prefix(self, needs: frozenset[str]) -> SharedPrefix:
        """Give the language model's layers over the prompt, walked once for all that look there."""
        prompt, modules = self(needs), OF_MODULES if needs & OF_MODULES else frozenset()
        with self._lock:
            if modules not in self._prefixes:
                self._prefixes[modules] = SharedPrefix(self._case.decoder, prompt, modules)
        return self._prefixes[modules].seen_by(prompt, needs)

    def prefill(self) -> PrefillRun:
        """Prefill all tokens; who looks into the layers afterwards finds them walked."""
        return self.prefix(frozenset()).prefill()

    def seconds(self, needs: frozenset[str]) -> float:
        """Give how long such a prompt took to make."""
        return self._get(needs)[1]

    @property
    def text_tokens(self) -> int:
        """Count the tokens around the visual ones."""
        return self(frozenset()).inputs_embeds.shape[1] - self._case.size.tokens

    def _get(self, needs: frozenset[str]) -> tuple[Prompt, float]:
        with self._lock:
            if needs not in self._prompts:
                began = clock()
                # the same tensors, so that runs share the layers in which they are alike
                first = next(iter(self._prompts.values()), None)
                bare = self._case.embedded() if first is None else first[0]
                known = self._tower_signals
                prompt = self._case.with_signals(bare, needs, self._answer, known)
                self._prompts[needs] = prompt, clock() - began
            return self._prompts[needs]


def open_case(request: CaseRequest, cache: ResultCache | None = None) -> Case:
    """Load the model and run its tower on the picture, unless the cache has its output."""
    model = request.model
    vlm = model if isinstance(model, Vlm) else default_loader().load(model)
    vision = get_or_compute(
        cache,
        VisionKey(vlm.key, request.picture.digest),
        lambda: _encode_picture(vlm, request.picture),
        lambda vision: vision.nbytes,
    )
    decoder = vlm.family.decoder(vlm)
    return Case(vlm, request.picture, request.question, vision, decoder)


@use_case(cost=GpuCost(answers=0))
def count_tokens(request: CaseRequest, *, cache: ResultCache | None = None) -> int:
    """Count the visual tokens that the model makes of the picture."""
    return open_case(request, cache).size.tokens


def _encode_picture(vlm: Vlm, picture: Picture) -> CaseVision:
    began = clock()
    family = vlm.family
    grid = family.grid(vlm, *picture.image.size)
    output = encode_image(family.vision_tower(vlm), family.preprocess(vlm, picture.image))
    seconds = clock() - began
    place = torch.from_numpy(grid.place.astype("int64")).to(vlm.device)
    patches = torch.from_numpy(grid.patches.astype("int64")).to(vlm.device)
    return CaseVision(output, grid, place, patches, seconds)
