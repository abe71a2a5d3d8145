"""The dashboard in a browser after `make pipeline`: a user clicks through each page."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from repos import Repo
from servers import SECONDS, running

pytestmark = pytest.mark.usefixtures("once")


@pytest.fixture(scope="module")
def address(trained: Repo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of `make dashboard` on a free port."""
    log = tmp_path_factory.mktemp("dashboard") / "log"
    with running(trained, log, "/_stcore/health", "make", "dashboard") as url:
        yield url


@pytest.fixture
def page(address: str, need: Callable[[str], str]) -> Iterator[Page]:
    """The dashboard in Chromium."""
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=need("chromium"))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(SECONDS * 1000)
        expect.set_options(timeout=SECONDS * 1000)
        page.goto(address)
        yield page
        browser.close()


def test_pages_show_the_model_right_after_the_pipeline(
    page: Page, pictures: Callable[[Page, str], None]
) -> None:
    _open(page, "Versions")
    expect(page.get_by_test_id("stMetric").first).to_be_visible()
    expect(page.get_by_text("rules are kept.")).to_be_visible()
    pictures(page, "versions")
    _open(page, "Explain and what-if")
    expect(page.get_by_test_id("stMetric").first).to_be_visible()
    expect(page.get_by_text("as it was")).to_be_visible()


def test_an_edited_input_updates_the_prediction(
    page: Page, pictures: Callable[[Page, str], None]
) -> None:
    _open(page, "Explain and what-if")
    expect(page.get_by_text("as it was")).to_be_visible()
    # The first number selects the row. The last enabled button of an input raises its value, or
    # lowers it at the maximum.
    number = page.get_by_test_id("stNumberInput").nth(2)
    number.locator("button:enabled").last.click()
    expect(page.get_by_text("as edited")).to_be_visible()
    pictures(page, "explain")


def test_published_batches_are_shown(
    page: Page, trained: Repo, pictures: Callable[[Page, str], None]
) -> None:
    _open(page, "Batches")
    if not (trained.folder / "data" / "predictions").exists():
        expect(page.get_by_test_id("stAlert")).to_contain_text("make batch")
    assert trained.run("make", "batch").code == 0
    page.reload()
    expect(page.get_by_text(re.compile(r"[1-9][\d,]* predictions of version 1"))).to_be_visible()
    pictures(page, "batches")


def _open(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has_text=title).click()
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
    expect(page.get_by_test_id("stSpinner")).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)
