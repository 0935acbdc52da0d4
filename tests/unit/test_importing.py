"""The block within which the app imports what stays."""

from __future__ import annotations

import gc

import pytest

from explorer import importing


def test_garbage_is_looked_for_again_afterwards_but_not_among_what_was_made():
    with pytest.raises(ImportError), importing():
        assert not gc.isenabled()
        kept = [[] for _ in range(1000)]
        raise ImportError
    assert gc.isenabled()
    assert gc.get_freeze_count() >= len(kept)
    gc.unfreeze()
