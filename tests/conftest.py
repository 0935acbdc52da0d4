"""How tests are run, and the app and the browser that they share.

Imported by the process that hands out the tests too, which is why torch is not imported here.
"""

from __future__ import annotations

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch; see explorer/__init__.py
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small models, and a process per core

import gc
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect

from explorer.tools.browser import chromium

if TYPE_CHECKING:  # they import torch
    from canned import Canned, Recording
    from gradio import Blocks

    from explorer.ui.session import UseCases

pytest.register_assert_rewrite("family_contract", "video_family_contract")
PATIENCE = 60  # seconds; a busy machine is late, not wrong
expect.set_options(timeout=1_000 * PATIENCE)
ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all is imported, as in explorer.importing
    config.addinivalue_line("markers", "browser: drives the page in a real Chromium")
    # an app deletes what lies loose among its uploads, so each process has a folder of its own
    uploads = tempfile.mkdtemp(prefix="explorer-tests-")
    os.environ["GRADIO_TEMP_DIR"] = uploads
    config.add_cleanup(lambda: shutil.rmtree(uploads, ignore_errors=True))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, the browser last, and of its files the largest first.

    Where processes share files out, a large one that is begun last would keep one of them alone.
    """
    size = Counter(item.path for item in items)

    def order(item: pytest.Item) -> int:
        return size[item.path] if item.get_closest_marker("browser") else 1_000_000

    items.sort(key=order, reverse=True)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of the app: one for all files that a process runs, served by that very process.

    It remembers answers: a test that needs a new one asks about a scene that no other test has.
    Files with another app (other options, other models) have a `url` of their own.
    """
    with hosted() as address:
        yield address


@contextmanager
def hosted(model: str = "pico", use_cases: UseCases | None = None) -> Iterator[str]:
    """Serve the page from this very process, which spares a new one all its imports.

    model: the one to begin with; use_cases: what answers in place of models. Gives the address.
    Whoever changes the list of models, or brings one, does so before.
    """
    from explorer.ui import page as ui_page
    from explorer.ui.session import UseCases

    demo = ui_page.build(model=model, use_cases=use_cases or UseCases())
    _, address, _ = demo.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **ui_page.launch_settings()
    )
    yield address.rstrip("/")
    demo.close()
    _join_threads(demo)


def _join_threads(demo: Blocks) -> None:
    """Wait for the threads that still answer a page which has been closed.

    They are daemons, and a process that ends while one of them is in the middle of a tensor is
    aborted: "terminate called without an active exception".
    """
    demo.server.thread.join(PATIENCE)
    for thread in threading.enumerate():
        loop = getattr(thread, "loop", None)  # of the server that an anyio worker belongs to
        if loop is not None and loop.is_closed():
            thread.join(PATIENCE)


@contextmanager
def hosted_folder(folder: Path) -> Iterator[str]:
    """Serve a page that begins with the model of a folder, which is unknown before and after."""
    from explorer.vlm.catalog import Catalog
    from explorer.vlm.devices import LoadSettings
    from explorer.vlm.loader import default_loader

    loader = default_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "catalog", Catalog())
        loader.configure(LoadSettings(), waits=False)  # as the app does: nobody waits for a load
        with hosted(loader.catalog.register(str(folder))) as address:
            yield address
    loader.configure(LoadSettings())


@pytest.fixture(scope="session")
def recording(tmp_path_factory) -> Recording:
    """What pico says of one scene, asked once in a run; see helpers/canned.py."""
    from canned import record

    of_the_run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        of_the_run = of_the_run.parent
    return record(of_the_run)


@pytest.fixture(scope="session")
def _canned(recording) -> Iterator[tuple[Canned, str]]:
    from canned import Canned

    canned = Canned(recording)
    with hosted(use_cases=canned.use_cases()) as address:
        yield canned, address


@pytest.fixture
def canned(_canned) -> Iterator[Canned]:
    """The use cases behind `canned_url`, with open gates."""
    canned, _ = _canned
    canned.reset()
    yield canned
    canned.reset()


@pytest.fixture(scope="session")
def canned_url(_canned) -> str:
    """The address of an app that answers every scene from records, at once or when a test says so.

    For what the page does with answers, whatever they are; see helpers/canned.py.
    """
    return _canned[1]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium for all files that a process runs, with the context that visitors share."""
    with chromium() as running:
        running.new_context()
        yield running


# Visitors of tests wish for no more than they open: what is fetched in a quiet moment is large.
SAVES_DATA = "Object.defineProperty(navigator.connection, 'saveData', { value: true });"


def visit(browser, url: str, *, alone: bool = False, color_scheme: str | None = None, **context):
    """Open the page in a fresh session; `page.errors` collects what scripts did wrong.

    The page keeps what it keeps in its tab, so that visitors may share a context: what one of them
    has fetched need not be fetched and compiled for the next, which is half of what a visit costs.
    alone: with cookies of its own; so is whoever wishes for more than a size and a colour scheme.
    """
    viewport = context.pop("viewport", {"width": 1366, "height": 1080})
    opened = browser.new_context(**context) if alone or context else browser.contexts[0]
    page = opened.new_page()
    page.set_default_timeout(1_000 * PATIENCE)
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=color_scheme)
    page.add_init_script(SAVES_DATA)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(url)
    ready(page)
    return page


def leave(page: Page) -> None:
    """Close a visitor's tab, and their context if it is their own."""
    context = page.context
    page.close()
    if context is not context.browser.contexts[0]:
        context.close()


def ready(page: Page) -> None:
    """Wait until scripts have run and a case is drawn, after whatever has loaded the page.

    Before that there is no `explorerState`, and asking for it fails at once instead of waiting.
    """
    page.wait_for_selector(".vt-stage[data-kept]")


def state(page: Page) -> dict:
    """What the page shows and knows; see assets/page/explore/snapshot.js."""
    return page.evaluate("explorerState()")


def until(page: Page, condition: str, timeout: int = 1_000 * PATIENCE, **values) -> None:
    """Wait until a condition holds for the `state` of the page; it may name the values."""
    names = ", ".join(values)
    page.wait_for_function(
        f"({{ {names} }}) => {{ const state = explorerState(); return {condition} }}",
        arg=values,
        timeout=timeout,
    )


def answered_all(page: Page) -> None:
    """Wait until the tab "Explore" has nothing more to ask about what it shows."""
    whole = "state.pruned.answer && !state.pruned.answer.partial"  # not its first words
    until(page, f"{whole} && !state.case.rest && state.ladder.every(({{ known }}) => known)")


def box_at_rest(page: Page, selector: str) -> dict:
    """Where an element lies once it has stopped moving and nothing covers it.

    A hand that goes where the element was a frame ago misses it.
    """
    element = page.locator(selector).first
    element.hover(trial=True)
    return element.bounding_box()


@contextmanager
def visiting(browser, url: str, **context) -> Iterator[Page]:
    """Open the page in a fresh session for a while in which no script may fail."""
    opened = visit(browser, url, **context)
    yield opened
    assert opened.errors == []
    leave(opened)


@pytest.fixture
def page(browser, url):
    """A visit for one test; some files share one among their tests instead."""
    with visiting(browser, url) as opened:
        yield opened


def open_tab(page, name: str) -> None:
    """Open a tab of the page; on a phone some of them are in a menu."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if tab.count() and tab.is_visible():
        tab.click()
        return
    page.locator(".overflow-menu > button").click()
    page.locator(".overflow-dropdown button", has_text=name).click()


def requests_of(page: Page) -> list[str]:
    """Collect what a page asks for from now on, but for its scripts, some of them fetched ahead."""
    urls: list[str] = []
    page.on(
        "request", lambda request: "/gradio_api/page/" in request.url or urls.append(request.url)
    )
    return urls
