"""How a script of the page asks and is answered: one wiring for all tabs.

A hidden component, `outbound`, carries a message to the server, and `inbound` brings the replies.
Where requests are announced, the announcement overtakes what waits in the queue, so that a stale
run stops at its next layer. Knows messages, tickets and events; not what is asked, nor whose turn
it is.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import gradio as gr

from explorer.errors import VisitorError
from explorer.ui import components, messages
from explorer.ui.messages import Message
from explorer.ui.session import FORGOTTEN, AppState, RequestTickets, is_forgotten, visitor_of
from explorer.ui.web.model_queue import ModelQueue, QueueHooks, Stop
from explorer.ui.web.stages import with_stages
from explorer.vlm.turns.current_run import others

Handler = Callable[[object, Message, Stop], Iterator[dict]]


def announce(tickets: RequestTickets, channel: str, sent: object, request: gr.Request) -> None:
    """Take down that a visitor has asked anew on a channel, and no longer for what was before."""
    tickets.announce(visitor_of(request), channel, messages.ticket_of(sent))


def is_stale(tickets: RequestTickets, channel: str, sent: object, request: gr.Request) -> bool:
    """Tell whether a visitor has asked anew on a channel since this message."""
    return tickets.newest(visitor_of(request), channel) > messages.ticket_of(sent)


def connect(
    trigger: Callable,
    handler: Callable,
    inputs: object,
    outputs: object,
    queue: ModelQueue | bool = True,
    hooks: QueueHooks | None = None,
    **settings,
):
    """Let an event run a handler, without a spinner and apart from the public endpoints.

    trigger: such as `button.click`. The handler may give nothing at all; see `or_skip`. queue: how
    it comes to run a model; whether Gradio queues it where it runs none. hooks: what is done as
    long as it waits there.
    """
    # Private events are named as well, after their function; none may take an endpoint's name.
    name = f"page_{handler.__name__}"
    quiet = {"show_progress": "hidden", "api_visibility": "private", "api_name": name}
    if isinstance(queue, ModelQueue):
        handler = queue.serve(handler, hooks)
        settings = queue.settings | settings
    else:
        settings["queue"] = queue
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
    grows: whether a reply adds to those before; else it has all that is known by now, as a page may
    miss a reply that another one follows.
    """

    name: str
    outbound: gr.HTML
    inbound: gr.HTML
    session: gr.State
    event: str
    tickets: RequestTickets | None = None
    envelope: Callable[[dict], object] = dict
    defaults: dict | None = None
    grows: bool = False


def task_channel(
    tab: str, mount: str, name: str, app_state: AppState, session: gr.State
) -> Channel:
    """Make the channel of one task of a tab, with its own hidden blocks, event "work".

    mount: the function of assets/page/main.js for the sender; that for replies is called the same,
    with "Reply" behind it.
    """
    return Channel(
        f"{tab} {name}",
        components.outbound(mount, "announce", "work", name=name),
        components.inbound(f"{mount}Reply", name=name),
        session,
        event="work",
        tickets=app_state.tickets,
    )


def beside_others(task: Callable[[object, Message], Iterator[dict]]) -> Handler:
    """Let a task that can't be stopped between two replies tell first who else computes."""

    def work(session: object, message: Message, stop: Stop) -> Iterator[dict]:
        if beside := others():
            yield {"others": beside}
        yield from task(session, message)

    return work


def serve_request(
    channel: Channel,
    kind: type[Message],
    handler: Handler,
    queue: ModelQueue,
    unbegun: Callable[[Message], None] | None = None,
) -> None:
    """Answer the messages of a channel; of a long job its place in the queue comes first.

    handler: gives replies to a message of this kind about a session. Empty ones are not sent. It is
    closed as soon as the session has asked anew. unbegun: is told of a message whose handler is
    never begun.
    """
    tickets = channel.tickets

    def announced(sent: object, request: gr.Request) -> None:
        announce(tickets, channel.name, sent, request)

    def stale(sent: object, session: object, request: gr.Request) -> bool:
        return tickets is not None and is_stale(tickets, channel.name, sent, request)

    def answer(sent: object, session: object, request: gr.Request) -> Iterator[object]:
        def stop() -> bool:
            return stale(sent, session, request)

        if stop():
            dropped(sent)
            return
        values = map(channel.envelope, replies(channel, kind, handler, sent, session, stop))
        yield from components.growing(values) if channel.grows else values

    def refusal(error: VisitorError, sent: object, session: object, request: gr.Request) -> object:
        def refuse(*_) -> Iterator[dict]:
            yield {}
            raise error

        *_, reply = replies(channel, kind, refuse, sent, session, lambda: False)
        return channel.envelope(reply)

    def dropped(sent: object, *_: object) -> None:
        if unbegun is not None:
            with suppress(VisitorError):
                unbegun(messages.read(kind, sent))

    def waiting(
        place: tuple[int, int], sent: object, session: object, request: gr.Request
    ) -> object:
        def tell(*_) -> Iterator[dict]:
            yield {"place": list(place)}

        told = replies(channel, kind, tell, sent, session, lambda: False)
        return next(map(channel.envelope, told), {})

    last = {"trigger_mode": "always_last"}
    if tickets is not None:
        trigger = channel.outbound.announce
        connect(trigger, announced, [channel.outbound], None, queue=False, **last)
    event = getattr(channel.outbound, channel.event)
    inputs = [channel.outbound, channel.session]
    hooks = QueueHooks(stale, refusal, waiting if queue.long else None, dropped)
    connect(event, answer, inputs, [channel.inbound], queue, hooks, **last)


def replies(
    channel: Channel,
    kind: type[Message],
    handler: Handler,
    sent: object,
    session: object,
    stop: Stop,
) -> Iterator[dict]:
    """Give the replies to what a browser has sent; a visitor's mistake becomes the last of them.

    Where a model takes seconds, `stage` says between them what it is doing and what is left.
    """
    reply = (channel.defaults or {}) | {"ticket": messages.ticket_of(sent), "error": None}
    try:
        message = messages.read(kind, sent)
        reply |= message.place
        if not message.meant_for(session):
            if is_forgotten(session):
                yield reply | FORGOTTEN
            return
        begun = reply
        with closing(with_stages(handler(session, message, stop), session.model)) as given:
            for more in given:
                if stop():
                    return
                if more:
                    more = {"stage": more} if isinstance(more, str) else more
                    reply = (begun if channel.grows else reply) | more
                    yield reply
    except VisitorError as error:
        yield reply | {"error": str(error), "done": True}
