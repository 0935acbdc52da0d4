"""Names the built-in model's weights, for files in which answers wait: others' are not to be mixed.

Knows the files of the weights; not who asks what.
"""

from __future__ import annotations

import hashlib
from functools import cache

from explorer import ROOT

WEIGHTS = ROOT / "assets" / "pico"


@cache
def weights_digest() -> str:
    """Name the weights that answer, by twelve digits of their digest."""
    digest = hashlib.sha256()
    for file in sorted(WEIGHTS.glob("model*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
