"""Which models the page offers, where their weights are, and at which resolutions; loads none.

models.yaml lists them; a person may name a further one when the program starts, a custom model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from transformers import PreTrainedConfig

from explorer import ROOT
from explorer.errors import CannotStart, ModelUnavailable, UnknownModel
from explorer.vlm import checkpoints
from explorer.vlm.families import family_of

DEFAULT = "pico"
RESOLUTIONS = {
    "whole": ("in one piece", "The picture was looked at in one piece, without closer looks."),
    "2x2": ("2 × 2 pieces", "The picture was cut into 2 × 2 pieces at most."),
    "full": ("all pieces", ""),
}
"""How finely a picture is cut up: what it is called, and what the page says where it is coarser."""
# Families that cut pictures up as their processors are told.
TILING = ("smolvlm", "internvl", "llava_next", "llava_onevision")
CUSTOM_HELP = (
    "a key of models.yaml, a folder with a saved model, or a repository on the Hugging Face hub, "
    "owner/name"
)


@dataclass(frozen=True)
class Entry:
    """One model of models.yaml, where every field is explained.

    At a coarser resolution, of the key "model@resolution", it is an entry of its own: `of` names
    the model whose weights it shares.
    """

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
    resolution: str = "full"
    of: str = ""

    @property
    def resolutions(self) -> tuple[str, ...]:
        """Name the resolutions that there are to choose from, the least first."""
        return tuple(RESOLUTIONS) if self.family in TILING else ()

    def at(self, resolution: str) -> Entry:
        """Give the model at one of its resolutions; the full one is the model itself."""
        if resolution == self.resolution:
            return self
        _, behind, remark = self.title.partition(" · ")
        title = f"{self.name}, {RESOLUTIONS[resolution][0]}{behind}{remark}"
        key = f"{self.key}@{resolution}"
        return replace(self, key=key, title=title, resolution=resolution, of=self.key)

    @property
    def name(self) -> str:
        """The title without what is remarked behind it."""
        return self.title.partition(" · ")[0]

    @property
    def source(self) -> str:
        """Folder or hub repository, as `from_pretrained` takes it."""
        return str(ROOT / self.path) if self.path else self.hub


def read_entries(file: Path = ROOT / "models.yaml") -> dict[str, Entry]:
    """Read the models that are listed, in the order of the file. Raises `CannotStart`."""
    try:
        listed = yaml.safe_load(file.read_text(encoding="utf-8"))
        entries = {key: Entry(key=key, **fields) for key, fields in listed.items()}
    except (yaml.YAMLError, OSError, UnicodeDecodeError, AttributeError, TypeError) as error:
        why = " ".join(str(error).split())
        raise CannotStart(f"{file.name} is no list of models that can be read: {why}.") from None
    if DEFAULT not in entries:
        raise CannotStart(f"{file.name} does not list {DEFAULT}, the built-in model.")
    return entries


class Catalog:
    """The models on offer: those of models.yaml, and behind them custom models."""

    def __init__(self, listed: Mapping[str, Entry] | None = None):
        self._entries = dict(read_entries() if listed is None else listed)

    def entries(self) -> dict[str, Entry]:
        """List the models by their keys, in the order in which they are shown."""
        return dict(self._entries)

    def entry(self, key: str) -> Entry:
        """Find one model, or one "model@resolution"; `UnknownModel` names the ones there are."""
        if key not in self._entries:
            model, _, resolution = str(key).rpartition("@")  # a script may send nothing
            if model in self._entries and resolution in self._entries[model].resolutions:
                return self._entries[model].at(resolution)
            keys = ", ".join(self._entries)
            raise UnknownModel(f"There is no model named {key!r}; there are: {keys}.")
        return self._entries[key]

    def register(self, source: str) -> str:
        """Offer a custom model, and give its key; one that is on offer already keeps its own.

        source: see CUSTOM_HELP. Raises `UnknownModel` if it is none of these, `ModelUnavailable` if
        the model's configuration can't be read or its architecture is not supported.
        """
        if source in self._entries:
            return source
        folder = Path(source).expanduser().resolve()
        for key, listed in self._entries.items():
            if source == listed.hub or (listed.path and folder == Path(listed.source)):
                return key
        custom = self._custom_entry(source, folder)
        family_of(_model_type(custom))
        self._entries[custom.key] = custom
        return custom.key

    def _custom_entry(self, source: str, folder: Path) -> Entry:
        if folder.is_dir():
            taken = folder.name in self._entries
            key = f"{folder.name} (given)" if taken else folder.name
            return Entry(key, folder.name, path=str(folder))
        if re.fullmatch(r"[\w.-]+/[\w.-]+", source):
            return Entry(source.replace("/", "--"), source, hub=source)
        raise UnknownModel(
            f"{source!r} is no folder here, no repository on the hub (owner/name), and not listed "
            f"in models.yaml ({', '.join(self._entries)})."
        )


def _model_type(entry: Entry) -> str:
    """Read what transformers calls the model's architecture; needs no more than its config."""
    here = bool(entry.path) or not checkpoints.reachable()
    try:
        config, _ = PreTrainedConfig.get_config_dict(entry.source, local_files_only=here)
    except OSError as error:
        if entry.path:
            raise _no_model_in(entry) from error
        raise ModelUnavailable(
            f"The configuration of {entry.hub} could not be fetched from the Hugging Face hub. "
            "Look at the name, connect this machine to the internet, or give a folder."
        ) from error
    if "model_type" not in config:
        raise _no_model_in(entry)
    return config["model_type"]


def _no_model_in(entry: Entry) -> ModelUnavailable:
    return ModelUnavailable(f"There is no model in {entry.source} that transformers can read.")
