"""The page takes its use cases from one place, so that others can be put there for a test."""

from __future__ import annotations

from conftest import visiting
from playwright.sync_api import expect

from explorer.errors import BadQuestion
from explorer.ui import page as ui_page
from explorer.ui.session import UseCases


def test_a_page_asks_the_use_cases_that_it_was_given(browser):
    def unfold(*case, **options):
        raise BadQuestion(f"Nobody here knows {case[2]!r}.")
        yield

    demo = ui_page.build(use_cases=UseCases(unfold=unfold))
    _, url, _ = demo.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **ui_page.launch_settings()
    )
    with visiting(browser, url) as page:
        page.locator("#vt-question textarea").fill("what is it ?")
        page.get_by_role("button", name="Ask", exact=True).first.click()
        expect(page.locator("#vt-question-notes")).to_contain_text(
            "Nobody here knows 'what is it ?'."
        )
    demo.close()
