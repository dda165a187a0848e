"""The documentation as a site, in a browser: it asks nobody, says nothing, fits a telephone, and can be searched."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.report.conftest import ARGUMENTS, CHROMIUM

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
PHONE = 390


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser.new_page(viewport={"width": PHONE, "height": 800})
        browser.close()


def links(page: Page) -> set[str]:
    return {urldefrag(url)[0] for url in page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")}


def test_every_page_is_quiet_narrow_and_near(site: Path, address: str, page: Page) -> None:
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    wide, reached = {}, {urljoin(address, "index.html")}
    for path in sorted(site.rglob("*.html")):
        page.goto(urljoin(address, str(path.relative_to(site))))
        if (width := page.evaluate("document.documentElement.scrollWidth")) > PHONE:
            wide[path.name] = width
        inside = {url for url in links(page) if url.startswith(address)}
        gone = {url for url in inside if not (site / (url[len(address) :] or "index.html")).is_file()}
        assert gone == set(), path
    page.goto(urljoin(address, "index.html"))
    first = sorted(links(page))
    for url in first:
        if url.startswith(address) and url.endswith(".html"):
            page.goto(url)
            reached |= links(page)
    reached |= {*first}
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert wide == {}
    pages = {urljoin(address, str(p.relative_to(site))) for p in site.rglob("*.html") if p.name != "404.html"}
    assert pages - reached == set()


def test_formulas_are_drawn(address: str, page: Page) -> None:
    page.goto(urljoin(address, "dev/mathematics.html"))
    assert page.locator("math").count() > 50
    assert not re.search(r"\\(frac|sum|le)\b", page.inner_text("article"))


def test_a_search_finds_a_function(address: str, page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(address)
    page.click("input[name=query]")
    page.keyboard.type("minimum_depth", delay=20)
    page.wait_for_selector(".md-search-result__item a")
    assert page.eval_on_selector_all(".md-search-result__item a", "all => all.map(a => a.href)") != []
