"""The pruning methods in the order of the page, and what a spec names.

To add a method, write its file and name its class here. A spec names a method, one of its variants
after a colon, and options after a question mark: "fopru", "fopru:row", "random?seed=3".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from explorer.errors import UnknownMethod
from explorer.methods.attention.clsattn import ClsAttention
from explorer.methods.attention.fopru import FoPru
from explorer.methods.attention.globalcom2 import GlobalCom2
from explorer.methods.attention.hiprune import HiPrune
from explorer.methods.attention.hired import HiRED
from explorer.methods.attention.holov import HoloV
from explorer.methods.attention.prumerge import PruMerge
from explorer.methods.attention.relevance import Relevance
from explorer.methods.attention.relevance_map import RelevanceMap
from explorer.methods.attention.visionzip import VisionZip
from explorer.methods.attention.vispruner import VisPruner
from explorer.methods.baselines.pool import Pool
from explorer.methods.baselines.random import Random
from explorer.methods.baselines.random_inside import RandomInside
from explorer.methods.baselines.uniform import Uniform
from explorer.methods.frames.dycoke import DyCoke
from explorer.methods.in_tower.flowcut import FlowCut
from explorer.methods.inside_llm.corematching import CoreMatching
from explorer.methods.inside_llm.dart import DART
from explorer.methods.inside_llm.fastv import FastV
from explorer.methods.inside_llm.feather import Feather
from explorer.methods.inside_llm.fitprune import FitPrune
from explorer.methods.inside_llm.ivcprune import IVCPrune
from explorer.methods.inside_llm.pact import PACT
from explorer.methods.inside_llm.pyramiddrop import PyramidDrop
from explorer.methods.inside_llm.sparsevlm import SparseVLM
from explorer.methods.inside_llm.transprune import TransPrune
from explorer.methods.inside_llm.vtw import VTW
from explorer.methods.method import Method
from explorer.methods.several_stages.aim import AIM
from explorer.methods.several_stages.mustdrop import MustDrop
from explorer.methods.several_stages.todre import ToDRE
from explorer.methods.several_stages.visiondrop import VisionDrop
from explorer.methods.several_stages.vscan import VScan
from explorer.methods.similarity.cdpruner import CDPruner
from explorer.methods.similarity.divprune import DivPrune
from explorer.methods.similarity.gprune import GPrune
from explorer.methods.similarity.lexrank import LexRank
from explorer.methods.similarity.mmtok import MMTok
from explorer.methods.similarity.restore import Restore
from explorer.methods.similarity.scope import SCOPE
from explorer.methods.similarity.tome import ToMe
from explorer.methods.similarity.zooprune import ZooPrune

IN_WORDS = {
    "positions=keep": "positions kept",
    "positions=renumber": "positions counted anew",
    "=True": "=yes",
    "=False": "=no",
}
"""Settings as a title says them."""

METHODS: tuple[type[Method], ...] = (
    Random,
    Uniform,
    Pool,
    # attention of the vision tower
    ClsAttention,
    FoPru,
    HiRED,
    GlobalCom2,
    VisionZip,
    VisPruner,
    HoloV,
    HiPrune,
    PruMerge,
    # similarity
    LexRank,
    GPrune,
    DivPrune,
    ZooPrune,
    CDPruner,
    MMTok,
    SCOPE,
    ToMe,
    Restore,
    # inside the LLM
    FastV,
    Feather,
    VTW,
    DART,
    PyramidDrop,
    FitPrune,
    SparseVLM,
    TransPrune,
    CoreMatching,
    PACT,
    IVCPrune,
    # before and inside it
    ToDRE,
    VisionDrop,
    VScan,
    AIM,
    MustDrop,
    # in the tower
    FlowCut,
    # the answer
    Relevance,
    RelevanceMap,
)
OF_VIDEOS: tuple[type[Method], ...] = (DyCoke,)
"""Offered for videos alone: what they choose by changes from frame to frame."""
MAX_SPEC = 100  # characters of a spec
BY_NAME_ALONE = (RandomInside,)
"""Found by their spec, but not offered: what others are compared with."""
EXPLAINING = (Relevance, RelevanceMap)
"""Stand in the folder of attention, but score by what explains the answer."""
GROUPS = {
    "baselines": "baselines",
    "attention": "attention of the vision tower",
    "similarity": "similarity",
    "inside_llm": "inside the LLM",
    "several_stages": "before and inside the LLM",
    "in_tower": "in the vision tower",
    "frames": "frames of a video",
}
"""What a method's score is computed from, by the folder of its file."""


def group_of(method: Method | type[Method]) -> str:
    """Say what a method's score is computed from: a group of the page's lists."""
    known = method if isinstance(method, type) else type(method)
    if known in EXPLAINING:
        return "what explains the answer"
    return GROUPS.get(known.__module__.split(".")[-2], "others")


def find(key: str) -> type[Method]:
    """Give the method of this key; raises `UnknownMethod` if there is none."""
    for method in (*METHODS, *OF_VIDEOS, *BY_NAME_ALONE):
        if key == method.card.key:
            return method
    raise _unknown(key)


def choices() -> list[Method]:
    """List what a visitor can choose: every method, each followed by its variants."""
    return [
        method(**options)
        for method in METHODS
        for options in ({}, *(variant.options for variant in method.variants))
    ]


def choices_of_videos() -> list[Method]:
    """List what can be chosen for a video: what can be for a picture, and those of frames."""
    return [*choices(), *(method() for method in OF_VIDEOS)]


def resolve(spec: str) -> Method:
    """Give the method that a spec names, with its options; raises `UnknownMethod` if none."""
    if not isinstance(spec, str):
        raise _unknown(spec)
    if len(spec) > MAX_SPEC:
        raise UnknownMethod(f"A method is named by at most {MAX_SPEC} characters.")
    found = _find(spec)
    if found is None:
        raise _unknown(spec.partition("?")[0])
    return found


def _find(spec: str) -> Method | None:
    """Give the method that a spec names, None if there is none; raises for a wrong option."""
    name, _, changes = spec.partition("?")
    key, colon, label = name.partition(":")
    for method in (*METHODS, *OF_VIDEOS, *BY_NAME_ALONE):
        if key == method.card.key:
            named = {variant.label: variant.options for variant in method.variants}
            named |= {} if colon else {"": {}}
            if label in named:
                return method(**{**named[label], **_options(method, changes)})
    return None


def canonical(spec: str) -> str:
    """Give the one way to write a spec: "fopru:row" for "fopru?strategy=row&".

    What names no method ("full") stays as it is.
    """
    if not isinstance(spec, str) or len(spec) > MAX_SPEC:
        return spec
    try:
        found = _find(spec)  # which doesn't list all methods to say that "full" is none of them
    except UnknownMethod:
        return spec
    return spec if found is None else found.spec


def unique(specs: Iterable[str]) -> list[str]:
    """Give every method of a list once, in the order of the list and by its canonical spec."""
    return list(dict.fromkeys(map(canonical, specs)))


def _options(method: type[Method], changes: str) -> dict[str, Any]:
    """Read "seed=3&strategy=row"; only values that the method offers."""
    offered, found = method.options(), {}
    for change in filter(None, changes.split("&")):
        name, _, text = change.partition("=")
        allowed = {str(value): value for value in offered[name].values} if name in offered else {}
        if text not in allowed:
            offer = ", ".join(
                f"{name} ({', '.join(map(str, option.values))})" for name, option in offered.items()
            )
            raise UnknownMethod(
                f"{method.card.title} has no option {change!r}; it has: {offer or 'no options'}."
            )
        found[name] = allowed[text]
    return found


def _unknown(name: object) -> UnknownMethod:
    known = ", ".join(method.spec for method in choices())
    return UnknownMethod(f"There is no method called {name!r}. The methods are: {known}.")


def title(spec: str) -> str:
    """Name a method with its variant and its changed settings: "FoPru · row", "ToDRE · late=no".

    One that saves nothing says so: "CoreMatching · zero-kv (full cost)".
    """
    name, _, changes = spec.partition("?")
    variant = name.partition(":")[2]
    method = resolve(spec)
    told = changes.replace("&", ", ")
    for value, words in IN_WORDS.items():
        told = told.replace(value, words)
    named = " · ".join(filter(None, [method.card.title, variant, told]))
    return f"{named} (full cost)" if method.full_cost else named
