"""The whole page as on ZeroGPU: cards are lent by a stand-in, weights are out of this process."""

from __future__ import annotations

import lease as lease_stub
import pytest
from conftest import leave, until, visit
from gradio_client import Client, handle_file

from explorer import analyses
from explorer.cases import gpu
from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.ui import page as ui_page
from explorer.vlm.devices import LoadSettings
from explorer.vlm.loader import default_loader

pytestmark = pytest.mark.browser
QUESTION = "what is in the middle ?"


@pytest.fixture(scope="module")
def own():
    """What the same question gets in this process, before any card is lent."""
    image = scenes.make(5).image
    return {
        "full": analyses.answer(CaseRequest.make("pico", image, QUESTION), "full", 1),
        "clsattn": analyses.answer(CaseRequest.make("pico", image, QUESTION), "clsattn", 64),
    }


@pytest.fixture(scope="module")
def url(own):
    model = default_loader().load("pico").model
    with pytest.MonkeyPatch.context() as patch, lease_stub.out_of_reach(model):
        lease = lease_stub.GPU(duration=gpu._requested_seconds)(gpu._run_in_worker)
        patch.setattr(gpu, "_gpu_worker", lease)
        lease_stub.leases.clear()
        demo = ui_page.build(at_once=2)
        _, address, _ = demo.launch(
            server_name="127.0.0.1",
            prevent_thread_lock=True,
            quiet=True,
            **ui_page.launch_settings(),
        )
        yield address.rstrip("/")
        demo.close()
    default_loader().configure(LoadSettings())


def test_scripts_get_what_they_get_elsewhere(url, own, tmp_path):
    path = tmp_path / "picture.png"
    scenes.make(5).image.save(path)
    client = Client(url, verbose=False, httpx_kwargs={"timeout": 60})
    case = client.predict(handle_file(path), QUESTION, "pico", api_name="/analyse")
    assert case["full"]["text"] == own["full"].text
    answer = client.predict(handle_file(path), QUESTION, "clsattn", 64, "pico", api_name="/answer")
    assert answer["text"] == own["clsattn"].text and answer["layers"] == list(own["clsattn"].layers)
    found = client.predict(handle_file(path), QUESTION, 40, "fastv", "pico", api_name="/compare")
    assert found["methods"][-1]["method"] == "fastv"
    assert len(lease_stub.leases) == 3, "one for each"


def test_the_page_opens_another_case_with_one_lease_and_answers(browser, url):
    page = visit(browser, url)
    before, asked = (
        page.locator(".vt-stage").first.get_attribute("data-case"),
        len(lease_stub.leases),
    )
    page.locator("#vt-scene button").click()
    page.wait_for_function(
        "before => document.querySelector('.vt-stage').dataset.case !== before",
        arg=before,
        timeout=60_000,
    )
    opened = lease_stub.leases[asked]
    words = default_loader().catalog.entry("pico").max_new_tokens
    assert opened.seconds == gpu.GpuCost(maps=True).seconds(words)
    until(page, "['computed', 'memory'].includes(state.pruned.is)")
    assert page.errors == []
    leave(page)
