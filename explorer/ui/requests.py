"""How a script of the page asks and is answered: one wiring for all tabs.

A hidden component, `outbound`, carries a message to the server, and `inbound` brings the replies.
Where requests are announced, the announcement overtakes what waits in the queue, so that a stale
run stops at its next reply. Knows messages, tickets and events; not what is asked.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass

import gradio as gr

from explorer.errors import VisitorError
from explorer.ui import components, messages
from explorer.ui.messages import Message
from explorer.ui.session import RequestTickets

Stop = Callable[[], bool]
Handler = Callable[[object, Message, Stop], Iterator[dict]]


def connect(trigger: Callable, handler: Callable, inputs: object, outputs: object, **settings):
    """Let an event run a handler, without a spinner and apart from the public endpoints.

    trigger: such as `button.click`. The handler may give nothing at all; see `or_skip`.
    """
    # Private events are named as well, after their function; none may take an endpoint's name.
    name = f"page_{handler.__name__}"
    quiet = {"show_progress": "hidden", "api_visibility": "private", "api_name": name}
    if outputs is not None:
        handler = or_skip(handler)
    return trigger(handler, inputs, outputs, **quiet, **settings)


def or_skip(handler: Callable) -> Callable:
    """Leave the page as it is where a handler gives nothing.

    Gradio sends null to every output of a generator that ends without a value, which empties
    blocks that the page can't do without.
    """

    @functools.wraps(handler)
    def values(*inputs) -> Iterator[object]:
        silent = True
        for value in handler(*inputs):
            if value or not isinstance(value, dict):
                silent = False
                yield value
        if silent:
            yield gr.skip()

    @functools.wraps(handler)
    def value(*inputs) -> object:
        found = handler(*inputs)
        return gr.skip() if found is None or found == {} else found

    return values if inspect.isgeneratorfunction(handler) else value


def checked(kind: type[Message], notes: gr.HTML, handler: Callable) -> Callable:
    """Let a handler's first input be a message of this kind; a visitor's mistakes go to `notes`."""

    def said(error: VisitorError) -> dict:
        return {notes: components.lines("error", str(error))}

    @functools.wraps(handler)
    def values(sent: object, *inputs) -> Iterator[object]:
        try:
            yield from handler(messages.read(kind, sent), *inputs)
        except VisitorError as error:
            yield said(error)

    @functools.wraps(handler)
    def value(sent: object, *inputs) -> object:
        try:
            return handler(messages.read(kind, sent), *inputs)
        except VisitorError as error:
            return said(error)

    return values if inspect.isgeneratorfunction(handler) else value


@dataclass(frozen=True)
class Channel:
    """A way in which a script asks: through which components, about what, and how it is served.

    name: of the channel, for its tickets. outbound has an event of the name `event`, and one called
    "announce" if tickets are given. session: holds what the visitor looks at. envelope: makes the
    value of `inbound` from a reply. defaults: what every reply has, until the handler knows better.
    """

    name: str
    outbound: gr.HTML
    inbound: gr.HTML
    session: gr.State
    event: str
    tickets: RequestTickets | None = None
    envelope: Callable[[dict], object] = dict
    defaults: dict | None = None


def serve_request(channel: Channel, kind: type[Message], handler: Handler, queue: dict) -> None:
    """Answer the messages of a channel.

    handler: gives replies to a message of this kind about a session; one with all that is known by
    now, as a page may miss a reply that another one follows. Empty ones are not sent. It is closed
    as soon as the session has asked anew. queue: settings of events that run a model.
    """
    tickets = channel.tickets

    def announce(sent: object, request: gr.Request) -> None:
        tickets.announce(request.session_hash, channel.name, messages.ticket_of(sent))

    def answer(sent: object, session: object, request: gr.Request) -> Iterator[object]:
        def stale() -> bool:
            newest = tickets.newest(request.session_hash, channel.name) if tickets else 0
            return newest > messages.ticket_of(sent)

        if stale():
            return
        for reply in replies(channel, kind, handler, sent, session, stale):
            yield channel.envelope(reply)

    last = {"trigger_mode": "always_last"}
    if tickets is not None:
        announced = channel.outbound.announce
        connect(announced, announce, [channel.outbound], None, queue=False, **last)
    event = getattr(channel.outbound, channel.event)
    inputs = [channel.outbound, channel.session]
    connect(event, answer, inputs, [channel.inbound], **queue, **last)


def replies(
    channel: Channel,
    kind: type[Message],
    handler: Handler,
    sent: object,
    session: object,
    stop: Stop,
) -> Iterator[dict]:
    """Give the replies to what a browser has sent; a visitor's mistake becomes the last of them."""
    reply = (channel.defaults or {}) | {"ticket": messages.ticket_of(sent), "error": None}
    try:
        message = messages.read(kind, sent)
        if not message.meant_for(session):
            return
        reply |= message.place
        with closing(handler(session, message, stop)) as given:
            for more in given:
                if stop():
                    return
                if more:
                    reply = reply | more
                    yield reply
    except VisitorError as error:
        yield reply | {"error": str(error), "done": True}
