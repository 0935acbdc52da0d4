"""Every family on its real transformers and processor classes with tiny random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import scatter_weights
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from explorer import jobs, methods, zoo
from explorer.capture import ATTENTION, see, tower_signals
from explorer.cases import open_case
from explorer.engine import decode, prefill
from explorer.errors import MethodUnavailable
from explorer.families import Vlm, family_of

SIDE, PATCH = 56, 14
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<image> {% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}assistant"
)
QUESTION = "what is in the picture"


def tiny_llava(kv_heads: int, cls: bool) -> Vlm:
    """A random LLaVA with 4 x 4 patches; without [CLS] it has a SigLIP tower."""
    words = "<unk> <pad> <s> </s> what is in the picture assistant a b c d".split()
    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    strategy = "default" if cls else "full"
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=int(cls),
        chat_template=TEMPLATE,
    )
    vision = {
        "model_type": "clip_vision_model" if cls else "siglip_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": PATCH,
    }
    text = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 512,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2 if cls else -1,
        vision_feature_select_strategy=strategy,
    )
    model = LlavaForConditionalGeneration._from_config(config, attn_implementation="sdpa")
    scatter_weights(model)
    entry = zoo.Entry("tiny", "tiny", "llava", "float32", "", "", "")
    return zoo.wrap(entry, model, processor, "llava")


@pytest.fixture(params=[(4, True), (2, True), (4, False)], ids=["cls", "grouped", "no cls"])
def vlm(request) -> Vlm:
    return tiny_llava(*request.param)


@pytest.fixture
def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@torch.no_grad()
def test_all_tokens_kept_equals_the_untouched_model(vlm, picture):
    case = open_case(vlm, picture, QUESTION)
    words = vlm.family.words(vlm, QUESTION, case.size.tokens)
    inputs = {"input_ids": words.ids, "pixel_values": vlm.family.pixels(vlm, picture)}
    run = prefill(case.decoder, case.prompt())
    assert (run.logits - vlm.model(**inputs).logits[0, -1]).abs().max() <= 1e-5
    tokens = [step.token for step in decode(run, 6)]
    own = vlm.model.generate(**inputs, max_new_tokens=6, do_sample=False)
    assert tokens == own[0, words.ids.shape[1] :].tolist()


@pytest.mark.parametrize("size", [(56, 56), (180, 60), (80, 180), (24, 20)], ids=str)
@torch.no_grad()
def test_a_painted_spot_changes_the_token_whose_box_it_lies_in(size, monkeypatch):
    vlm = tiny_llava(4, cls=True)
    tower = vlm.family.tower(vlm)
    for layer in vlm.model.model.vision_tower.encoder.layers:  # every patch for itself
        monkeypatch.setattr(
            layer.self_attn, "forward", lambda hidden_states, **_: (0 * hidden_states, None)
        )
    grid = vlm.family.grid(vlm, *size)
    plain = np.full((size[1], size[0], 3), (90, 140, 60), np.uint8)

    def features(pixels: np.ndarray) -> torch.Tensor:
        return tower.run(vlm.family.pixels(vlm, Image.fromarray(pixels)))[1]

    before = features(plain)
    for token in np.flatnonzero(~grid.padding)[::3]:
        x0, y0, x1, y1 = np.clip(grid.boxes[token], 0, [*size, *size])
        cx, cy = int((x0 + x1) / 2), int((y0 + y1) / 2)
        spot = plain.copy()
        spot[cy : cy + max(1, int(y1 - y0) // 4), cx : cx + max(1, int(x1 - x0) // 4)] = 255
        change = (features(spot) - before).norm(dim=1)
        assert int(change.argmax()) == token


@torch.no_grad()
def test_tower_signals_equal_eager_attention(vlm, picture):
    cls_rows = {"cls_attention", "first_cls_attention", "last_cls_attention"}
    needs = frozenset({"patch_attention", "patch_logits", "keys", *cls_rows})
    pixels = vlm.family.pixels(vlm, picture)
    seen = see(vlm.family.tower(vlm), pixels)
    grid = vlm.family.grid(vlm, *picture.size)
    signals = tower_signals(
        seen,
        torch.from_numpy(grid.place.astype("int64")),
        torch.from_numpy(grid.patches.astype("int64")),
        needs,
    )
    vlm.model.set_attn_implementation("eager")
    out = vlm.model.model.vision_tower(pixels, output_attentions=True)
    vlm.model.set_attn_implementation(ATTENTION)
    attention = out.attentions[vlm.model.config.vision_feature_layer]
    first = 0 if signals.cls_attention is None else 1
    patches = attention[:, :, first:, first:].mean(1)
    assert torch.allclose(signals.patch_attention, patches, atol=2e-6)
    if first:
        assert torch.allclose(signals.cls_attention, attention[:, :, 0, 1:], atol=2e-6)
        first_row, last_row = out.attentions[0][:, :, 0, 1:], out.attentions[-1][:, :, 0, 1:]
        assert torch.allclose(signals.first_cls_attention, first_row, atol=2e-6)
        assert torch.allclose(signals.last_cls_attention, last_row, atol=2e-6)
    else:
        assert not [name for name in cls_rows if getattr(signals, name) is not None]


@torch.no_grad()
def test_prompt_signals_tell_of_the_words_around_the_picture(vlm, picture):
    case = open_case(vlm, picture, QUESTION)
    asked = {"question", "embed", "tail", "question_attention", "padding", "areas"}
    prompt = case.prompt(frozenset(asked))
    signals = prompt.signals
    words = vlm.family.words(vlm, QUESTION, case.size.tokens)
    after = words.ids[0, words.visual[-1] + 1 :]
    tokenizer = vlm.processor.tokenizer
    assert tokenizer.decode(after[: -words.header]) == QUESTION
    assert tokenizer.decode(after[-words.header :]) == "assistant"
    assert prompt.header == words.header
    table = vlm.model.get_input_embeddings().weight
    assert torch.equal(signals.tail, table[after])
    assert signals.question == QUESTION
    assert torch.equal(signals.embed("the picture"), table[after[-3:-1]])
    assert signals.padding.tolist() == case.look.grid.padding.tolist()
    assert signals.areas.tolist() == [[0, 0, 1, 1]]
    vlm.model.set_attn_implementation("eager")
    body = vlm.model.get_decoder()
    out = body(inputs_embeds=prompt.embeds, output_attentions=True)
    vlm.model.set_attn_implementation(ATTENTION)
    rows = out.attentions[0][0, :, int(words.visual[-1]) + 1 :]
    expected = rows[..., words.visual].mean((0, 1))
    assert torch.allclose(signals.question_attention, expected, atol=1e-6)


@pytest.mark.parametrize("spec", [spec for spec, *_ in methods.choices()])
def test_every_method_runs_on_every_tower(vlm, picture, spec):
    analysis = jobs.analyse(vlm, picture, QUESTION)
    lacks = {"relevance_map": "trained for this model"}
    if vlm.model.config.vision_feature_select_strategy == "full":
        lacks["clsattn"] = "CLS"
    if spec in lacks:
        with pytest.raises(MethodUnavailable, match=lacks[spec]):
            jobs.answer(vlm, picture, QUESTION, spec, 5)
        assert any(lacks[spec] in note for note in analysis.notes)
        return
    found = next((found for found in analysis.methods if found.spec == spec), None)
    if found is None:
        found = jobs.draw(vlm, picture, QUESTION, spec)
    for budget in {max(found.floor, budget) for budget in (1, 5, 11, 16)}:
        answer = jobs.answer(vlm, picture, QUESTION, spec, budget)
        assert len(answer.layers) == 6 and np.isfinite(answer.p_full)


def test_an_unknown_type_of_model_is_refused_with_a_sentence():
    with pytest.raises(zoo.ModelUnavailable, match="llava"):
        family_of("bert")
