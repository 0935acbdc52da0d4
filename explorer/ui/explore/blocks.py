"""The blocks of the tab "Explore", by name, for those who connect them."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True)
class Explore:
    """The blocks of the tab that events read or write.

    opening: brings what the visitor wants to open; opened: says which of these is done with.
    """

    session: gr.State
    picture: gr.Image
    opening: gr.HTML
    opened: gr.HTML
    picture_notes: gr.HTML
    question_notes: gr.HTML
    stage: gr.HTML
    readout: gr.HTML
    ask: gr.HTML
    fill: gr.HTML
    share: Share


@dataclass(frozen=True)
class Share:
    """The blocks of a case's own column.

    stored: values of an opened case beside those of here. save: brings what to save. download:
    takes a file home.
    """

    stored: gr.HTML
    notes: gr.HTML
    save: gr.HTML
    download: gr.HTML
