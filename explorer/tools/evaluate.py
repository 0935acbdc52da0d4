"""How good pico is, and how like a large model: a command.

`python -m explorer evaluate` asks it about new scenes with all tokens, `--dropped` chooses weights,
`--phenomena` compares it with what is reported of large models. Knows command lines; how each is
measured, explorer/pico/training/evaluate.py and explorer/tools/phenomena say.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from explorer.metrics import phenomena
from explorer.pico.training import evaluate
from explorer.tools.phenomena import measure, observation


def main() -> None:
    """Print the share of exactly right answers by kind of question, or one of two other tables."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scenes", type=int, help="default 300; with --phenomena 200")
    parser.add_argument("--questions", type=int, default=evaluate.QUESTIONS, help="per scene")
    parser.add_argument("--model", type=Path, default=evaluate.FOLDER, help="folder of the weights")
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--dropped", action="store_true", help="validate: 500 scenes, and with fewer tokens too"
    )
    other.add_argument(
        "--phenomena",
        action="store_true",
        help="what the shipped pico shows and does not show of large models; one question a scene",
    )
    parser.add_argument("--into", type=Path, default=phenomena.FILE, help="file of the phenomena")
    chosen = parser.parse_args()
    if chosen.phenomena:
        show_phenomena(chosen.scenes or 200, chosen.into)
        return
    model, processor = evaluate.load(chosen.model)
    if chosen.dropped:
        score, retention = evaluate.evaluate_dropped(
            model, processor, evaluate.VALIDATION_SEEDS, chosen.questions
        )
        print(f"{score.table()}\n\n{retention.table()}\n")
    else:
        seeds = range(evaluate.FIRST_SEED, evaluate.FIRST_SEED + (chosen.scenes or 300))
        score = evaluate.evaluate(model, processor, seeds, chosen.questions)
        print(score.table())
    print(f"overall {score.overall:.3f}")


def show_phenomena(questions: int, file: Path) -> None:
    """Measure what pico shows of large models, write it and print it."""
    began = time.perf_counter()

    def tell(done: int) -> None:
        if done % 10 == 0 or done == questions:
            seconds = time.perf_counter() - began
            print(f"{done} of {questions} questions, {seconds:.0f} s", flush=True)

    found = measure.measure(range(observation.FIRST_SEED, observation.FIRST_SEED + questions), tell)
    phenomena.write(found, questions, file)
    print(phenomena.markdown(found, questions))
