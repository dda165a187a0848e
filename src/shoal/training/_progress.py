"""The progress bar: epochs done, the best validation value, and the time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Listener = Callable[[dict[str, Any]], Any]


@contextmanager
def listener(progress: Listener | bool | None) -> Iterator[Listener | None]:
    """Yields what is called after every epoch: the given function, a bar for True, None for False or None."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        with _bar() as show:
            yield show
    else:
        yield progress


@contextmanager
def _bar() -> Iterator[Listener]:
    columns = (
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs, {task.fields[value]}, {task.fields[left]} left, gone"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("train", total=None, value="compiling", left="?")

        def show(event: dict[str, Any]) -> None:
            best, left = event["best_validation"], event["seconds_left"]
            value = f"{event['train']:.4f} nats a row" if best is None else f"best {best:.4f} nats a row"
            time_left = f"{int(left) // 60}:{int(left) % 60:02d}"
            bar.update(task, total=event["epochs"], completed=event["epoch"], value=value, left=time_left)

        yield show
