#!/usr/bin/env python3
"""Takes a picture of a report page with Debian's chromium, without network.

    python scripts/screenshot_report.py RUN/report.html OUT.png [--width 1280] [--height 0] [--brush] [--section ID]

The whole page by default; `--height` keeps only the top. `--brush` first selects the worst-conditioned points.
Needs the Python package `playwright` and, as root, `apt-get install -y chromium`.
"""

import argparse
from pathlib import Path

from playwright.sync_api import FloatRect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=0, help="keep only the top of the page; 0: all of it")
    parser.add_argument("--brush", action="store_true", help="select the worst-conditioned 5 % first")
    parser.add_argument("--section", default="", help="only this section, for example: points")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": given.width, "height": 900})
        page.goto(given.report.resolve().as_uri())
        page.wait_for_function("document.documentElement.dataset.ready === 'yes'", timeout=60_000)
        if given.brush:
            page.click("#worst")
            page.evaluate("() => window.shoalReady")
        page.wait_for_timeout(300)
        target = str(given.out)
        if given.section:
            page.locator(f"#{given.section}").screenshot(path=target)
        elif given.height:
            top = FloatRect(x=0, y=0, width=given.width, height=given.height)
            page.screenshot(path=target, full_page=True, clip=top)
        else:
            page.screenshot(path=target, full_page=True)
        browser.close()
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
