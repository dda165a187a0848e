"""Shows how far long work is: a bar with the time left on a terminal, otherwise one line for each finished part.

Every event of a fit is also a line of `log.jsonl`.
"""

import json
import time
from collections.abc import Callable, Generator
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

from shoal.cli._session import say
from shoal.records import to_plain

Event = dict[str, Any]


@contextmanager
def shown_progress(
    log: Path, *, quiet: bool, console: Console | None = None
) -> Generator[Callable[[Event], None], None, None]:
    """Yields what `shoal.selection.ladder` calls with its events."""
    console = console or Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        speed_estimate_period=120,
        disable=quiet or not console.is_terminal,
    )
    with open(log, "a", encoding="utf-8", buffering=1) as file, bar:
        task, furthest = bar.add_task("starting", total=1.0), 0.0

        def report(event: Event) -> None:
            nonlocal furthest  # models that train side by side report in turn
            file.write(json.dumps({"time": round(time.time(), 3), **to_plain(event)}) + "\n")
            furthest = max(furthest, float(event.get("fraction") or 0.0))
            bar.update(task, completed=furthest, description=describe(event))
            if event.get("stage") == "rung":
                say(console, finished(event))

        yield report


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
