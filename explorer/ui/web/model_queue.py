"""How events that run a model are served: whose turn it is, who has left, who asks for too much.

Gradio lets all of them begin at once; a fair queue lets them compute. Knows events, visitors and
the queue; not what is asked or computed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import gradio as gr
from gradio.context import LocalContext

from explorer.errors import TooManyRequests
from explorer.ui.session import visitor_of
from explorer.vlm.turns.fair_queue import FairQueue, Run

Stop = Callable[[], bool]


@dataclass(frozen=True)
class QueueHooks:
    """What is done about an event that has not begun yet; each is given the event's inputs.

    stale: tells whether nobody waits for it any more. refusal: gives, for an error, what is said
    where the visitor asks for too much; else `gr.Error` is raised. waiting: gives, for a place in
    the queue, what is said until the first turn comes; else nothing. unbegun: cleans up after what
    was never begun.
    """

    stale: Callable[..., bool] | None = None
    refusal: Callable[..., object] | None = None
    waiting: Callable[..., object] | None = None
    unbegun: Callable[..., None] | None = None

    def telling(self, inputs: tuple) -> Callable[[tuple[int, int]], object] | None:
        """Give what makes a reply of a place in the queue."""
        waiting = self.waiting
        return None if waiting is None else lambda place: waiting(place, *inputs)

    def refused(self, error: TooManyRequests, inputs: tuple) -> object:
        """Give the reply to what is not taken on."""
        if self.refusal is None:
            raise gr.Error(str(error), print_exception=False) from None
        return self.refusal(error, *inputs)


@dataclass(frozen=True)
class ModelQueue:
    """How events that run a model are served: all at once for Gradio, one by one by a fair queue.

    long: whether they are jobs of many answers, before which short questions come.
    """

    fair_queue: FairQueue
    long: bool = False

    @property
    def settings(self) -> dict:
        """Give what Gradio has to know: that every event may begin at once."""
        return {"concurrency_id": "model", "concurrency_limit": None}

    @property
    def of_long_jobs(self) -> ModelQueue:
        """Give the same queue for jobs of many answers."""
        return replace(self, long=True)

    def serve(self, handler: Callable, hooks: QueueHooks | None = None) -> Callable:
        """Let a handler compute when it is its visitor's turn, and stop when he has left."""
        hooks = hooks or QueueHooks()

        @functools.wraps(handler)
        def values(*inputs) -> Iterator[object]:
            run = None
            try:
                run = self._join(hooks.stale, inputs)
                yield from run.values(handler(*inputs), hooks.telling(inputs))
            except TooManyRequests as error:
                yield hooks.refused(error, inputs)
            finally:
                if hooks.unbegun is not None and not (run and run.has_begun):
                    hooks.unbegun(*inputs)

        @functools.wraps(handler)
        def value(*inputs) -> object:
            try:
                run = self._join(hooks.stale, inputs)
            except TooManyRequests as error:
                return hooks.refused(error, inputs)
            return run.call(lambda: handler(*inputs))

        return values if inspect.isgeneratorfunction(handler) else value

    def _join(self, stale: Callable[..., bool] | None, inputs: tuple) -> Run:
        left = has_left()

        def cancelled() -> bool:
            return left() or (stale is not None and stale(*inputs))

        visitor = visitor_of(LocalContext.request.get())
        return self.fair_queue.join(visitor, self.long, cancelled)


def has_left() -> Stop:
    """Give what tells whether the visitor whose event this is has gone.

    Gradio marks the events of a connection that is closed; what they compute goes on all the same.
    """
    queue, event = LocalContext.blocks.get()._queue, LocalContext.event_id.get()
    event = queue.event_ids_to_events.get(event)
    return lambda: event is not None and not event.alive
