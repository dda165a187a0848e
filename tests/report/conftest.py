"""A report page written once, and a browser that opens it without network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from altair.utils.schemapi import debug_mode
from playwright.sync_api import Browser, Page, sync_playwright

from shoal.report import write_report
from tests.report.synthetic import make_record, typed

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Opened:
    """A page in the browser with everything it said and asked for."""

    page: Page
    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """Whatever a clean page does not have: messages, errors, dialogs, requests to anywhere."""
        outside = [url for url in self.requests if not url.startswith(("file:", "data:", "blob:"))]
        return [*self.console, *self.errors, *self.dialogs, *outside]


@pytest.fixture(scope="session", autouse=True)
def unchecked() -> Iterator[None]:
    """Altair's check of every part as it is made takes half the time of a page; `test_parts` checks whole charts."""
    with debug_mode(False):
        yield


@pytest.fixture(scope="session")
def record() -> dict[str, Any]:
    """A full synthetic record; tests that change it take a copy."""
    return make_record()


@pytest.fixture(scope="session")
def report(record: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the full synthetic record."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(typed(record), path)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium. Its absence is a failure, not a skip: the report is nothing without its page."""
    if not CHROMIUM.exists():
        pytest.fail(
            f"{CHROMIUM} is missing: install Debian's chromium as root with `apt-get update && "
            "apt-get install -y chromium` (`make test` does so), then run the tests again."
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


def _open(browser: Browser, path: Path, width: int) -> Opened:
    page = browser.new_page(viewport={"width": width, "height": 1000})
    opened = Opened(page)
    page.on("console", lambda message: opened.console.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: opened.errors.append(str(error)))
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("dialog", lambda dialog: (opened.dialogs.append(dialog.message), dialog.dismiss())[0])
    page.goto(path.as_uri())
    page.evaluate("() => window.shoalReady")
    return opened


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """`open_page(path, width=1280)` opens a report and waits until all charts are drawn."""
    opened: list[Opened] = []

    def opener(path: Path, *, width: int = 1280) -> Opened:
        opened.append(_open(browser, path, width))
        return opened[-1]

    yield opener
    for one in opened:
        one.page.close()


@pytest.fixture(scope="session")
def _shared(browser: Browser, report: Path) -> Opened:
    return _open(browser, report, 1280)


@pytest.fixture
def opened(_shared: Opened) -> Opened:
    """The full report in the browser, opened once; nothing is selected when a test gets it."""
    page = _shared.page
    if page.locator("#columns").input_value() != "0":
        page.select_option("#columns", index=0)
    if not page.inner_text("#selected").startswith("Nothing"):
        page.click("#clear")
    page.evaluate("() => window.shoalReady")
    return _shared
