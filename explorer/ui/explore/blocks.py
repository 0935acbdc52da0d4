"""The blocks of the tab "Explore", by name, for those who connect them."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True)
class Explore:
    """The blocks of the tab that events read or write."""

    session: gr.State
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
    share: Share


@dataclass(frozen=True)
class Share:
    """The blocks of a case's own column.

    stored: values of an opened case beside those of here. save, file, link: bring what to save, a
    file that the visitor opens, the link by which the visitor came. download: takes a file home.
    """

    stored: gr.HTML
    notes: gr.HTML
    save: gr.HTML
    file: gr.HTML
    link: gr.HTML
    download: gr.HTML
