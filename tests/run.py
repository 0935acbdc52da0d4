"""Set up everything that the tests need, then run all of them: `python3 tests/run.py`.

Makes a virtual environment in .venv, installs the packages, makes sure of a Chromium (an installed
one, else playwright's own, else the system package manager's), checks the style, and runs pytest in
several processes: fast tests first, then the browser. Arguments are handed on to pytest. Needs
Python 3.11 or newer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of pytest; each takes about a gigabyte. One more than there are cores: who drives a browser waits
# for a third of the time.
PROCESSES = min(4, (os.cpu_count() or 1) + 1)
PYTHON = ROOT / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "python"


def run(*command: object, check: bool = True) -> int:
    """Show a command, run it in the project's folder, and stop if it fails."""
    words = [str(word) for word in command]
    print("+", " ".join(words), flush=True)
    code = subprocess.run(words, cwd=ROOT).returncode
    if check and code:
        sys.exit(code)
    return code


def system(*names: str) -> bool:
    """Install the first of these packages of the system that can be had; False without apt-get."""
    if not shutil.which("apt-get"):
        return False
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    run(*sudo, "apt-get", "update", check=False)
    install = (*sudo, "apt-get", "install", "--yes")
    return any(run(*install, name, check=False) == 0 for name in names)


def packages() -> None:
    """Install what the page and the tests need into .venv."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file may be run by any Python
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    if not PYTHON.exists():
        make = (sys.executable, "-m", "venv", "--clear", ROOT / ".venv")
        if run(*make, check=False):  # Debian keeps what a venv is made of in a package of its own
            system("python3-venv")
            run(*make)
    files = ("-r", "requirements.txt", "-r", "tests/requirements.txt")
    run(PYTHON, "-m", "pip", "install", "--quiet", *files)


def has_browser() -> bool:
    """Ask the project whether it finds a Chromium that starts."""
    return run(PYTHON, "-m", "explorer.tools.browser", check=False) == 0


def browser() -> None:
    """Make sure of a Chromium; every way that fails is followed by the next."""
    if has_browser():
        return
    run(PYTHON, "-m", "playwright", "install", "--with-deps", "chromium", check=False)
    if not has_browser():
        system("chromium-headless-shell", "chromium")
    if not has_browser():
        sys.exit("No Chromium could be found or installed; please install chromium or chrome.")


def main() -> int:
    """Set up and test; the exit code is 0 only if style and tests are fine."""
    packages()
    browser()
    style = run(PYTHON, "-m", "ruff", "format", "--check", check=False)
    style |= run(PYTHON, "-m", "ruff", "check", check=False)
    spread = ("-n", PROCESSES, "--dist", "loadfile", "--no-loadscope-reorder")
    quick = ("-p", "no:logging")  # nobody reads logs, and hearing them costs more than small tests
    tests = run(PYTHON, "-m", "pytest", "-q", *spread, *quick, *sys.argv[1:], check=False)
    return tests or style


if __name__ == "__main__":
    sys.exit(main())
