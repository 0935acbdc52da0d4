"""Two apps behind a round-robin proxy: the page works if a visitor stays with one.

A Gradio session lives in one app: its queue, its state and its uploads. The proxy therefore
gives every visitor a cookie that names a replica, as nginx's `sticky cookie`, HAProxy's `cookie
insert` or an AWS target group's stickiness do.
"""

from __future__ import annotations

import http.client
import itertools
import threading
from collections.abc import Iterator
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from canned import Canned
from conftest import hosted, leave, visit
from playwright.sync_api import Page

pytestmark = pytest.mark.browser
COOKIE = "replica"
OWN = {"connection", "transfer-encoding", "content-length", "keep-alive"}  # of one hop


class Proxy(BaseHTTPRequestHandler):
    """Hands each request to the replica that the cookie names, or else to the next in turn."""

    replicas: tuple[str, ...]
    turns: Iterator[int]
    asked: list[tuple[int, str]]

    def _pass_on(self) -> None:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        number = int(cookie.value) if cookie else next(self.turns) % len(self.replicas)
        self.asked.append((number, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        there = http.client.HTTPConnection(urlsplit(self.replicas[number]).netloc, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in OWN}
            there.request(self.command, self.path, body, headers)
            answer = there.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in OWN:
                    self.send_header(name, value)
            if cookie is None:
                self.send_header("Set-Cookie", f"{COOKIE}={number}; Path=/; HttpOnly; SameSite=Lax")
            self.end_headers()
            while piece := answer.read1(65536):  # events are passed on as they come
                self.wfile.write(piece)
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):  # the visitor has left
            pass
        finally:
            there.close()

    do_GET = do_POST = do_HEAD = _pass_on

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="module")
def replicas(canned_url, recording) -> Iterator[tuple[str, str]]:
    with hosted(use_cases=Canned(recording).use_cases()) as second:
        yield canned_url, second


def proxy(replicas: tuple[str, ...]) -> tuple[ThreadingHTTPServer, type[Proxy], str]:
    state = {"replicas": replicas, "turns": itertools.count(), "asked": []}
    handler = type("Handler", (Proxy,), state)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, handler, f"http://127.0.0.1:{server.server_port}"


def new_scene(page: Page, timeout: int) -> None:
    """Draw another scene and wait until its case is open."""
    before = page.locator(".vt-stage").first.get_attribute("data-case")
    page.locator("#vt-scene button").click()
    page.wait_for_function(
        "before => document.querySelector('.vt-stage').dataset.case !== before",
        arg=before,
        timeout=timeout,
    )


def test_visitors_are_shared_out_and_each_stays_with_one_replica(browser, replicas):
    for number in (0, 1):
        # a proxy each: what the first visitor still asks while he leaves is not of the second
        server, handler, url = proxy(replicas)
        handler.turns = itertools.count(number)
        try:
            page = visit(browser, url, alone=True)
            new_scene(page, 60_000)
            cookies = {each["name"]: each["value"] for each in page.context.cookies()}
            assert cookies[COOKIE] == str(number)
            joined = [where for where, path in handler.asked if "/queue/" in path]
            assert joined and set(joined) == {number}
            assert page.errors == []
            leave(page)
        finally:
            server.shutdown()


def test_another_replica_knows_nothing_of_a_visitor(browser, replicas):
    """What the cookie is for: an event that is put in one queue is never heard of at another."""
    server, handler, url = proxy(replicas)
    try:
        page = visit(browser, url, alone=True)
        new_scene(page, 60_000)
        where, path = next(each for each in handler.asked if "/queue/data" in each[1])
        stranger = http.client.HTTPConnection(urlsplit(replicas[1 - where]).netloc, timeout=20)
        stranger.request("GET", path)
        try:
            said = stranger.getresponse().read()
        except http.client.IncompleteRead as cut_off:
            said = cut_off.partial
        assert b"unexpected_error" in said and b"404" in said
        leave(page)
    finally:
        server.shutdown()
