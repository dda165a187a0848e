"""Runs the blocks of docs/gallery.md and draws their charts into docs/images/gallery/.

    python scripts/gallery.py [NAME ...]

NAME: only these pictures, such as `density`. Needs vl-convert-python, which draws Vega-Lite without a browser.
"""

import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gallery.md"
PICTURES = PAGE.parent / "images" / "gallery"


def blocks() -> dict[str, str]:
    """The code of every picture, by the picture's name."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"!\[[^\]]*\]\(images/gallery/(\w+)\.png\)\n\n```python\n(.*?)```", text, re.DOTALL)
    return dict(found)


def charts(names: list[str]) -> dict[str, Any]:
    """The Altair chart that each block leaves under the name `chart`."""
    made = {}
    for name in names:
        scope: dict[str, Any] = {}
        exec(compile(blocks()[name], f"{name} of gallery.md", "exec"), scope)  # noqa: S102 - the page is the program
        made[name] = scope["chart"]
    return made


def main() -> None:
    import vl_convert

    PICTURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or list(blocks()):
        chart = charts([name])[name]
        (PICTURES / f"{name}.png").write_bytes(vl_convert.vegalite_to_png(chart.to_json(), scale=1.5))
        print(name)


if __name__ == "__main__":
    main()
