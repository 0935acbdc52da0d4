"""Entry point of the Space: reads settings, builds the page, launches it."""

from __future__ import annotations

import argparse
import sys
import threading

from explorer import devices, given, jobs, zoo
from explorer.errors import VisitorError
from explorer.pico import scenes
from explorer.ui import page


def settings() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Visual token explorer")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine)")
    parser.add_argument("--port", type=int, default=None, help="port (default: 7860 or the next)")
    parser.add_argument(
        "--at-once", type=int, default=1, help="events that may run a model at the same time"
    )
    parser.add_argument(
        "--model",
        default=zoo.DEFAULT,
        help=f"model to begin with: {given.HELP} (default: %(default)s)",
    )
    parser.add_argument("--device", choices=devices.DEVICES, default="auto")
    parser.add_argument("--dtype", choices=devices.DTYPES, default="auto", help="of the weights")
    parser.add_argument("--four-bit", action="store_true", help="pack weights with bitsandbytes")
    parser.add_argument("--budget", type=float, help="GB that loaded models may take together")
    return parser.parse_args()


def warm_up() -> None:
    """Load the built-in model and answer once: the first answer of a process is a slow one."""
    jobs.answer(zoo.DEFAULT, scenes.make(0).image, "what is in the middle ?", "visiondrop", 64)


def main() -> None:
    """Build and launch; the built-in model is loaded while the page is already served."""
    chosen = settings()
    budget = None if chosen.budget is None else 1e9 * chosen.budget
    try:
        zoo.settle(devices.Wish(chosen.device, chosen.dtype, chosen.four_bit, budget), waits=False)
        model = given.add(chosen.model)
    except VisitorError as error:
        sys.exit(str(error))
    demo = page.build(at_once=chosen.at_once, model=model)
    threading.Thread(target=warm_up, daemon=True, name="warm up").start()
    demo.launch(server_name=chosen.host, server_port=chosen.port, **page.launch_settings())


if __name__ == "__main__":
    main()
