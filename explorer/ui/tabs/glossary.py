"""Words that a student may not know, from assets/glossary.yaml, and the row of them below a tab.

Checked when it is read: every word has a definition and says where that is from. Knows words; not
what they measure.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated

import gradio as gr
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from explorer import ROOT
from explorer.errors import CannotStart
from explorer.ui import components

FILE = ROOT / "assets" / "glossary.yaml"
Words = Annotated[str, Field(min_length=1, max_length=500)]


class Term(BaseModel):
    """A word: its key for scripts, how the page writes it, what it is, and where that is from.

    tabs: below which it stands.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    key: Words
    word: Words
    is_: Annotated[Words, Field(alias="is", pattern=r"\.$")]
    source: Words
    tabs: Annotated[list[str], Field(min_length=1)]


@lru_cache(maxsize=1)
def terms(file: Path = FILE) -> tuple[Term, ...]:
    """Read all words; raises `CannotStart` with the place of what is wrong."""
    try:
        found = TypeAdapter(list[Term]).validate_python(yaml.safe_load(file.read_text("utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise CannotStart(f"The glossary can't be read ({error}).") from None
    except ValidationError as error:
        where = " → ".join(map(str, error.errors()[0]["loc"]))
        raise CannotStart(
            f"The glossary is wrong at {where}: {error.errors()[0]['msg']}."
        ) from None
    keys = [term.key for term in found]
    if len(set(keys)) != len(keys):
        raise CannotStart("The glossary has a key twice.")
    return tuple(found)


def build() -> gr.HTML:
    """Hand all definitions to the page, where any word can ask for its own."""
    told = {
        each.key: {"word": each.word, "is": each.is_, "source": each.source} for each in terms()
    }
    return components.html_block("<i hidden></i>", "mountGlossary", told, elem_classes="vt-sender")


def row(tab: str) -> gr.HTML:
    """Lay out the words of a tab, each a button that shows its definition."""
    words = [{"key": each.key, "word": each.word} for each in terms() if tab in each.tabs]
    return components.html_block(
        '<div class="vt-glossary"></div>',
        "mountWords",
        {"words": words},
        elem_classes="vt-words-row",
    )
