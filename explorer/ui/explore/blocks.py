"""The blocks of the tab "Explore", by name, for those who connect them."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True)
class Explore:
    """The blocks of the tab that events read or write."""

    visit: gr.State
    picture: gr.Image
    thumbs: gr.HTML
    scene: gr.Button
    seed: gr.Number
    picture_notes: gr.HTML
    question: gr.Textbox
    asking: gr.Button
    chips: gr.HTML
    question_notes: gr.HTML
    stage: gr.HTML
    readout: gr.HTML
    ask: gr.HTML
    fill: gr.HTML
    travel: Travel


@dataclass(frozen=True)
class Travel:
    """The blocks of a case's own column.

    wish: what to save; file: one that the visitor opens; link: by which the visitor came.
    """

    stored: gr.HTML
    notes: gr.HTML
    wish: gr.HTML
    file: gr.HTML
    link: gr.HTML
    parcel: gr.HTML
