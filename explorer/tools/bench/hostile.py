"""Drive a page with calls that mean it ill: `python -m explorer doctor --hostile`

Long keys and names, nonsense, cut and refused uploads, invented sessions, work that nobody waits
for. Each has to be answered or refused with a sentence, nobody else may suffer, and of a thousand
nothing may be left in memory. Knows HTTP and the public endpoints; not the page.
"""

from __future__ import annotations

import io
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from httpx import Client, HTTPError, Response
from PIL import Image

from explorer.tools.bench import load
from explorer.tools.browser import served

AT_ONCE = 8
REST_SECONDS, WORK_SECONDS = 60.0, 240.0  # after a call of each kind, and after all
MAX_GROWTH = 50  # megabytes that memory may have grown by in the end
SECONDS = 120  # that a call may take
QUESTION = "what is in the middle ?"
REFUSED = (503, 507)  # of the server's errors, those that are sentences: too many, no room
EVENTS = 60  # of the page, by their numbers: more than there are
DEEP = 100_000  # brackets, one in the other


@dataclass(frozen=True)
class Attacker:
    """Who calls. at: the address of the API; picture: an upload, as a message names it."""

    at: str
    client: Client
    picture: dict

    def post(self, path: str, message: object) -> Response:
        """Send a message, half letters and all, or bytes as they are."""
        content = message if isinstance(message, bytes) else json.dumps(message).encode("ascii")
        headers = {"content-type": "application/json"}
        return self.client.post(f"{self.at}/{path}", content=content, headers=headers)

    def call(self, name: str, *data: object, session: str) -> Response:
        """Ask an endpoint, and wait for what it says."""
        told = self.begin(name, *data, session=session)
        if not told.is_success:
            return told
        return self.client.get(f"{self.at}/call/{name}/{told.json()['event_id']}")

    def begin(self, name: str, *data: object, session: str) -> Response:
        """Ask an endpoint, and wait for nothing."""
        return self.post(f"call/{name}", {"data": data, "session_hash": session})

    def join(self, event: object, data: object, session: str) -> Response:
        """Trigger an event of the page, and wait for nothing."""
        return self.post("queue/join", {"data": data, "fn_index": event, "session_hash": session})

    def upload(self, data: bytes, name: str = "a.png") -> Response:
        """Bring a file."""
        return self.client.post(f"{self.at}/upload", files=[("files", (name, data))])

    def cut(self, said: int, sent: int) -> None:
        """Announce an upload of so many bytes, send some, and hang up."""
        to = urlsplit(self.at)
        head = f"POST {to.path}/upload HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Length: {said}\r\n"
        head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: "
        head += 'form-data; name="files"; filename="a.png"\r\n\r\n'
        with suppress(OSError), socket.create_connection((to.hostname, to.port)) as line:
            line.sendall(head.encode() + bytes(sent))


def _noise(number: int, count: int) -> bytes:
    return random.Random(number).randbytes(count)


def _bomb(number: int) -> bytes:
    """Write forty million pixels into some kilobytes; few different pictures, for new ones fill the
    cache of results, which is bounded by itself.
    """
    file = io.BytesIO()
    Image.new("L", (6300, 6300), number % 2).save(file, "PNG")
    return file.getvalue()


def _bring(by: Attacker, data: bytes, name: str, session: str) -> Response:
    """Upload something that is no picture of use, and ask about it."""
    told = by.upload(data, name)
    if not told.is_success:
        return told
    picture = {"path": told.json()[0], "meta": {"_type": "gradio.FileData"}}
    return by.call("answer", picture, QUESTION, "fastv", 64, "pico", session=session)


def _look_in(by: Attacker, session: str) -> Response:
    with by.client.stream("GET", f"{by.at}/heartbeat/{session}") as response:
        return response


Call = Callable[[Attacker, int, str], Response | None]
"""Makes one call, by whom, the how manieth it is, and under which name of a session."""

CALLS: dict[str, Call] = {
    "long spec": lambda by, n, s: by.call(
        "answer", by.picture, QUESTION, "fastv?" + "&" * 200_000, 64, "pico", session=s
    ),
    "spec in a new spelling": lambda by, n, s: by.call(
        "answer", by.picture, QUESTION, "fastv?" + "&" * (n % 90), 64, "pico", session=s
    ),
    "unknown spec": lambda by, n, s: by.call(
        "answer", by.picture, QUESTION, f"fastv?k={n}&nothing=1e999", 64, "pico", session=s
    ),
    "long message": lambda by, n, s: by.join(0, ["x" * 2_000_000], s),
    "long name": lambda by, n, s: by.join(0, [None], s * 100_000),
    "lone surrogate": lambda by, n, s: by.call(
        "answer", by.picture, "\ud83d what ?", "fastv", 64, "pico\udc00", session=s
    ),
    "nulls": lambda by, n, s: by.call("answer", *[None] * 5, session=s),
    "too few": lambda by, n, s: by.call("sweep", session=s),
    "giant budget": lambda by, n, s: by.call(
        "answer", by.picture, QUESTION, "fastv", 10 ** (n % 300), "pico", session=s
    ),
    "many budgets": lambda by, n, s: by.call(
        "sweep", by.picture, QUESTION, "fastv", "64," * 50_000, "pico", session=s
    ),
    "many methods": lambda by, n, s: by.call(
        "compare", by.picture, QUESTION, 64, "fastv," * 30_000, "pico", session=s
    ),
    "file of the server": lambda by, n, s: by.call(
        "analyse", {"path": f"/proc/{n}/mem"}, QUESTION, "pico", session=s
    ),
    "cut upload": lambda by, n, s: by.cut(said=5_000_000, sent=200_000),
    "refused upload": lambda by, n, s: by.cut(said=4_000_000_000, sent=1_000),
    "no picture": lambda by, n, s: _bring(by, _noise(n, 300_000), f"{'n' * (n % 200)}.png", s),
    "bomb": lambda by, n, s: _bring(by, _bomb(n), "bomb.png", s),
    "invented session": lambda by, n, s: by.join(n % EVENTS, [_noise(n, 9).hex()] * 4, s),
    "unknown event": lambda by, n, s: by.join(["x", -1, 1e6, None][n % 4], {"a": n}, s),
    "no JSON": lambda by, n, s: by.post("queue/join", _noise(n, 50_000)),
    "deep JSON": lambda by, n, s: by.post("queue/join", b"[" * DEEP + b"]" * DEEP),
    "work for nobody": lambda by, n, s: by.begin(
        "oracle", by.picture, f"what is {n} ?", "", "gradients", "pico", session=f"nobody {n % 4}"
    ),
    "look in": lambda by, n, s: _look_in(by, s),
    "foreign event": lambda by, n, s: by.post(
        "cancel", {"session_hash": s, "event_id": s, "fn_index": n}
    ),
    "unused address": lambda by, n, s: by.post("component_server", {"data": n, "fn_name": "x"}),
    "long address": lambda by, n, s: by.client.get(f"{by.at}/file={'../' * 6_000}"),
}


@dataclass
class HostileReport:
    """What was seen. faults: calls that broke something, by kind and what was said; memory:
    megabytes after one call of each kind and after all, None where the server runs elsewhere;
    answered: whether a visitor gets an answer in the end.
    """

    calls: int
    faults: Counter[str] = field(default_factory=Counter)
    memory: tuple[float, float] | None = None
    answered: bool = False

    @property
    def well(self) -> bool:
        """Whether nothing broke, and nothing was left."""
        grown = self.memory[1] - self.memory[0] if self.memory else 0.0
        return not self.faults and self.answered and grown <= MAX_GROWTH

    def __str__(self) -> str:
        lines = [
            f"{self.calls} hostile calls of {len(CALLS)} kinds",
            f"faults      {sum(self.faults.values())}",
            *(f"            {count} x {said}" for said, count in self.faults.most_common(10)),
            f"afterwards  a visitor is {'answered' if self.answered else 'NOT ANSWERED'}",
        ]
        if self.memory:
            first, last = self.memory
            lines.append(
                f"memory      {first:.0f} MB after {len(CALLS)} calls, {last:.0f} after all"
            )
        return "\n".join(lines)


def measure(url: str = "", calls: int = 1_000) -> HostileReport:
    """Call the page at an address, or one that is started here, so many times, kind by kind."""
    report = HostileReport(max(calls, len(CALLS)))
    page = nullcontext((url, None)) if url else served()
    with page as (address, app), TemporaryDirectory() as folder, Client(timeout=SECONDS) as client:
        visitor = load.Visitor.arrive(0, Path(folder))
        at = f"{address.rstrip('/')}/gradio_api"
        files = [("files", ("picture.png", visitor.picture.read_bytes()))]
        [path] = client.post(f"{at}/upload", files=files).raise_for_status().json()
        by = Attacker(at, client, {"path": path, "meta": {"_type": "gradio.FileData"}})
        _call(by, range(len(CALLS)), report)
        pid = app.pid if app else load.server_here(address)
        before = pid and _lowest(pid, REST_SECONDS)
        _call(by, range(len(CALLS), report.calls), report)
        report.answered = _is_answered(by)
        if pid:
            report.memory = before, _lowest(pid, WORK_SECONDS, enough=before)
    return report


def _lowest(pid: int, seconds: float, enough: float = 0.0) -> float:
    """Give the least memory, in megabytes, that a process has in some seconds, or what is enough.

    What nobody waits for is still worked on after the last call, and free memory goes back later.
    """
    until, least = time.monotonic() + seconds, load.resident(pid)
    while least > enough and time.monotonic() < until:
        time.sleep(min(1.0, seconds))
        least = min(least, load.resident(pid))
    return least


def _is_answered(by: Attacker) -> bool:
    """Ask as a visitor does, and tell whether there is an answer."""
    told = by.call("answer", by.picture, QUESTION, "visionzip", 80, "pico", session="a visitor")
    return "event: complete" in told.text


def _call(by: Attacker, numbers: range, report: HostileReport) -> None:
    def call(number: int) -> str | None:
        kind = list(CALLS)[number % len(CALLS)]
        try:
            told = CALLS[kind](by, number, f"invented {number}")
        except HTTPError as error:
            return f"{kind}: {error!r}"[:150]
        broken = told is not None and told.status_code >= 500 and told.status_code not in REFUSED
        return f"{kind}: {told.status_code} {told.text[:80]}" if broken else None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        report.faults.update(filter(None, pool.map(call, numbers)))
