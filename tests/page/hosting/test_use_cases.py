"""The page takes its use cases from one place, so that others can be put there for a test."""

from __future__ import annotations

from conftest import hosted, visiting
from playwright.sync_api import expect

from explorer.errors import BadQuestion
from explorer.ui.session import UseCases


def test_a_page_asks_the_use_cases_that_it_was_given(browser):
    def unfold(request, *_, **options):
        raise BadQuestion(f"Nobody here knows {request.question!r}.")
        yield

    with hosted(use_cases=UseCases(unfold=unfold)) as url, visiting(browser, url) as page:
        page.locator("#vt-question textarea").fill("what is it ?")
        page.get_by_role("button", name="Ask", exact=True).first.click()
        notes = page.locator("#vt-question-notes")
        expect(notes).to_contain_text("Nobody here knows 'what is it ?'.")
