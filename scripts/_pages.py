"""What the scripts that write pages share: tables, places in a text, the part between two marks, and `--check`.

Importing it lets a script import from `benchmarks/`, too.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def filled(text: str, parts: Mapping[str, str]) -> str:
    """The text with `{{ name }}` replaced by the part of that name, and one newline at the end."""
    for name, part in parts.items():
        text = text.replace("{{ " + name + " }}", part)
    return text.rstrip() + "\n"


def between_marks(page: Path, part: str) -> str:
    """The page with `part` between its two marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{page} lacks the marks {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in [head, *rows]]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def write_or_check(
    description: str | None,
    made: Callable[[], Mapping[Path, str]],
    flags: tuple[str, ...] = (),
    compared: Callable[[str], str] = str,
) -> argparse.Namespace:
    """Writes the files, or with `--check` writes nothing and exits with 1 where one is not what would be written.

    `compared`: what `--check` compares of a text. Returns the options, of which `flags` are further ones.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    options, files = parser.parse_args(), made()
    if options.check:
        stale = [
            str(path)
            for path, text in files.items()
            if not path.exists() or compared(path.read_text(encoding="utf-8")) != compared(text)
        ]
        sys.exit(f"Stale: {', '.join(stale)}. Run `make pages`." if stale else 0)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return options
