"""Errors that a visitor can cause; each carries one sentence that a person understands.

Everything that is not a `VisitorError` is a mistake of ours and fails loudly.
"""

from __future__ import annotations


class VisitorError(Exception):
    """Something a visitor can put right; `str(error)` is the sentence the page shows."""


class BadPicture(VisitorError):
    """The picture can't be used."""


class BadVideo(VisitorError):
    """The video can't be used."""


class NotUploaded(VisitorError):
    """The file is no upload, or is one no more."""


class BadQuestion(VisitorError):
    """The question can't be used."""


class BadBudget(VisitorError):
    """The budget is not a number of visual tokens between 1 and N."""

    @classmethod
    def not_within(cls, most: int, budget: object) -> BadBudget:
        """Say what budgets there are, and which was sent instead."""
        sent = "none" if budget is None else f"{budget!r:.40}"
        return cls(f"The budget must be a whole number from 1 to {most}, not {sent}.")


class UnknownMethod(VisitorError):
    """No method has this key."""


class UnknownModel(VisitorError):
    """No model in models.yaml has this key."""


class ModelUnavailable(VisitorError):
    """The model is known but can't be loaded here."""


class ModelLoading(ModelUnavailable):
    """The model is on its way; asking again in a while will do."""


class DeviceUnavailable(ModelUnavailable):
    """The device or precision that was asked for is not to be had here."""


class OutOfMemory(VisitorError):
    """A run needed more memory than there is; the model is still usable."""


class MethodUnavailable(VisitorError):
    """The method can't run on this model."""


class BadRegion(VisitorError):
    """The region does not lie on the picture."""


class BadPick(VisitorError):
    """The hand-picked patches are no set of visual tokens that there are."""


class BadAnswer(VisitorError):
    """The answer that somebody wants explained can't be."""


class BadCase(VisitorError):
    """The file is no case that can be opened."""


class BadLink(VisitorError):
    """The link asks for something that can't be had."""


class CannotStart(VisitorError):
    """Something is missing or taken without which the page can't be served."""


class TooManyRequests(VisitorError):
    """A visitor, or all together, have asked for more than is worked on at a time."""


class BadMessage(VisitorError):
    """The browser has sent something that the page would not send."""
