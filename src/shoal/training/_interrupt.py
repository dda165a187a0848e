"""Ctrl-C as a flag: while training runs, the first one asks it to end at the next chunk, the second one raises.

Without this an interrupt could strike between a compiled call, which takes over the memory of the old weights, and
the assignment of the new ones, and lose both.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, runtime_checkable


@runtime_checkable
class StopSignal(Protocol):
    """`threading.Event`, or anything with its `is_set()`."""

    def is_set(self) -> bool: ...


@contextmanager
def interruptible(stop: StopSignal | None) -> Iterator[Callable[[], bool]]:
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
