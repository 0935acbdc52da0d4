"""Tiny random models that load without a network, shared by all tests."""

from __future__ import annotations

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch; see explorer/__init__.py
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tiny models, and a process per core: here and in apps

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser
from transformers import LlamaConfig, LlamaForCausalLM

from explorer.browser import chromium, served
from explorer.capture import ATTENTION
from explorer.engine import Prompt
from explorer.families import Decoder
from explorer.signals import Signals

pytest.register_assert_rewrite("family_promises", "film_promises")

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: drives the page in a real Chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, the browser last."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of the app: one for all files that a process runs.

    It remembers answers: a test that needs a new one asks about a scene that no other test has.
    Files with another app (other options, other models) have a `url` of their own.
    """
    with served() as (address, _):
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium for all files that a process runs; `visit` gives every visitor a fresh session."""
    with chromium() as running:
        yield running


def visit(browser, url: str, **context):
    """Open the page in a fresh session; `page.errors` collects what scripts did wrong."""
    viewport = context.pop("viewport", {"width": 1366, "height": 1080})
    page = browser.new_context(viewport=viewport, **context).new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(url)
    page.wait_for_selector(".vt-stage[data-kept]")
    return page


@pytest.fixture
def page(browser, url):
    """A fresh visit in which no script may fail; some files share one visit instead."""
    opened = visit(browser, url)
    yield opened
    assert opened.errors == []
    opened.context.close()


def open_tab(page, name: str) -> None:
    """Open a tab of the page; on a phone some of them are in a menu."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if tab.count() and tab.is_visible():
        tab.click()
        return
    page.locator(".overflow-menu > button").click()
    page.locator(".overflow-dropdown button", has_text=name).click()


@torch.no_grad()
def scatter_weights(model: torch.nn.Module, seed: int = 0) -> None:
    """Give a model weights large enough that attention is not uniform and no test is vacuous."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim == 1 and "norm" in name and name.endswith("weight"):
            weight.uniform_(0.5, 1.5, generator=generator)
        elif weight.ndim < 2 or min(weight.shape) == 1:
            weight.normal_(0, 0.3, generator=generator)
        else:
            scale = 1.0 if "embed_tokens" in name else 1.5 / math.sqrt(weight[0].numel())
            weight.normal_(0, scale, generator=generator)


def tiny_llama(kv_heads: int = 4, layers: int = 6, attention: str = ATTENTION) -> LlamaForCausalLM:
    """A random Llama with 4 heads of 8, `kv_heads` of them for keys."""
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation=attention).eval()
    scatter_weights(model)
    return model


def taken_apart(model: LlamaForCausalLM, eos: frozenset[int] = frozenset()) -> Decoder:
    return Decoder(model.get_decoder(), model.lm_head, eos)


def random_prompt(before: int = 5, visual: int = 16, after: int = 7, seed: int = 1) -> Prompt:
    """Random embeddings: some text, a block of visual tokens on a square, more text."""
    generator = torch.Generator().manual_seed(seed)
    total, side = before + visual + after, math.isqrt(visual)
    embeds = torch.randn(1, total, 32, generator=generator)
    where = torch.arange(before, before + visual)
    text = torch.ones(total, dtype=torch.bool)
    text[where] = False
    text[0] = False
    number = torch.arange(visual)
    place = torch.stack([number * 0, number // side, number % side], 1)
    signals = Signals(place=place, features=embeds[0, where], patches=number[:, None])
    return Prompt(embeds, torch.arange(total)[None], where, text, signals)
