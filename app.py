"""Entry point of the Space: reads settings, builds the page, launches it."""

import argparse
import os

from explorer import importing

with importing():
    from explorer.cases import gpu
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


def main() -> None:
    """Build and launch; the built-in model loads meanwhile, others while the page is served."""
    startup.bound_heaps()
    with startup.told():
        args, loader = command_line(), default_loader()
        port = startup.port(args.host, args.port)
        loader.configure(LoadSettings.of(args, at_once=gpu.sharing(args.at_once)), waits=False)
        model, loading = loader.catalog.register(args.model), loader.models.acquire(DEFAULT)
        with importing():  # gradio takes seconds: other faults are told before
            from explorer.ui import page
            from explorer.ui.web.warm_up import warm_up

            page.prepare_files()
            demo, settings = page.build(at_once=args.at_once, model=model), page.launch_settings()
            loading.result()  # with damaged weights nothing is served
    warm_up(args.load)
    demo.launch(server_name=args.host, server_port=port, **settings)


if __name__ == "__main__":
    main()
