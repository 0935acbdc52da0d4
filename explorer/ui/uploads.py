"""Which files of this machine a message may name: uploads, and nothing else.

Gradio looks only at messages that say of themselves that they hold a file. Knows the folder of
uploads; opens nothing.
"""

from __future__ import annotations

import stat
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

NOT_UPLOADED = "This file was not uploaded here; please choose it anew."


def check(path: str | None) -> str:
    """Give the path of an uploaded file; `gr.Error` for every other, whether it exists or not.

    Links are followed before the look: what lies elsewhere, a folder or a device is no upload.
    """
    try:
        real = Path(path or "").resolve(strict=True)
        is_file = stat.S_ISREG(real.stat().st_mode)
    except (OSError, ValueError, RuntimeError):  # missing; a null byte; a link to itself
        raise gr.Error(NOT_UPLOADED, print_exception=False) from None
    if not is_file or not real.is_relative_to(Path(get_upload_folder()).resolve()):
        raise gr.Error(NOT_UPLOADED, print_exception=False)
    return str(real)
