"""What every family promises, on its real transformers and processor classes.

A family's test file builds its tiny random model and takes these over: see `Promises`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import scatter_weights
from transformers import PreTrainedTokenizerFast

from explorer import analyses
from explorer.analyses.inside import looking
from explorer.analyses.inside.key_reads import read_keys
from explorer.analyses.inside.layer_keys import KINDS
from explorer.analyses.inside.rollout import rollout
from explorer.analyses.inside.tracing import trace
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import MethodUnavailable
from explorer.inference.ablation import AblationScorer
from explorer.inference.decode import decode, decode_together, teacher_force
from explorer.inference.gradients import gradients
from explorer.inference.prefill import PruningPlan, prefill, prefill_together
from explorer.inference.tower_layers import OF_ALL, OF_CLS
from explorer.inference.vision import encode_image, tower_signals
from explorer.methods import catalog as method_catalog
from explorer.methods.several_stages.mustdrop import MustDrop
from explorer.methods.signals import Kept, Stage
from explorer.metrics.reading.tokenselect import TokenSelect
from explorer.tools.bench.real.words import template as template  # families take it from here
from explorer.tools.bench.real.words import word_level
from explorer.vlm.attention import override_attention, register_attention
from explorer.vlm.catalog import Entry
from explorer.vlm.components import Vlm
from explorer.vlm.loader import wrap

QUESTION = "what is in the picture"
WORDS = "<unk> <pad> <s> </s> user assistant what is in the picture this a b c d e f"
LAYERS, STEPS = 6, 6
SIZES = {"square": (336, 336), "wide": (900, 300), "tall": (400, 900), "tiny": (24, 20)}


# ---- tiny models ------------------------------------------------------------------------------


def tokenizer(
    special: list[str] | dict[str, str], more: Sequence[str] = (), **kwargs
) -> PreTrainedTokenizerFast:
    """Know a few words, and more if they are given."""
    return word_level(special, [*WORDS.split(), *more], **kwargs)


def text_config(vocabulary: int, **kwargs) -> dict:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 3,
    } | kwargs


def vision_config(size: int | list[int], patch: int | list[int], **kwargs) -> dict:
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": size,
        "patch_size": patch,
    } | kwargs


def wrapped(model_class, config, processor) -> Vlm:
    """Give random weights and make the model ready."""
    torch.manual_seed(0)
    model = model_class._from_config(config, attn_implementation="sdpa")
    scatter_weights(model)
    entry = Entry("tiny", "tiny", max_new_tokens=STEPS, threads=1)
    return wrap(entry, model, processor, config.model_type)


# ---- what is looked at -------------------------------------------------------------------------


def noise(width: int = 180, height: int = 130) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@contextmanager
def eager(vlm: Vlm, modules: list[torch.nn.Module]) -> Iterator[list[torch.Tensor]]:
    """Run with transformers' eager attention, and hear the weights of some modules.

    A module that looks at one frame after the other gives those of all, [V, H, n, n]; one with
    windows of several sizes those of the last.
    """
    heard: dict[torch.nn.Module, list[torch.Tensor]] = defaultdict(list)
    code = sys.modules[type(modules[0]).__module__]
    plain = code.eager_attention_forward

    def spy(module, *args, **kwargs):
        out = plain(module, *args, **kwargs)
        heard[module].append(out[1])
        return out

    vlm.model.set_attn_implementation("eager")
    try:
        with mock.patch.object(code, "eager_attention_forward", spy):
            weights: list[torch.Tensor] = []
            yield weights
            for module in modules:
                parts = heard[module]
                alike = all(part.shape == parts[0].shape for part in parts)
                weights.append(torch.cat(parts) if alike else parts[-1])
    finally:
        vlm.model.set_attn_implementation(register_attention())


def keeping(choices: dict[int, list[int]], **kwargs) -> PruningPlan:
    """Keep these visual tokens (counted among those alive) before these layers."""
    stages = tuple(Stage(layer, len(kept)) for layer, kept in choices.items())
    return PruningPlan(stages, lambda _, stage: Kept(torch.tensor(choices[stage.layer])), **kwargs)


def sparse(prompt, shares: dict[int, int]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Keep every how many-th visual token, as a choice for `keeping` and as the places left.

    shares: layer -> every how many-th of those alive stays.
    """
    rest = [i for i in range(prompt.inputs_embeds.shape[1]) if i not in prompt.visual_positions]
    choices, alive, now = {}, {}, prompt.visual_positions.tolist()
    for layer, every in shares.items():
        choices[layer] = list(range(1, len(now), every))
        now = [now[i] for i in choices[layer]]
        alive[layer] = rest + now
    return choices, alive


@torch.no_grad()
def masked_reference(vlm: Vlm, prompt, alive: dict[int, list[int]], tokens) -> torch.Tensor:
    """Logits of the model's own forward, from which dropped keys are hidden by 4-D masks.

    alive: layer -> places of the prompt that stay from there on.
    """
    body, low = vlm.model.get_decoder(), torch.finfo(torch.float32).min
    x = torch.cat([prompt.inputs_embeds, body.embed_tokens(torch.tensor([tokens]))], 1)
    S, n = prompt.inputs_embeds.shape[1], x.shape[1]
    ahead = prompt.position_ids[..., -1].max() + 1 + torch.arange(len(tokens))
    ahead = ahead.expand(*prompt.position_ids.shape[:-1], -1)
    full = mask = torch.full((n, n), low).triu(1)[None, None]
    hooks = []
    for index, layer in enumerate(body.layers):
        if index in alive:
            gone = torch.ones(n, dtype=torch.bool)
            gone[alive[index]] = False
            gone[S:] = False
            mask = mask.masked_fill(gone, low).masked_fill(torch.eye(n, dtype=torch.bool), 0)

        def masked(_, args, kwargs, now=mask):
            return args, kwargs | {"attention_mask": now}

        hooks.append(layer.register_forward_pre_hook(masked, with_kwargs=True))
    deep = {}
    if prompt.deepstack:
        seen = torch.zeros(1, n, dtype=torch.bool)
        seen[0, prompt.visual_positions] = True
        deep = {"visual_pos_masks": seen, "deepstack_visual_embeds": list(prompt.deepstack)}
    positions = torch.cat([prompt.position_ids, ahead], -1)
    out = body(
        inputs_embeds=x, position_ids=positions, attention_mask=full, use_cache=False, **deep
    )
    for hook in hooks:
        hook.remove()
    return vlm.model.lm_head(out.last_hidden_state)[0, S - 1 : -1]


def said(logits: torch.Tensor, tokens: list[int]) -> float:
    """Log-probability of an answer."""
    return float(logits.log_softmax(-1)[torch.arange(len(tokens)), tokens].sum())


def overlaps(boxes: np.ndarray, spot: tuple[int, ...], reach: np.ndarray) -> np.ndarray:
    """Which boxes [N, 4], made larger by reach [N, 2], meet the spot."""
    x0, y0, x1, y1 = spot
    across = (boxes[:, 0] - reach[:, 0] < x1) & (boxes[:, 2] + reach[:, 0] > x0)
    return across & (boxes[:, 1] - reach[:, 1] < y1) & (boxes[:, 3] + reach[:, 1] > y0)


def plain_picture(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), (90, 140, 60), np.uint8)


def features(vlm: Vlm, picture: np.ndarray) -> torch.Tensor:
    """The visual tokens, with the tower's attention silenced: every patch is on its own."""
    pixels = vlm.family.preprocess(vlm, Image.fromarray(picture))
    with override_attention(lambda query, key, value, scaling: torch.zeros_like(query)):
        return vlm.family.vision_tower(vlm).run(pixels).features


def is_real(change: np.ndarray) -> np.ndarray:
    """Which changes are more than rounding."""
    return change > max(1e-4 * change.max(), 1e-6)


class Promises:
    """Take these over: `class TestMine(Promises)` with a static `build(real)`.

    build gives the model; real keeps the picture geometry of the checkpoints on the hub, with
    weights as tiny as ever. reach: how far resampling carries a pixel of the uploaded picture.
    exact: a size of picture whose pixels are those of the crops. cls: whether the tower has one.
    processors_pixels: whether ours are those that the processor makes of the same picture.
    without: methods that can't run on such a tower, beside those that miss a [CLS].
    """

    reach = 2.5
    exact = (0, 0)
    cls = False
    processors_pixels = True
    without: frozenset[str] = frozenset()

    @staticmethod
    def build(real: bool) -> Vlm:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def vlm(cls) -> Vlm:
        return cls.build(False)

    @pytest.fixture(scope="class")
    @classmethod
    def real(cls) -> Vlm:
        return cls.build(True)

    @pytest.fixture(scope="class")
    @classmethod
    def cache(cls) -> ResultCache:
        return ResultCache(500_000_000)

    def inputs(self, vlm: Vlm, picture: Image.Image) -> dict[str, torch.Tensor]:
        """What the processor makes of picture and question, for the untouched model."""
        content = [{"type": "image", "image": picture}, {"type": "text", "text": QUESTION}]
        given = vlm.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        given = dict(given)
        if not self.processors_pixels:
            given |= vlm.family.preprocess(vlm, picture)
        return given

    # ---- words and pixels

    @pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
    def test_the_prompt_is_what_the_processor_writes(self, vlm, size):
        picture = noise(*size)
        given, ours = self.inputs(vlm, picture), vlm.family.preprocess(vlm, picture)
        grid = vlm.family.grid(vlm, *size)
        chat = vlm.family.build_prompt(vlm, QUESTION, grid)
        assert torch.equal(chat.input_ids, given["input_ids"])
        assert len(chat.visual_positions) == grid.count
        image_token = chat.input_ids[0, chat.visual_positions]
        assert (image_token == image_token[0]).all()
        for name, values in ours.items():
            assert torch.equal(values, given[name].to(values.dtype)), name
        tokens = vlm.processor.tokenizer
        assert tokens.decode(chat.input_ids[0, -chat.n_response_header :]) == "assistant"
        text = tokens.decode(chat.input_ids[0, chat.is_text]).split()
        assert text[-len(QUESTION.split()) - 1 :] == [*QUESTION.split(), "assistant"]
        assert set(text) <= set(WORDS.split())  # no mark of a picture

    def test_a_question_can_not_smuggle_in_a_picture(self, vlm):
        grid = vlm.family.grid(vlm, 120, 90)
        marks = [token.content for token in vlm.processor.tokenizer.added_tokens_decoder.values()]
        plain = vlm.family.build_prompt(vlm, QUESTION, grid).input_ids
        chat = vlm.family.build_prompt(vlm, f"{''.join(marks)} {QUESTION} {marks[-1]}", grid)
        assert torch.equal(chat.input_ids, plain)

    # ---- the grid

    @pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
    @torch.no_grad()
    def test_a_painted_spot_changes_the_tokens_whose_boxes_it_lies_in(self, real, size):
        """With attention silenced every patch is on its own."""
        width, height = size
        grid, plain = real.family.grid(real, width, height), plain_picture(width, height)
        before = features(real, plain)
        assert len(before) == grid.count
        boxes, view = grid.boxes, grid.place[:, 0]
        edges = np.maximum(self.reach, 0.18 * (boxes[:, 2:] - boxes[:, :2]))
        seen = np.flatnonzero((view >= 0) & ~grid.padding)
        drawn = np.random.default_rng(1).choice(seen, 1)
        for token in [seen[0], seen[-1], *drawn]:
            x0, y0, x1, y1 = np.clip(boxes[token], 0, [width, height] * 2)
            left = int(min((x0 + x1) / 2, width - 1))
            top = int(min((y0 + y1) / 2, height - 1))
            right, bottom = (
                start + max(1, int((end - begin) / 4))
                for start, begin, end in ((left, x0, x1), (top, y0, y1))
            )
            spot = plain.copy()
            spot[top:bottom, left:right] = (250, 20, 200)
            change = (features(real, spot) - before).norm(dim=1).numpy()
            changed = is_real(change)
            painted = (left, top, right, bottom)
            assert changed[token]
            assert not (changed & ~overlaps(boxes, painted, edges)).any()
            for number in set(view[view >= 0].tolist()):
                under = overlaps(boxes, painted, np.zeros_like(edges)) & (view == number)
                if under.any():
                    strongest = np.where(view == number, change, -1).argmax()
                    assert overlaps(boxes, painted, np.ones_like(edges))[strongest]

    @torch.no_grad()
    def test_boxes_are_exact_where_nothing_is_resampled(self, real):
        """A painted box changes its token alone in its view; all around it changes all others."""
        width, height = self.exact
        grid, plain = real.family.grid(real, width, height), plain_picture(width, height)
        before, last = features(real, plain), len(grid.views) - 1
        here = np.flatnonzero(grid.place[:, 0] == last)
        for token in (here[0], here[len(here) // 3], here[-1]):
            x0, y0, x1, y1 = grid.boxes[token].round().astype(int)
            inside, outside = plain.copy(), 255 - plain
            inside[y0:y1, x0:x1] = 255 - plain[y0:y1, x0:x1]
            outside[y0:y1, x0:x1] = plain[y0:y1, x0:x1]
            assert np.allclose(grid.boxes[token], (x0, y0, x1, y1), atol=1e-3)
            for picture, expected in ((inside, {token}), (outside, {*here} - {token})):
                change = (features(real, picture) - before).norm(dim=1).numpy()
                assert set(here[is_real(change)[here]]) == expected

    # ---- the tower

    @torch.no_grad()
    def test_tower_signals_equal_eager_attention(self, vlm):
        picture = noise()
        family, tower = vlm.family, vlm.family.vision_tower(vlm)
        needs = {"patch_attention", "patch_logits", "keys", "hidden", "project", "cls_hidden"}
        needs |= {"cls_attention", *OF_CLS, *OF_ALL}
        pixels, grid = family.preprocess(vlm, picture), family.grid(vlm, *picture.size)
        place, patches = (
            torch.from_numpy(table.astype("int64")) for table in (grid.place, grid.patches)
        )
        signals = tower_signals(encode_image(tower, pixels), place, patches, frozenset(needs))
        others = (tower.first, tower.early, tower.last, tower.object)
        with eager(vlm, [tower.attention, *others]) as weights:
            tower.run(pixels)
        attention, *of_others, of_object = weights
        skip = int(self.cls)
        patch_rows = attention[:, :, skip:, skip:].mean(1)
        assert patch_rows.std() > 1e-3, "uniform attention: the test is vacuous"
        assert torch.allclose(signals.patch_attention, patch_rows, atol=2e-6)
        assert signals.hidden.shape[:2] == signals.keys.shape[:2] == patch_rows.shape[:2]
        names = (
            "cls_attention",
            "first_cls_attention",
            "early_cls_attention",
            "last_cls_attention",
        )
        for name, of in zip(names, (attention, *of_others), strict=True):
            row = getattr(signals, name)
            assert (row is not None) == self.cls
            if self.cls:
                assert torch.allclose(row, of[:, :, 0, 1:], atol=2e-6)
        received = of_object.mean((1, 2))[:, skip:]
        assert torch.allclose(signals.object_attention, received, atol=2e-6)
        assert signals.last_keys.shape[:2] == received.shape
        if tower.last is tower.attention:
            own = signals.last_keys.unflatten(2, (-1, signals.keys.shape[2])).mean(2)
            assert torch.allclose(own, signals.keys, atol=1e-6)
        if self.cls:  # the constants of the heads' softmaxes cancel
            last = of_others[-1][:, :, 0].log().sum(1) / of_others[-1].shape[1] ** 0.5
            assert torch.allclose(signals.wide_cls_attention, last.softmax(-1)[:, 1:], atol=2e-6)
        # a few heads at a time give the same
        with mock.patch("explorer.inference.attention_weights.MAX_ATTENTION_ELEMENTS", 1):
            again = tower_signals(encode_image(tower, pixels), place, patches, frozenset(needs))
        assert torch.allclose(again.patch_attention, signals.patch_attention, atol=1e-6)
        assert torch.allclose(again.patch_logits, signals.patch_logits, atol=1e-4)

    @torch.no_grad()
    def test_a_rerun_of_the_tower_gives_what_the_projector_reads(self, vlm):
        tower, pixels = vlm.family.vision_tower(vlm), vlm.family.preprocess(vlm, noise())
        vision = encode_image(tower, pixels)
        if vision.rerun_tower is None:
            assert not tower.layers
            return
        seen, skip = [], int(self.cls)
        with mock.patch("explorer.vlm.tower.rerun.yield_turn") as looked:
            found = vision.rerun_tower(seen.append)
        assert looked.call_count >= 4 * len(tower.layers), "cancelling waits for a product at most"
        assert torch.allclose(found[:, skip:], vision.hidden, atol=1e-5)
        assert [layer.number for layer in seen] == list(range(len(tower.layers)))
        assert seen[tower.feeds].number == seen[tower.feeds].feeds

        def drop(layer):
            """Leave every second patch out behind the first layer."""
            if layer.number == 0:
                return torch.cat([layer.hidden[:, :skip], layer.hidden[:, skip::2]], 1)
            return None

        fewer = vision.rerun_tower(drop)
        left = vision.hidden[:, ::2]
        assert fewer.shape[1] == left.shape[1] + skip
        assert (fewer[:, skip:] - left).abs().max() > 1e-3, "dropping changed nothing"
        assert torch.allclose(encode_image(tower, pixels).hidden, vision.hidden), "hooks are idle"

    def test_what_stands_behind_the_question_does_not_depend_on_it(self, vlm):
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        asked = ("is", "a", "this", "e", "user", "assistant", "assistant :", ":", "<s>", QUESTION)
        prompts = [vlm.family.build_prompt(vlm, text, case.vision.grid) for text in asked]
        assert len({prompt.n_response_header for prompt in prompts}) == 1

    @torch.no_grad()
    def test_the_projector_makes_the_tokens_of_the_patches_that_the_grid_names(self, vlm):
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        signals = case.prompt(
            frozenset({"hidden", "project", "project_difference", "cls_hidden"})
        ).signals
        x = signals.unprojected()
        generator = torch.Generator().manual_seed(0)  # whichever tests ran before
        nudge = 0.1 * torch.randn(3, 1, x.shape[1], generator=generator)
        exact = deepcopy(
            vlm.family.vision_tower(vlm).project
        ).double()  # single precision cancels digits
        apart = exact((x + nudge).double()) - exact((x - nudge).double())
        assert torch.allclose(signals.project_difference(x, nudge), apart.float(), atol=1e-5)
        made = signals.project(x)
        several = (signals.patches >= 0).sum(1) > 1
        alone = (signals.grid_position[:, 0] >= 0) & ~(several & (signals.patches_per_token == 1))
        assert alone.any()
        assert torch.allclose(made[alone], signals.features[alone], atol=1e-4)
        if self.cls:
            assert signals.project(signals.cls_hidden).shape == (len(signals.hidden), 32)

    # ---- the language model

    @torch.no_grad()
    def test_all_tokens_kept_equals_the_untouched_model(self, vlm):
        picture = noise()
        case, inputs = (
            open_case(CaseRequest.make(vlm, picture, QUESTION)),
            self.inputs(vlm, picture),
        )
        run = prefill(case.decoder, case.prompt())
        assert (run.logits - vlm.model(**inputs).logits[0, -1]).abs().max() <= 1e-5
        tokens = [step.token for step in decode(run, STEPS)]
        own = vlm.model.generate(**inputs, max_new_tokens=STEPS, do_sample=False)
        assert tokens == own[0, inputs["input_ids"].shape[1] :].tolist()

    @pytest.mark.parametrize(
        "shares", [{0: 3}, {1: 3}, {2: 3}, {0: 2, 1: 2}, {0: 2, 3: 3}], ids=str
    )
    def test_dropping_equals_masking(self, vlm, shares):
        """shares: layer -> every how many-th visual token stays."""
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        prompt = case.prompt()
        choices, alive = sparse(prompt, shares)
        run = prefill(case.decoder, prompt, keeping(choices))
        answer = list(decode(run, STEPS))
        tokens, logits = [s.token for s in answer], torch.stack([s.logits for s in answer])
        reference = masked_reference(vlm, prompt, alive, tokens)
        assert (logits - reference).abs().max() < 5e-5
        full = prefill(case.decoder, prompt).logits
        assert (logits[0] - full).abs().max() > 1e-2, "dropping changed nothing"
        again = teacher_force(prefill(case.decoder, prompt, keeping(choices)), tokens)
        assert torch.allclose(again, logits, atol=5e-5)

    @torch.no_grad()
    def test_signals_inside_the_model_equal_eager_attention(self, vlm):
        picture = noise()
        case, layer, seen = open_case(CaseRequest.make(vlm, picture, QUESTION)), 3, []
        needs = {"last_attention", "tail_attention", "visual_to_tail", "visual_attention"}
        needs |= {"next_last_attention", "next_tail_attention"}

        def look(signals, stage):
            seen.append(signals)
            return Kept(torch.arange(signals.count))

        prompt = case.prompt(frozenset({"question_attention", "tail"}))
        plan = PruningPlan((Stage(layer, case.size.tokens),), look, needs=frozenset(needs))
        prefill(case.decoder, prompt, plan)
        layers = case.decoder.body.layers
        with eager(vlm, [layers[i].self_attn for i in (0, layer - 1, layer)]) as weights:
            vlm.model(**self.inputs(vlm, picture), use_cache=False)
        with mock.patch("explorer.inference.layer_signals.MAX_QUERY_ROWS", 5):
            prefill(case.decoder, prompt, plan)
        (first, before, after), (signals, in_parts) = (w[0] for w in weights), seen
        for name in needs:
            assert torch.allclose(getattr(in_parts, name), getattr(signals, name), atol=1e-6)
        v, tail = prompt.visual_positions, int(prompt.visual_positions[-1]) + 1
        for found, expected in (
            (prompt.signals.question_attention, first[:, tail:, v].mean((0, 1))),
            (signals.last_attention, before[:, -1][:, v]),
            (signals.tail_attention, before[:, tail:][..., v]),
            (signals.visual_to_tail, before[:, v][..., tail:].mean(0).sum(-1)),
            (signals.next_last_attention, after[:, -1][:, v]),
            (signals.next_tail_attention, after[:, tail:][..., v]),
            (signals.visual_attention, after[:, v][..., v].mean(0)),
        ):
            assert torch.allclose(found, expected, atol=1e-5)
        table = vlm.model.get_input_embeddings().weight
        chat = vlm.family.build_prompt(vlm, QUESTION, case.vision.grid)
        assert torch.equal(prompt.signals.tail, table[chat.input_ids[0, tail:]])

    @pytest.mark.parametrize("shares", [{}, {2: 3}], ids=str)
    def test_what_words_attend_to_equals_eager_attention(self, vlm, shares):
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        prompt = case.prompt()
        S, N = prompt.inputs_embeds.shape[1], case.size.tokens
        choices, alive = sparse(prompt, shares)
        asked = torch.zeros(S - N, dtype=torch.bool)
        *steps, traced = trace(case.decoder, prompt, keeping(choices), asked, STEPS)
        layers, n = case.decoder.body.layers, len(steps)
        with eager(vlm, [layer.self_attn for layer in layers]) as weights:
            reference = masked_reference(vlm, prompt, alive, traced.tokens)
        seen = list(range(S))
        for index, whole in enumerate(weights):
            seen = sorted(alive.get(index, seen))
            rows, expected = traced.rows(index), whole[0, :, S - 1 : S - 1 + n]
            assert torch.allclose(rows.first, expected[:, 0, seen], atol=1e-5)
            own = list(range(S, S + n - 1))
            assert torch.allclose(rows.later, expected[:, 1:, seen + own], atol=1e-5)
            shares_of_kinds = rows.shares(len(KINDS))
            assert torch.allclose(shares_of_kinds.sum(1), torch.ones(n), atol=1e-5)
            patches = rows.to_patches()
            there = sorted(set(seen) & set(prompt.visual_positions.tolist()))
            drawn = [prompt.visual_positions.tolist().index(at) for at in there]
            assert torch.allclose(patches[..., drawn], expected[..., there], atol=1e-5)
            assert int(patches.isnan().any((0, 1)).sum()) == N - len(drawn)
        found = torch.stack([step.logits for step in steps])
        assert torch.allclose(traced.logits(len(layers) - 1), found, atol=1e-5)
        if not shares:
            flow = torch.eye(S + n)
            for whole in weights:
                flow = (flow + whole[0].mean(0) @ flow) / 2
            reached = rollout(case.decoder, prompt, keeping(choices), traced.tokens)
            expected = flow[S - 1 : S - 1 + n, prompt.visual_positions]
            assert torch.allclose(reached, expected, atol=1e-5)
        assert (found - reference).abs().max() < 5e-5

    def test_an_answer_can_be_looked_into(self, vlm, cache):
        request = CaseRequest.make(vlm, noise(), QUESTION)
        n = open_case(request, cache).size.tokens
        for method, budget in (("full", 1), ("fastv", n // 2), ("pool", n // 2)):
            inside = looking.look_inside(request, method, budget, cache=cache)
            G = len(inside.token_ids)
            assert inside.attention.shape == (LAYERS, G, n)
            assert np.allclose(inside.shares.sum(-1), 1, atol=1e-5)
            assert inside.says[-1] == inside.predicted, "the last layer's lens is the answer"
            assert max(inside.stands_from) < LAYERS
            heads = looking.attention_of_heads(request, method, budget, 3, cache=cache)
            mean = heads.mean(0, dtype=np.float32)
            assert np.allclose(mean, inside.attention[3], atol=1e-3, equal_nan=True)
            reached = looking.roll_out(request, method, budget, cache=cache)
            assert reached.shape == (G, n) and (reached.sum(1) <= 1 + 1e-5).all()
            every = read_keys(request, method, budget, 10_000, 10_000, cache=cache)
            assert every.tidal.agrees and every.tidal.everything
            assert np.nanmin(every.tidal.recall) == 1 and every.coverage.shape == (G - 1,)
            some = TokenSelect(n // 4, rope="n_local")
            few = read_keys(request, method, budget, n // 4, some, cache=cache)
            if method == "full":  # a pooled token's votes are those of several patches
                assert few.select.votes.sum(-1, dtype=np.float32) == pytest.approx(4, abs=0.05)
            assert few.select.heat.max() <= 1 and 0 < few.select.counts.union <= 1

    def test_answers_side_by_side_equal_answers_alone(self, vlm):
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        prompt, every = case.prompt(), case.size.tokens

        def runs():
            plans = [
                PruningPlan(),
                keeping({0: [0, every - 1]}),
                keeping({2: list(range(0, every, 3))}),
            ]
            return [prefill(case.decoder, prompt, plan) for plan in plans]

        alone = [[step.token for step in decode(run, STEPS)] for run in runs()]
        together: list[list[int]] = [[], [], []]
        for steps in decode_together(runs(), STEPS):
            for number, step in steps:
                together[number].append(step.token)
        assert together == alone

    def test_prompts_pass_together_as_if_alone(self, vlm):
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        prompt, every = case.prompt(), case.size.tokens
        plans = [keeping({0: [0, every - 1]}), PruningPlan(), keeping({0: [1]})]
        plans.append(keeping({2: list(range(0, every, 3))}))
        joined = prefill_together(case.decoder, [(prompt, plan) for plan in plans])
        for run, plan in zip(joined, plans, strict=True):
            own = prefill(case.decoder, prompt, plan)
            assert torch.allclose(run.logits, own.logits, atol=1e-4)
            ours, expected = ([s.token for s in decode(each, STEPS)] for each in (run, own))
            assert ours == expected

    def test_passes_that_explain_an_answer_are_passes_of_the_same_model(self, vlm):
        """The oracle's and the relevance's own loops over the layers."""
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        prompt = case.prompt()
        run = prefill(case.decoder, prompt)
        answer = [step for step in decode(run, 4) if step.token not in case.decoder.eos]
        tokens = [step.token for step in answer]
        logits = torch.stack([step.logits for step in answer])
        probe = AblationScorer(case.decoder, prompt, tokens)
        wanted = said(logits, tokens)
        present = torch.ones(2, case.size.tokens)
        present[1, ::2] = 0
        found = probe.log_prob_ablated(present)
        assert float(found[0]) == pytest.approx(wanted, abs=1e-4)
        kept = list(range(1, case.size.tokens, 2))
        dropped = teacher_force(prefill(case.decoder, prompt, keeping({0: kept})), tokens)
        assert float(found[1]) == pytest.approx(said(dropped, tokens), abs=1e-4)
        with torch.no_grad():
            assert float(probe.log_prob_replaced(probe.tokens)) == pytest.approx(wanted, abs=1e-4)
        step = next(iter(gradients(case.decoder, prompt, tokens)))
        rows = [layer[:, step.row] for layer in step.attention]  # which predict the first token
        last = torch.stack(rows)
        listened = last[..., prompt.visual_positions].sum(-1).mean(1)
        assert torch.allclose(listened, run.prompt_attention_mass[:, 1], atol=1e-5)

    # ---- the methods

    def test_every_method_runs_or_says_why_not(self, vlm, cache):
        request = CaseRequest.make(replace(vlm, max_new_tokens=2), noise(), QUESTION)
        size, wanted = open_case(request, cache).size, []
        for method in [*method_catalog.choices(), MustDrop(tower="on")]:
            spec = method.spec
            try:
                drawn = analyses.draw(request, spec, cache=cache)
            except MethodUnavailable as reason:
                sentence = str(reason)
                assert sentence.endswith(".") and ". " not in sentence, spec
                assert spec in self.unavailable
                continue
            assert spec not in self.unavailable
            assert len(drawn.score) == size.tokens and np.isfinite(drawn.score).all(), spec
            lowest = method.floor(size)
            budgets = sorted({lowest, (lowest + size.tokens) // 2, size.tokens})
            wanted += [(spec, budget) for budget in budgets]
        told = list(analyses.answer_many(request, wanted, cache=cache))
        assert sorted((each.method, each.budget) for each in told) == sorted(wanted)
        for each in told:
            assert len(each.answer.layers) == LAYERS, each.method
            assert np.isfinite(each.answer.p_full), each.method
            if each.budget == size.tokens:
                assert set(each.answer.layers) == {size.tokens}, each.method

    @property
    def unavailable(self) -> set[str]:
        """Methods that can't run: a network nobody trained, and a [CLS] that isn't there."""
        return {"relevance_map"} | self.without | (set() if self.cls else {"clsattn"})
