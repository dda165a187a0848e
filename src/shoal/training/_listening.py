"""The run and the world: Ctrl-C as a flag, and the progress bar.

While training runs, the first Ctrl-C asks it to end at the next chunk, the second one raises. Without this an interrupt
could strike between a compiled call, which takes over the memory of the old weights, and the assignment of the new
ones, and lose both.
"""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol, TypeAlias, runtime_checkable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shoal._processes import leads

Listener: TypeAlias = Callable[[dict[str, Any]], object]


@runtime_checkable
class StopSignal(Protocol):
    """`threading.Event`, or anything with its `is_set()`."""

    def is_set(self) -> bool: ...


@contextmanager
def interruptible(stop: StopSignal | None) -> Generator[Callable[[], bool], None, None]:
    """Yields a function that says whether to stop: `stop` is set or, in the main thread, Ctrl-C was pressed."""
    pressed = threading.Event()

    def stopped() -> bool:
        return pressed.is_set() or (stop is not None and stop.is_set())

    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    previous = signal.getsignal(signal.SIGINT)
    if previous in (None, signal.SIG_IGN):  # not ours to replace
        yield stopped
        return

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stopped
    finally:
        if signal.getsignal(signal.SIGINT) is on_interrupt:
            signal.signal(signal.SIGINT, previous)


@contextmanager
def listener(progress: Listener | bool | None) -> Generator[Listener | None, None, None]:
    """Yields what is called after every epoch: the given function, a bar for True, None for False or None."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        with _bar() as show:
            yield show
    else:
        yield progress


@contextmanager
def _bar() -> Generator[Listener, None, None]:
    columns = (
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs, {task.fields[value]}, {task.fields[left]} left, gone"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, disable=not leads()) as bar:
        task = bar.add_task("train", total=None, value="compiling", left="?")

        def show(event: dict[str, Any]) -> None:
            best, left = event["best_validation"], event["seconds_left"]
            value = f"{event['train']:.4f} nats a row" if best is None else f"best {best:.4f} nats a row"
            time_left = f"{int(left) // 60}:{int(left) % 60:02d}"
            bar.update(task, total=event["epochs"], completed=event["epoch"], value=value, left=time_left)

        yield show
