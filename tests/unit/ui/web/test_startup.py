"""What is set and looked at before the page is served; see tests/page/hosting/test_startup.py."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from explorer import ROOT

HEAPS = """
import ctypes, sys, threading, time
from pathlib import Path
from explorer.ui.web import startup

startup.TRIM_SECONDS = 0.01
startup.bound_heaps()
together = threading.Barrier(9)

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096 / 1e6

def allocate():
    held = [bytes(300) for _ in range(10_000)]
    together.wait()
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
together.wait()
held = [b"x" * 100_000 for _ in range(2_000)]
before = resident()
del held[::2]
while resident() > before - 50:
    time.sleep(0.01)
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
together.wait()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_all_threads_share_a_few_heaps_and_what_is_free_in_them_is_given_back(tmp_path):
    """Else memory grows by 60 MB with every 100 pictures."""
    told = tmp_path / "heaps.xml"
    subprocess.run([sys.executable, "-c", HEAPS, str(told)], cwd=ROOT, check=True, timeout=60)
    assert 1 <= told.read_text().count("<heap nr") <= 2
