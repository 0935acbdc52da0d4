"""A model that models.yaml doesn't list, given by whoever starts a program: `app.py --model NAME`.

Visitors can't give any. Knows folders, the hub and configurations; loads no weights.
"""

from __future__ import annotations

import re
from pathlib import Path

from transformers import PreTrainedConfig

from explorer import hub, zoo
from explorer.errors import ModelUnavailable, UnknownModel
from explorer.families import family_of

HELP = (
    "a key of models.yaml, a folder with a saved model, or a repository on the Hugging Face hub, "
    "owner/name"
)


def add(source: str) -> str:
    """Offer a model as long as the program runs, and give its key.

    source: see HELP. Raises `UnknownModel` if it is none of these, `ModelUnavailable` if the
    model's configuration can't be read or its architecture is not supported.
    """
    known = zoo.entries()
    if source in known:
        return source
    folder = Path(source).expanduser().resolve()
    for key, listed in known.items():
        if source == listed.hub or (listed.path and folder == Path(listed.source)):
            return key
    if folder.is_dir():
        key = folder.name if folder.name not in known else f"{folder.name} (given)"
        found = zoo.Entry(key, folder.name, path=str(folder))
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        found = zoo.Entry(source.replace("/", "--"), source, hub=source)
    else:
        raise UnknownModel(
            f"{source!r} is no folder here, no repository on the hub (owner/name), and not listed "
            f"in models.yaml ({', '.join(known)})."
        )
    family_of(_model_type(found))
    zoo.offer(found)
    return found.key


def _model_type(found: zoo.Entry) -> str:
    """Read what transformers calls the model's architecture; needs no more than its config."""
    here = bool(found.path) or not hub.reachable()
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


def _nothing_in(found: zoo.Entry) -> ModelUnavailable:
    return ModelUnavailable(f"There is no model in {found.source} that transformers can read.")
