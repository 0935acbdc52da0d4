"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: any size, merged patches, windows, mRoPE, DeepStack."""

from __future__ import annotations

import pytest
import torch
import transformers
from family_contract import (
    QUESTION,
    Promises,
    keeping,
    noise,
    template,
    text_config,
    tokenizer,
    wrapped,
)
from video_family_contract import FilmPromises

from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.signals import Kept, Stage
from explorer.vlm.families import qwen_vl

MARKS = {f"{name}_token_id": f"<|{name}|>" for name in ("vision_start", "vision_end")}
MARKS |= {f"{name}_token_id": f"<|{name}_pad|>" for name in ("image", "video")}
TIMES = ("<2.0", "<10.0", "<16.0")  # seconds, in the middle of each pair
OF_VERSION = {  # what the towers' configs don't share
    "Qwen2VL": {"embed_dim": 32},
    "Qwen2_5_VL": {"fullatt_block_indexes": [1], "out_hidden_size": 32, "intermediate_size": 64},
    "Qwen3VL": {
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
        "out_hidden_size": 32,
        "intermediate_size": 64,
    },
}


def tiny(name: str, real: bool):
    """A random model; not real: at most 30 tokens, and windows of 2 x 2 tokens."""
    words, patch = tokenizer(list(MARKS.values()), TIMES), 16 if name == "Qwen3VL" else 14
    area = (2 * patch) ** 2
    size = {"shortest_edge": 4 * area, "longest_edge": (16384 if real else 30) * area}
    looks = transformers.Qwen2VLImageProcessor(patch_size=patch, size=size)
    if name == "Qwen3VL":  # whose limit is for all frames together
        size = size | {"longest_edge": 7 * size["longest_edge"]}
    films = getattr(transformers, name.replace("2_5_", "2") + "VideoProcessor")(
        patch_size=patch, size=size
    )
    begin, end, image, video = MARKS.values()
    processor = getattr(transformers, f"{name}Processor")(
        looks, words, films, chat_template=template(begin + image + end, video=begin + video + end)
    )
    vision = {"depth": 3, "num_heads": 4, "hidden_size": 32, "patch_size": patch}
    if name == "Qwen2_5_VL":
        vision["window_size"] = 112 if real else 56
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
    config = getattr(transformers, f"{name}Config")(
        vision_config=vision | OF_VERSION[name],
        text_config=text_config(len(words), rope_parameters=rope)
        | ({"head_dim": 8} if name == "Qwen3VL" else {}),
        **{key: words.convert_tokens_to_ids(mark) for key, mark in MARKS.items()},
    )
    return wrapped(getattr(transformers, f"{name}ForConditionalGeneration"), config, processor)


class QwenVl(FilmPromises, Promises):
    """What all three promise, besides what every family does."""

    together = 2
    whole = (5, 6)
    split = False

    def test_positions_tell_row_and_column_and_stay_when_tokens_leave(self, vlm):
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        prompt, grid = case.prompt(), case.vision.grid
        start = int(prompt.visual_positions[0])
        place = torch.from_numpy(grid.place.astype("int64"))
        at = prompt.position_ids[:, 0, prompt.visual_positions]
        assert (at[0] == start).all()
        assert torch.equal(at[1:].T, start + place[:, 1:])
        after = prompt.position_ids[:, 0, prompt.visual_positions[-1] + 1]
        assert (after == start + max(grid.views[0].rows, grid.views[0].columns)).all()
        plans = [keeping({0: [2, 5, 9]}, renumber=renumber) for renumber in (False, True)]
        kept, asked_to_renumber = (prefill(case.decoder, prompt, plan) for plan in plans)
        assert torch.equal(kept.logits, asked_to_renumber.logits)

    def test_a_merged_token_lies_in_the_middle_of_those_folded_into_it(self, vlm):
        """By hand: mean position, and the mean of what DeepStack adds behind each layer."""
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        prompt, n = case.prompt(), case.size.tokens
        group = torch.full((n,), -1)
        group[[1, 3]], group[[6, 7, 8]] = 0, 1
        merged = torch.stack(
            [prompt.inputs_embeds[0, prompt.visual_positions[group == g]].mean(0) for g in (0, 1)]
        )
        kept = Kept(torch.tensor([0, 2, 4]), merged, group, lead=1)
        plan = PruningPlan((Stage(0, 3, 2),), lambda *_: kept, renumber=True)
        run = prefill(case.decoder, prompt, plan)

        v, first, last = (
            prompt.visual_positions,
            int(prompt.visual_positions[0]),
            int(prompt.visual_positions[-1]),
        )

        def joined(rows: torch.Tensor) -> torch.Tensor:
            """Of rows [N, ...]: the first merged, the kept, the second merged."""
            rows = rows.float()
            means = [rows[group == g].mean(0, keepdim=True) for g in (0, 1)]
            return torch.cat([means[0], rows[kept.index], means[1]])

        def around(values: torch.Tensor, middle: torch.Tensor) -> torch.Tensor:
            return torch.cat([values[:first], middle.to(values.dtype), values[last + 1 :]])

        x = around(prompt.inputs_embeds[0], joined(prompt.inputs_embeds[0, v]))[None]
        positions = torch.stack(
            [around(axis[0], joined(axis[0, v]).round()) for axis in prompt.position_ids]
        )[:, None]
        body, low = case.decoder.body, torch.finfo(torch.float32).min
        rotary = body.rotary_emb(x, positions)
        mask = torch.full((x.shape[1],) * 2, low).triu(1)[None, None]
        with torch.no_grad():
            for index, layer in enumerate(body.layers):
                x = layer(x, attention_mask=mask, position_embeddings=rotary)
                if index < len(prompt.deepstack):
                    x[0, first : first + 5] += joined(prompt.deepstack[index])
            logits = vlm.model.lm_head(body.norm(x))[0, -1]
        assert (run.logits - logits).abs().max() < 5e-5

    def test_the_number_of_tokens_has_a_limit(self, real):
        limit = qwen_vl.MAX_TOKENS
        for size in ((2048, 2048), (2048, 110)):
            grid = real.family.grid(real, *size)
            assert grid.count <= limit
            pixels = real.family.preprocess(real, noise(*size))
            assert pixels["image_grid_thw"].prod() == 4 * grid.count
        assert real.family.grid(real, 2048, 2048).count > 0.9 * limit


class TestQwen2(QwenVl):
    exact = (560, 420)

    @staticmethod
    def build(real):
        return tiny("Qwen2VL", real)


class TestQwen25(QwenVl):
    exact = (420, 560)

    @staticmethod
    def build(real):
        return tiny("Qwen2_5_VL", real)

    def test_the_tower_looks_through_windows(self, vlm):
        grid = vlm.family.grid(vlm, 180, 130)
        plain = torch.arange(4 * grid.count).view(-1, 4).tolist()
        assert grid.patches.tolist() != plain
        assert sorted(grid.patches.tolist()) == plain


class TestQwen3(QwenVl):
    exact = (640, 480)
    whole = (4, 6)
    split = True
    says = TIMES

    @staticmethod
    def build(real):
        return tiny("Qwen3VL", real)

    def test_what_deepstack_adds_is_not_small(self, vlm):
        prompt = open_case(CaseRequest.make(vlm, noise(), QUESTION)).prompt()
        assert len(prompt.deepstack) == 2
        assert all(rows.norm(dim=1).mean() > 0.5 for rows in prompt.deepstack)
        plan = keeping({2: [0, 1, 7]})
        case = open_case(CaseRequest.make(vlm, noise(), QUESTION))
        without = prompt.__class__(
            prompt.inputs_embeds,
            prompt.position_ids,
            prompt.visual_positions,
            prompt.is_text,
            prompt.signals,
            prompt.n_response_header,
        )
        one, other = (prefill(case.decoder, p, plan).logits for p in (prompt, without))
        assert (one - other).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("size", "count"), [((336, 336), 144), ((900, 300), 352), ((700, 840), 750), ((24, 20), 6)]
)
def test_real_pictures_have_the_published_number_of_tokens(size, count):
    vlm = TestQwen2.build(True)
    assert vlm.family.grid(vlm, *size).count == count
