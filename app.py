"""Entry point of the Space: reads settings, builds the page, launches it."""

import argparse
import os
import sys
import threading

from explorer import analyses
from explorer.cases import gpu
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.ui.web import startup
from explorer.vlm.catalog import CUSTOM_HELP, DEFAULT
from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import default_loader


def command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Visual token explorer")
    startup.add_arguments(parser)
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
    """Build and launch; the built-in model loads meanwhile, others while the page is served."""
    startup.bound_heaps()
    with startup.told():
        args, loader = command_line(), default_loader()
        port = startup.port(args.host, args.port)
        loader.configure(LoadSettings.of(args, at_once=gpu.sharing(args.at_once)), waits=False)
        model, loading = loader.catalog.register(args.model), loader.models.acquire(DEFAULT)
        from explorer.ui import page  # gradio takes seconds: other faults are told before

        page.prepare_files()
        demo, settings = page.build(at_once=args.at_once, model=model), page.launch_settings()
        loading.result()  # with damaged weights nothing is served
    warm = threading.Thread(target=warm_up, args=(args.load,), daemon=True)
    warm.start()
    if gpu.ON_ZEROGPU:
        warm.join()
    demo.launch(server_name=args.host, server_port=port, **settings)


if __name__ == "__main__":
    main()
