"""The training loop that all stages share: optimisers, learning rate, and steps.

Muon moves the weight matrices of the layers, AdamW everything else (embeddings, heads, norms,
biases). Knows nothing of what is learnt.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Named = list[tuple[str, nn.Parameter]]


@dataclass(frozen=True)
class TrainingPlan:
    """How long and how fast a stage learns.

    rate: highest learning rate, reached after `warm_up` steps, then falling along a cosine to
    `floor` of it; muon: use it for matrices; half: compute in bfloat16 where torch finds it safe.
    """

    steps: int
    batch: int
    rate: float
    warm_up: int = 100
    floor: float = 0.03
    muon: bool = True
    half: bool = True
    report_every: int = 50


def optimisers(named: Named, plan: TrainingPlan) -> list[torch.optim.Optimizer]:
    """Make Muon for matrices inside layers and AdamW for the other trainable parameters."""
    trained = [(name, weight) for name, weight in named if weight.requires_grad]
    matrices = [w for name, w in trained if plan.muon and _is_inner_matrix(name, w)]
    chosen = set(map(id, matrices))
    others = [weight for _, weight in trained if id(weight) not in chosen]
    adam = torch.optim.AdamW(others, lr=plan.rate, weight_decay=0.02, betas=(0.9, 0.98))
    if not matrices:
        return [adam]
    muon = torch.optim.Muon(
        matrices, lr=plan.rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, adam]


def _is_inner_matrix(name: str, weight: Tensor) -> bool:
    outer = "embed" in name or "lm_head" in name or name.startswith("heads.")
    return weight.ndim == 2 and not outer


def rate_at(step: int, plan: TrainingPlan) -> float:
    """Give the learning rate of a step."""
    fall = 0.5 * (1 + math.cos(math.pi * step / plan.steps))
    return plan.rate * min(1, (step + 1) / plan.warm_up) * (fall * (1 - plan.floor) + plan.floor)


def fit(
    named: Named,
    loss_of: Callable[[Any, float], Tensor],
    batches: Iterable[Any],
    plan: TrainingPlan,
    title: str,
    device: torch.device | str = "cpu",
) -> Iterator[float]:
    """Take one step per batch and yield its loss; loss_of(batch, share of the steps done)."""
    moved = [weight for _, weight in named if weight.requires_grad]
    movers = optimisers(named, plan)
    start, smooth = time.monotonic(), None
    for step, batch in enumerate(batches):
        for group in (group for mover in movers for group in mover.param_groups):
            group["lr"] = rate_at(step, plan)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=plan.half):
            loss = loss_of(batch, step / plan.steps)
        loss.backward()
        nn.utils.clip_grad_norm_(moved, 1.0)
        for mover in movers:
            mover.step()
            mover.zero_grad(set_to_none=True)
        value = loss.item()
        smooth = value if smooth is None else 0.98 * smooth + 0.02 * value
        if (step + 1) % plan.report_every == 0 or step + 1 == plan.steps:
            seconds = time.monotonic() - start
            speed = (step + 1) * plan.batch / seconds
            print(
                f"{title} {step + 1}/{plan.steps} loss {smooth:.3f} {speed:.1f} pictures/s",
                flush=True,
            )
        yield value
