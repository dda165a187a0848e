"""Shows how far long work is: a bar with the time left on a terminal, otherwise one line for each finished part.

Every event of a fit is also a line of `log.jsonl`.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Event = dict[str, Any]


@contextmanager
def shown_progress(
    log: Path, *, quiet: bool, console: Console | None = None
) -> Iterator[Callable[[Event], None]]:
    """Yields what `shoal.selection.ladder` calls with its events."""
    console = console or Console(stderr=True)
    show = _bar(console) if console.is_terminal and not quiet else _lines(console)
    with open(log, "a", encoding="utf-8", buffering=1) as file, show as draw:

        def report(event: Event) -> None:
            file.write(json.dumps({"time": round(time.time(), 3), **_plain(event)}) + "\n")
            draw(event)

        yield report


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[Event], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=120) as progress:
        task, furthest = progress.add_task("starting", total=1.0), 0.0

        def draw(event: Event) -> None:
            nonlocal furthest  # models that train side by side report in turn
            furthest = max(furthest, float(event.get("fraction") or 0.0))
            progress.update(task, completed=furthest, description=describe(event))
            if event.get("stage") == "rung":
                progress.console.print(finished(event), markup=False, highlight=False, soft_wrap=True)

        yield draw


@contextmanager
def _lines(console: Console) -> Iterator[Callable[[Event], None]]:
    def draw(event: Event) -> None:
        if event.get("stage") == "rung":
            console.print(finished(event), markup=False, highlight=False, soft_wrap=True)

    yield draw


def describe(event: Event) -> str:
    """What is going on, in a few words."""
    words = []
    if event.get("rung") is not None:
        words.append(str(event["rung"]))
    if event.get("epoch") is not None:
        words.append(f"epoch {event['epoch']}" + (f"/{event['epochs']}" if event.get("epochs") else ""))
    return ", ".join(words) or str(event.get("stage") or "working")


def finished(event: Event) -> str:
    """One line on a finished rung."""
    figures = event.get("summary") or {}
    words = [f"{event.get('rung')}: {event.get('status', 'finished')}"]
    if event.get("seconds") is not None:
        words[0] += f" after {event['seconds']:.0f} s"
    if figures.get("validation") is not None:
        words.append(f"validation {figures['validation']:.4f} nats per row")
    return ", ".join(words)


def _plain(value: Any) -> Any:
    """As strict JSON holds it; a number that is not finite becomes its name."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, (str, bool, int)) else str(value)
