"""Entry point of the Space: reads settings, builds the page, launches it."""

import argparse
import os
import sys
import threading

from explorer import analyses
from explorer.cases import gpu
from explorer.cases.request import CaseRequest
from explorer.errors import VisitorError
from explorer.pico.data import scenes
from explorer.vlm.catalog import CUSTOM_HELP, DEFAULT
from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import default_loader


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Visual token explorer")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine)")
    parser.add_argument("--port", type=int, default=None, help="port (default: 7860 or the next)")
    parser.add_argument("--at-once", type=int, default=gpu.MAX_MODEL_EVENTS, help="runs of a model")
    parser.add_argument("--model", default=DEFAULT, help=f"to begin with: {CUSTOM_HELP}")
    LoadSettings.add_arguments(parser)
    parser.add_argument("--load", default=os.environ.get("EXPLORER_LOAD", ""), help="models: a,b")
    return parser.parse_args()


def warm_up(load: str) -> None:
    """Load models and answer once: the first answer of a process is a slow one."""
    if not gpu.ON_ZEROGPU:  # nobody could be billed for that lease
        request = CaseRequest.make(DEFAULT, scenes.make(0).image, "what is in the middle ?")
        analyses.answer(request, "visiondrop", 64)
    keys = [DEFAULT, *load.replace(",", " ").split()]
    for sentence in default_loader().preload(keys, only=gpu.ON_ZEROGPU):
        print(sentence, file=sys.stderr)


def main() -> None:
    """Build and launch; models load while the page is served, on ZeroGPU before."""
    args, loader = command_line(), default_loader()
    share = 1 if gpu.ON_ZEROGPU else args.at_once  # there every run has a process of its own
    try:
        loader.configure(LoadSettings.of(args, at_once=share), waits=False)
        model = loader.catalog.register(args.model)
    except VisitorError as error:
        sys.exit(str(error))
    from explorer.ui import page  # gradio takes seconds: what can't be started is told before

    demo = page.build(at_once=args.at_once, model=model)
    if gpu.ON_ZEROGPU:
        warm_up(args.load)
    else:
        threading.Thread(target=warm_up, args=(args.load,), daemon=True).start()
    demo.launch(server_name=args.host, server_port=args.port, **page.launch_settings())


if __name__ == "__main__":
    main()
