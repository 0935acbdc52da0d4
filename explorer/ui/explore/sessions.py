"""The sessions of cases that are known by name: an example, a scene, what a visitor says is right.

Knows scenes and examples; not how a case is opened or shown.
"""

from __future__ import annotations

from dataclasses import replace

from explorer.media.image import open_picture
from explorer.pico.data import questions, scenes
from explorer.ui.session import Session


def told(session: Session, truth: str) -> Session:
    """Take down what a visitor says is right; an empty text takes it back."""
    return replace(
        session, told=session.told | {questions.normalise(session.question): truth.strip()}
    )


def example_session(shown: dict) -> Session:
    """Make the session of a finished example."""
    scene = scenes.make(shown["seed"])
    return Session(
        model=shown["case"]["model"],
        picture=open_picture(scene.image),
        question=shown["case"]["question"],
        truths=questions.truths(scene),
        suggestions=tuple(shown["case"]["suggestions"]),
        seed=scene.seed,
    )


def scene_session(model: str, seed: int, question: str | None = None) -> Session:
    """Make the session of a scene, with the first question that fits it if none is given."""
    scene = scenes.make(seed)
    suggested = tuple(questions.suggest(scene))
    return Session(
        model,
        open_picture(scene.image),
        question or suggested[0],
        questions.truths(scene),
        suggested,
        seed,
    )
