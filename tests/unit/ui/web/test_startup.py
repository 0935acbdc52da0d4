"""What is set and looked at before the page is served; see tests/page/hosting/test_startup.py."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from explorer import ROOT

HEAPS = """
import ctypes, sys, threading
from explorer.ui.web import startup

startup.bound_arenas()
together = threading.Barrier(9)

def allocate():
    held = [bytes(300) for _ in range(10_000)]
    together.wait()
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
together.wait()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
together.wait()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_all_threads_allocate_from_a_few_heaps(tmp_path):
    """With a heap for each thread, memory grew by 60 MB with every 100 pictures."""
    told = tmp_path / "heaps.xml"
    subprocess.run([sys.executable, "-c", HEAPS, str(told)], cwd=ROOT, check=True)
    assert 1 <= told.read_text().count("<heap nr") <= 2
