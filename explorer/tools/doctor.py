"""Does this machine have what the explorer needs? `python -m explorer doctor`

Looks at packages, device, memory, models, browser and write access, and says what to do about what
is missing. Loads no model and asks no network; imports nothing heavy before it has looked. With
--load it drives a page with many visitors instead, see load.py.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer import ROOT
from explorer.tools.bench import load
from explorer.tools.browser import NAMES

PYTHON = (3, 11)
ROOM = 1.3  # times its weights is what a running model needs whose shape isn't known


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. well: True, False, or None where it is only told."""

    subject: str
    well: bool | None
    says: str
    advice: str = ""

    def __str__(self) -> str:
        sign = {True: "ok  ", False: "MISSING", None: "    "}[self.well]
        line = f"{sign:8}{self.subject:22}{self.says}"
        return f"{line}\n{'':30}-> {self.advice}" if self.advice else line


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Look at the interpreter."""
    says = ".".join(map(str, version))
    if version[:2] >= PYTHON:
        return Finding("python", True, says)
    return Finding("python", False, says, "install Python 3.11 or newer")


def wanted(file: Path = ROOT / "requirements.txt") -> list[tuple[str, str]]:
    """Read the requirements: (package, what its version must begin with)."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        match = re.match(r"([\w-]+)(\[[\w,]+\])?(?:==([\d.]+)\.\*)?", line)
        if match and not line.startswith("#"):
            found.append((match[1], match[3] or ""))
    return found


def packages(needed: list[tuple[str, str]] | None = None) -> Iterator[Finding]:
    """Look at the installed packages; pinned ones must have the pinned version."""
    advice = "pip install -r requirements.txt"
    for name, pinned in wanted() if needed is None else needed:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, "not installed", advice)
            continue
        fits = not pinned or version == pinned or version.startswith(pinned + ".")
        says = version if fits else f"{version}, but {pinned} is needed"
        yield Finding(name, fits, says, "" if fits else advice)


def device() -> Finding:
    """Name the device that models run on."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        return Finding(
            "device", True, f"cuda: {name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free"
        )
    if torch.backends.mps.is_available():
        return Finding("device", True, "mps: the graphics unit of this Mac")
    from explorer.vlm import devices

    says = f"cpu: {os.cpu_count()} cores; {devices.half_precision()}"
    return Finding("device", None, says, "pico and small models only; 7B models want a GPU")


def models(free: float | None = None) -> Iterator[Finding]:
    """Tell which models of the zoo fit. free: bytes; what is free on the device by default."""
    from explorer.tools.bench.real.build import shapes
    from explorer.tools.bench.real.memory import estimate
    from explorer.vlm import devices
    from explorer.vlm.loader import default_loader

    loader = default_loader()
    place = loader.device
    free = devices.free_bytes(place) if free is None else free
    for entry in loader.catalog.entries().values():
        weights = loader.needed_bytes(entry)
        if not weights:
            yield Finding(entry.key, None, "models.yaml does not say what it needs")
            continue
        peak = ROOM * weights
        if entry.key in shapes():
            peak = estimate(entry.key, weights, loader.dtype(entry)).peak
        needs = devices.gigabytes(peak)
        says = f"needs {needs} at most, {devices.gigabytes(free)} are free on {place}"
        fits = peak <= free
        yield Finding(entry.key, True if fits else None, says, "" if fits else "does not fit here")


def browser() -> Finding:
    """Look for a browser; only tests and measurements need one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return Finding("browser", True, found)
    return Finding("browser", None, "none", "only the tests need one: python3 tests/run.py gets it")


def writing(folder: Path | None = None) -> Finding:
    """Try to write where uploads are kept."""
    folder = Path(tempfile.gettempdir()) if folder is None else folder
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("write access", True, str(folder))
    except OSError as error:
        return Finding(
            "write access", False, f"{folder}: {error}", "set TMPDIR to a folder of yours"
        )


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m explorer doctor")
    about = "instead: drive the page at this address with many visitors (default: one started here)"
    parser.add_argument("--load", nargs="?", const="", default=None, metavar="URL", help=about)
    parser.add_argument("--visitors", type=int, default=20, help="how many of them")
    parser.add_argument("--minutes", type=float, default=3.0, help="for how long")
    about = "instead: show a page started here so many pictures, and tell how its memory grows"
    parser.add_argument("--pictures", type=int, metavar="N", help=about)
    about = "instead: make so many hostile calls of a page started here (or at --load URL)"
    parser.add_argument("--hostile", type=int, nargs="?", const=1_000, metavar="N", help=about)
    return parser.parse_args()


def main() -> int:
    """Print all findings; 1 if something is missing, or goes wrong under load."""
    args = command_line()
    if args.hostile:
        from explorer.tools.bench import hostile  # httpx isn't there where nothing is installed

        report = hostile.measure(args.load or "", args.hostile)
        print(report)
        return int(not report.well)
    if args.load is not None:
        report = load.measure(args.load, args.visitors, args.minutes)
        print(report)
        return int(not report.well)
    if args.pictures:
        for shown, megabytes in load.memory_curve(args.pictures, args.visitors):
            print(f"{shown:6} pictures  {megabytes:6.0f} MB", flush=True)
        return 0
    found = [python(), *packages()]
    if all(finding.well for finding in found):
        found += [device(), *models()]
    found += [browser(), writing()]
    for finding in found:
        print(finding)
    missing = [finding.subject for finding in found if finding.well is False]
    print(f"Missing: {', '.join(missing)}." if missing else "Everything is there: python app.py")
    return int(bool(missing))
