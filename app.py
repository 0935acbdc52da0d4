"""Entry point of the Space: reads settings, builds the page, launches it."""

from __future__ import annotations

import argparse
import os
import sys
import threading

from explorer.analyses import api
from explorer.cases import gpu
from explorer.errors import VisitorError
from explorer.pico.data import scenes
from explorer.vlm import devices
from explorer.vlm.catalog import CUSTOM_HELP, DEFAULT
from explorer.vlm.loader import default_loader

LOAD = os.environ.get("EXPLORER_LOAD", "")  # a Space has variables instead of a command line


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Visual token explorer")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine)")
    parser.add_argument("--port", type=int, default=None, help="port (default: 7860 or the next)")
    parser.add_argument("--at-once", type=int, default=gpu.MAX_MODEL_EVENTS, help="runs of a model")
    parser.add_argument("--model", default=DEFAULT, help=f"to begin with: {CUSTOM_HELP}")
    parser.add_argument("--device", choices=devices.DEVICES, default="auto")
    parser.add_argument("--dtype", choices=devices.DTYPES, default="auto", help="of the weights")
    parser.add_argument("--four-bit", action="store_true", help="pack weights with bitsandbytes")
    parser.add_argument("--budget", type=lambda gb: 1e9 * float(gb), help="GB that models may take")
    parser.add_argument("--load", default=LOAD, help="models to load first: a,b")
    return parser.parse_args()


def warm_up(load: str) -> None:
    """Load models and answer once: the first answer of a process is a slow one."""
    if not gpu.ON_ZEROGPU:  # nobody could be billed for that lease
        api.answer(DEFAULT, scenes.make(0).image, "what is in the middle ?", "visiondrop", 64)
    for sentence in default_loader().preload(
        [DEFAULT, *load.replace(",", " ").split()], only=gpu.ON_ZEROGPU
    ):
        print(sentence, file=sys.stderr)


def main() -> None:
    """Build and launch; models load while the page is served, on ZeroGPU before."""
    chosen = command_line()
    at_once = 1 if gpu.ON_ZEROGPU else chosen.at_once
    settings = devices.LoadSettings(
        chosen.device, chosen.dtype, chosen.four_bit, chosen.budget, at_once
    )
    try:
        default_loader().configure(settings, waits=False)
        model = default_loader().catalog.register(chosen.model)
    except VisitorError as error:
        sys.exit(str(error))
    from explorer.ui import page  # gradio takes seconds: what can't be started is told before

    demo = page.build(at_once=chosen.at_once, model=model)
    if gpu.ON_ZEROGPU:
        warm_up(chosen.load)
    else:
        threading.Thread(target=warm_up, args=(chosen.load,), daemon=True).start()
    demo.launch(server_name=chosen.host, server_port=chosen.port, **page.launch_settings())


if __name__ == "__main__":
    main()
