"""The commands of the explorer: `python -m explorer` lists them and runs one by its name.

Knows their names and modules alone; each module reads the rest of its command line by itself.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from explorer import importing

_FITTING = "explorer.tools.calibration"
COMMANDS = {
    "bench": ("explorer.tools.bench.run", "measure the numbers of the README on this machine"),
    "leaderboard": (
        "explorer.tools.leaderboard.run",
        "every method on new scenes or your own data, with intervals",
    ),
    "effects": (
        "explorer.tools.effects.run",
        "what pruning does to answers besides saving time",
    ),
    "failures": ("explorer.tools.failures.find", "find scenes on which a method fails"),
    "replay": ("explorer.tools.cases.replay", "recompute saved cases and say what differs"),
    "diagnose": ("explorer.tools.cases.diagnose", "say why the answer of a saved case fails"),
    "doctor": ("explorer.tools.doctor", "look at this machine: packages, device, memory, models"),
    "examples": ("explorer.tools.examples.build", "build the finished examples of the page"),
    "train": ("explorer.pico.training.run", "train the built-in model, stage by stage"),
    "evaluate": ("explorer.tools.evaluate", "evaluate the built-in model on new scenes"),
    "relevance-map": (
        "explorer.tools.calibration.train_relevance_map",
        "train the network of relevance_map",
    ),
    "vtw-layer": (f"{_FITTING}.vtw_layer", "search the layer from which VTW needs no picture"),
    "fitprune-recipe": (f"{_FITTING}.fitprune_recipe", "fit how many tokens leave each layer"),
    "icons": ("explorer.pico.data.icons", "draw the icons that scenes are made of"),
    "docs": ("explorer.tools.docs", "write the table of methods; --screenshots takes pictures"),
}


def main(words: list[str]) -> int | None:
    """Run a command; 0 after the list of them, 2 where there is no such command."""
    if not words or words[0] in ("-h", "--help"):
        print("usage: python -m explorer COMMAND [options]\n")
        for name, (_, about) in COMMANDS.items():
            print(f"  {name:16} {about}")
        print("\npython -m explorer COMMAND --help tells a command's options.")
        return 0
    if words[0] not in COMMANDS:
        print(f"There is no command {words[0]!r}; there are: {', '.join(COMMANDS)}.")
        return 2
    if "LOCAL_RANK" in os.environ:  # accelerate launch has started several of these
        import_module("explorer.tools.distributed").take_one_card()
    sys.argv = [f"python -m explorer {words[0]}", *words[1:]]
    with importing():
        command = import_module(COMMANDS[words[0]][0])
    return command.main()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
