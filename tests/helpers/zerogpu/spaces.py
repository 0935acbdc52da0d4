"""What `import spaces` finds where a test plays ZeroGPU; see lease.py."""

from __future__ import annotations

import sys

if "torch" in sys.modules:
    raise RuntimeError("torch was imported before the `spaces` package, which patches it")


def GPU(*args, **kwargs):
    from lease import GPU as lend

    return lend(*args, **kwargs)
