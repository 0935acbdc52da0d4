"""models.yaml: which models the page offers, and where their weights are; loads none."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml
from transformers import PreTrainedConfig

from explorer import ROOT
from explorer.errors import ModelUnavailable, UnknownModel
from explorer.vlm import checkpoints
from explorer.vlm.families import family_of

CUSTOM_HELP = (
    "a key of models.yaml, a folder with a saved model, or a repository on the Hugging Face hub, "
    "owner/name"
)


def register_custom(source: str) -> str:
    """Offer a model as long as the program runs, and give its key.

    source: see HELP. Raises `UnknownModel` if it is none of these, `ModelUnavailable` if the
    model's configuration can't be read or its architecture is not supported.
    """
    known = entries()
    if source in known:
        return source
    folder = Path(source).expanduser().resolve()
    for key, listed in known.items():
        if source == listed.hub or (listed.path and folder == Path(listed.source)):
            return key
    if folder.is_dir():
        key = folder.name if folder.name not in known else f"{folder.name} (given)"
        found = Entry(key, folder.name, path=str(folder))
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        found = Entry(source.replace("/", "--"), source, hub=source)
    else:
        raise UnknownModel(
            f"{source!r} is no folder here, no repository on the hub (owner/name), and not listed "
            f"in models.yaml ({', '.join(known)})."
        )
    family_of(_model_type(found))
    register(found)
    return found.key


def _model_type(found: Entry) -> str:
    """Read what transformers calls the model's architecture; needs no more than its config."""
    here = bool(found.path) or not checkpoints.reachable()
    try:
        config, _ = PreTrainedConfig.get_config_dict(found.source, local_files_only=here)
    except OSError as error:
        if found.path:
            raise _nothing_in(found) from error
        raise ModelUnavailable(
            f"The configuration of {found.hub} could not be fetched from the Hugging Face hub. "
            "Look at the name, connect this machine to the internet, or give a folder."
        ) from error
    if "model_type" not in config:
        raise _nothing_in(found)
    return config["model_type"]


def _nothing_in(found: Entry) -> ModelUnavailable:
    return ModelUnavailable(f"There is no model in {found.source} that transformers can read.")


DEFAULT = "pico"


@dataclass(frozen=True)
class Entry:
    """One model of models.yaml, where every field is explained."""

    key: str
    title: str
    family: str = ""
    dtype: str = "bfloat16"
    memory: str = ""
    hardware: str = ""
    licence: str = ""
    use: str = ""
    path: str = ""
    hub: str = ""
    revision: str | None = None
    live: bool = False
    max_new_tokens: int = 64
    threads: int = 0

    @property
    def name(self) -> str:
        """The title without what is remarked behind it."""
        return self.title.partition(" · ")[0]

    @property
    def source(self) -> str:
        """Folder or hub repository, as `from_pretrained` takes it."""
        return str(ROOT / self.path) if self.path else self.hub


_OFFERED: dict[str, Entry] = {}


def register(found: Entry) -> None:
    """Take one more model into the zoo as long as this program runs."""
    _OFFERED[found.key] = found


def entries(file: Path = ROOT / "models.yaml") -> dict[str, Entry]:
    """Read the zoo, in the order of the file; further models on offer come last."""
    return _listed(file) | _OFFERED


@lru_cache(maxsize=4)
def _listed(file: Path) -> dict[str, Entry]:
    """Read the file once: each question asks for its model, and YAML is as slow as an answer."""
    listed = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {key: Entry(key=key, **fields) for key, fields in listed.items()}


def entry(key: str) -> Entry:
    """Find one model; `UnknownModel` names the ones there are."""
    known = entries()
    if key not in known:
        raise UnknownModel(f"There is no model named {key!r}; there are: {', '.join(known)}.")
    return known[key]
