"""See which visual tokens a pruning method keeps, and what that does to a model's answer."""

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# ZeroGPU patches torch, which must not have been imported by then. Everywhere else the package is
# neither needed nor imported, installed or not.
spaces = importlib.import_module("spaces") if os.environ.get("SPACES_ZERO_GPU") else None

# Set before torch is imported. OpenMP's threads spin while they wait; beside any other busy process
# (a browser, a second visitor) that made small models 5 to 20 times slower on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def importing() -> Iterator[None]:
    """Import or build what stays until the end: garbage is not looked for among it, now or later.

    An import of torch and gradio makes a million objects; going through them again and again, as
    Python does while their number grows, is a fifth of what the page takes to start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
