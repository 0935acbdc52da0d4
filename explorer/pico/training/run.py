"""Train pico: `python -m explorer train --help`.

Runs the six stages one after the other and saves the model after each. The same seed, icons, fonts
and number of threads give the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration

from explorer.pico.architecture import build
from explorer.pico.data.icons import read_styles
from explorer.pico.training import (
    evaluate,
    export,
    stage1_tower,
    stage2_alignment,
    stage3_language,
    stage4_pointing,
    stage5_dropping,
    stage6_sharpening,
)
from explorer.pico.training.dataset import Pictures

STAGES = {
    "tower": stage1_tower,
    "align": stage2_alignment,
    "questions": stage3_language,
    "pointing": stage4_pointing,
    "dropping": stage5_dropping,
    "sharpening": stage6_sharpening,
}

ABOUT = """
Train the built-in model pico, stage by stage.

  tower      names the class, row and column of every patch    96,000 pictures   80 minutes
  align      visual tokens and words meet                       7,200 pictures    4 minutes
  questions  the language model learns to answer               26,400 pictures   98 minutes
  pointing   ... while two heads point at what is asked for     5,100 pictures   15 minutes
  dropping   ... while patches leave and positions change      24,000 pictures   70 minutes
  sharpening the tower again: places of things, words of signs 30,400 pictures   45 minutes

The times are those of a run on two CPU cores: the first four stages take about 3 hours and
20 minutes. Accuracy still rises at the end, as the learning rate falls; more steps of the last
stages make a better model. After sharpening let the language model learn what the tower now says:
--start OUT/sharpening --stages dropping.
First draw the icons: python -m explorer icons --help. Without --icons and --fonts only the
shipped style and fonts are learnt. Then: python -m explorer evaluate --model FOLDER, and with
--dropped to choose between weights.
"""


def run(
    model: LlavaForConditionalGeneration,
    stages: Sequence[str],
    pictures: Pictures,
    steps: int | None = None,
    batch: int | None = None,
    into: Path | None = None,
    device: str = "cpu",
) -> dict[str, list[float]]:
    """Run stages on a model and give the losses of each.

    steps, batch: instead of each stage's own; into: folder for the model after every stage.
    """
    changes = {"steps": steps, "batch": batch}
    changes = {name: value for name, value in changes.items() if value is not None}
    model.to(device).train()
    losses = {}
    for stage in stages:
        # Every stage sees pictures of its own.
        seed = pictures.seed * len(STAGES) + list(STAGES).index(stage)
        supply = dataclasses.replace(pictures, seed=seed)
        plan = dataclasses.replace(STAGES[stage].PLAN, **changes)
        losses[stage] = list(STAGES[stage].train(model, supply, plan, device))
        if into is not None:
            export.save(model, into / stage)
    return losses


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m explorer train",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--start", type=Path, help="folder of a saved model to go on from")
    parser.add_argument("--into", type=Path, default=Path("out/pico"), help="default: out/pico")
    parser.add_argument("--icons", type=Path, help="folder of icon sheets, one per style")
    parser.add_argument("--fonts", type=Path, help="folder of .ttf files for the signs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of every stage, instead of its own number")
    parser.add_argument("--batch", type=int, help="pictures per step, instead of the stage's own")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw pictures")
    return parser.parse_args()


def main() -> None:
    """Read the command line and train."""
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    pictures = Pictures(
        options.seed,
        icons=None if options.icons is None else tuple(read_styles(options.icons)),
        fonts=None if options.fonts is None else tuple(sorted(options.fonts.rglob("*.ttf"))),
        workers=options.workers,
    )
    model = build() if options.start is None else evaluate.load(options.start)[0]
    run(
        model,
        options.stages,
        pictures,
        steps=options.steps,
        batch=options.batch,
        into=options.into,
        device=options.device,
    )
