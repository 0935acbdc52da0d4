"""The pruning methods, one file each, in the order of the page.

A method is a module: constants for its card and the functions `schedule`, `floor`, `score` and
`keep`. To add one, write the file and name it here. A spec names a method, one of its variants
after a colon, and options after a question mark: "fopru", "fopru:row", "random?seed=3".
"""

from __future__ import annotations

from types import ModuleType

from explorer.errors import UnknownMethod
from explorer.methods.attention import clsattn, fopru, hired, relevance, relevance_map, visionzip
from explorer.methods.baselines import pool, random, uniform
from explorer.methods.inside_llm import (
    corematching,
    dart,
    fastv,
    pyramiddrop,
    sparsevlm,
    transprune,
    visiondrop,
)
from explorer.methods.similarity import cdpruner, divprune, gprune, lexrank, mmtok, todre, zooprune

METHODS: tuple[ModuleType, ...] = (
    random,
    uniform,
    pool,
    clsattn,
    fopru,
    lexrank,
    gprune,
    divprune,
    todre,
    zooprune,
    hired,
    cdpruner,
    mmtok,
    visionzip,
    relevance,
    relevance_map,
    fastv,
    dart,
    pyramiddrop,
    sparsevlm,
    transprune,
    corematching,
    visiondrop,
)


def find(key: str) -> ModuleType:
    """Give the method of this key; raises `UnknownMethod` if there is none."""
    for method in METHODS:
        if key == method.KEY:
            return method
    raise _unknown(key)


def choices() -> list[tuple[str, ModuleType, dict]]:
    """List what a visitor can choose: every method and its variants, as (spec, module, options)."""
    listed = []
    for method in METHODS:
        listed.append((method.KEY, method, {}))
        for label, options in method.VARIANTS.items():
            listed.append((f"{method.KEY}:{label}", method, dict(options)))
    return listed


def slow(method: ModuleType) -> bool:
    """Tell whether a method takes so long that it runs only when it is asked for."""
    return getattr(method, "SLOW", False)


def resolve(spec: str) -> tuple[ModuleType, dict]:
    """Give the module and the options that a spec names; raises `UnknownMethod` if none."""
    name, _, changes = spec.partition("?")
    for known, method, options in choices():
        if known == name:
            return method, options | _options(method, changes)
    raise _unknown(name)


def _options(method: ModuleType, changes: str) -> dict:
    """Read "seed=3&strategy=row"; only values that the method's card lists."""
    found = {}
    for change in filter(None, changes.split("&")):
        option, _, text = change.partition("=")
        allowed = {str(value): value for value in method.OPTIONS.get(option, ())}
        if text not in allowed:
            offer = ", ".join(
                f"{name} ({', '.join(map(str, method.OPTIONS[name]))})" for name in method.OPTIONS
            )
            raise UnknownMethod(
                f"{method.TITLE} has no option {change!r}; it has: {offer or 'no options'}."
            )
        found[option] = allowed[text]
    return found


def _unknown(name: str) -> UnknownMethod:
    known = ", ".join(spec for spec, _, _ in choices())
    return UnknownMethod(f"There is no method called {name!r}. The methods are: {known}.")


def title(spec: str) -> str:
    """Name a method with its variant and its changed settings: "FoPru · row"."""
    method, _ = resolve(spec)
    name, _, changes = spec.partition("?")
    variant = name.partition(":")[2]
    return " · ".join(filter(None, [method.TITLE, variant, changes.replace("&", ", ")]))
