"""`Crew`: the workers of an executor, as the race sees them, and what the two have in common.

A task is one rung of one chain with one seed. The submitter holds the race. What a worker needs beside the flow lies in a
work place: the rows, written once, and for each task what it tells. A stop file ends all tasks at their next chunk. A
task whose worker died goes on from its last checkpoint wherever the executor tries it again.
"""

import json
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError, WorkersLost
from shoal._executors import (
    WAKE,
    WORK,
    Executor,
    Future,
    give_up,
    pack,
    result_of,
    submitted,
    unpack,
    versions,
    wait_for,
    workers_of,
)
from shoal._scalars import FloatArray
from shoal.flows import Front
from shoal.selection._options import Options
from shoal.selection._prepare import Prepared
from shoal.selection._rung import Listener, Rung, begun, fill, folder_name
from shoal.selection._work_place import WorkPlace, work_place
from shoal.selection._worker import Seed, Trained, train_seed, write_parts
from shoal.tables import StoredRows
from shoal.training import RowSource, interruptible

PATIENCE = 120.0  # seconds that tasks have for their end after they were stopped: one may be compiling


@dataclass
class _Task:
    """One seed at work. `read`: bytes of its news that were told. `looked`: when."""

    future: Future
    seed: str
    tell: Callable[[dict[str, Any]], None] | None
    read: int = 0
    looked: float = 0.0

    def listen(self, place: WorkPlace, every: float) -> None:
        """Tells the whole lines that its news have more than at the last look, so many seconds ago or more."""
        if self.tell is None or time.monotonic() - self.looked < every:
            return
        self.looked = time.monotonic()
        lines = place.news(self.seed, self.read).rpartition(b"\n")[0]
        self.read += len(lines) + bool(lines)
        for line in lines.splitlines():
            with suppress(ValueError):  # two workers may have told the same URL
                self.tell(json.loads(line))


class Crew:
    """Workers that train rungs side by side; `stopped` once Ctrl-C ended their tasks."""

    def __init__(self, executor: Executor, prepared: Prepared, options: Options, folder: Path):
        self.executor, self.prepared, self.options = executor, prepared, options
        self.workers = workers_of(executor)
        self.folder, self.here = folder, folder.resolve() / WORK
        self.at = str(self.here) if options.work is None else f"{options.work.rstrip('/')}/{WORK}"
        self.place, self.mark, self.stopped = work_place(self.at), uuid.uuid4().hex, False
        self.tasks: list[_Task] = []
        self.owed: list[_Task] = []  # whose checkpoints could not be fetched
        self.here.mkdir(parents=True, exist_ok=True)
        self.place.begin(self.mark, folder, resume=options.resume)

    def lay_out(self) -> None:
        """Puts the rows where workers find them."""
        parts, mark = write_parts(_arrays(self.prepared, self.options.dtype), self.here)
        self.parts = self.place.put(Path(parts)), mark
        self.source, self.stored = None, ""
        if self.prepared.source is not None:
            self.source, rows = _shared(self.prepared.source, self.here / "rows.bin")
            self.stored = self.place.put(rows)

    def waves(self, chains: int) -> int:
        """How many tasks one worker does after the other, where so many chains are trained side by side."""
        return -(-chains * self.options.seeds // self.workers)

    def begin(
        self, rung: Rung, front: Front, *, before: Rung | None, time_limit: float | None, progress: Listener
    ) -> Callable[[], None]:
        """Submits the seeds of a rung. **Returns:** what waits for them and fills the rung in; arguments as of `train`."""
        on, started = before is rung, time.monotonic()
        flows, keys = begun(rung, front, self.prepared.parts["train"], self.options, before)
        place = self.folder / folder_name(rung, on=on)
        if not self.options.resume and any(place.glob("run-*/checkpoint-*")):
            raise InputError(
                f"{place} holds checkpoints of an earlier run; pass `resume=True`, or name another folder."
            )
        settings = replace(self.options.settings, time_limit=time_limit)
        tasks: list[_Task] = []
        for i, (flow, key) in enumerate(zip(flows, keys, strict=True)):
            words = tuple(jr.key_data(key).tolist())
            rows, first = (self.source, self.stored), time_limit is not None
            seed = Seed(flow, words, settings, self.options.monitor, *rows, compile_first=first)
            tell = None if progress is None else partial(_with_run, progress, i)
            tasks.append(self._submit(seed, f"{place.name}/run-{i:02d}", tell))
        self.tasks += tasks
        return partial(self._finish, rung, tasks, on=on, started=started, limit=time_limit)

    def _submit(self, seed: Seed, name: str, tell: Callable[[dict[str, Any]], None] | None) -> _Task:
        self.place.ready(name, self.folder / name)
        desk = {"seed": name, "mark": self.mark, "told": tell is not None}
        float64 = bool(jnp.zeros(()).dtype == jnp.float64)
        arguments = (versions(), float64, self.parts, pack(seed), self.at, desk)
        return _Task(submitted(self.executor, train_seed, *arguments), name, tell)

    def _finish(
        self, rung: Rung, tasks: list[_Task], *, on: bool, started: float, limit: float | None
    ) -> None:
        """Waits for the tasks of a rung. Ctrl-C stops all tasks, of whatever rung; what they have by then is kept."""
        with interruptible(None) as pressed:

            def meanwhile() -> None:
                if pressed() and not self.stopped:
                    self._stop()
                for task in self.tasks:
                    task.listen(self.place, self.place.every)

            wait_for([task.future for task in tasks], meanwhile)
        for task in tasks:
            task.listen(self.place, 0.0)
            self._bring(task)
        found = [self._result(task) for task in tasks]
        self.tasks = [task for task in self.tasks if task not in tasks]
        done: list[Trained] = [unpack(one) for one in found if one is not None]
        if len(done) < len(found):  # one was stopped before it began
            return
        rung.workers, rung.limit = [one.worker for one in done], limit
        rung.compile_seconds = max(max(one.compile_seconds, one.result.compile_seconds) for one in done)
        rung.seconds += max(one.seconds for one in done)
        fill(rung, [one.result for one in done], self.prepared.parts["validation"], on=on)

    def _result(self, task: _Task) -> bytes | None:
        try:
            return result_of(task.future)
        except WorkersLost:  # Ctrl-C at a terminal may reach workers too, and end them
            if not self.stopped:
                raise
            return None

    def _bring(self, task: _Task) -> None:
        """Fetches the checkpoints of a task, or at the end where they can not be had now."""
        try:
            self.place.bring(task.seed, self.folder / task.seed)
        except InputError:
            self.owed.append(task)

    def _stop(self) -> None:
        with suppress(InputError):  # tried again at the next look
            self.place.stop(self.mark)
            self.stopped = True

    def end(self, patience: float) -> None:
        """Stops what is still at work, fetches its checkpoints, and removes the place unless somebody may write there."""
        if self.tasks:
            patience = 0.0 if self.stopped else patience
            self._stop()
            until = time.monotonic() + patience
            while time.monotonic() < until and not all(task.future.done() for task in self.tasks):
                time.sleep(WAKE)
        over = all(task.future.done() for task in self.tasks)
        give_up([task.future for task in self.tasks])
        late, self.owed = [*self.tasks, *self.owed], []
        for task in late:
            self._bring(task)
        if over and not self.owed:
            with suppress(InputError):
                self.place.remove()
        if over:
            shutil.rmtree(self.here, ignore_errors=True)


@contextmanager
def crew_of(prepared: Prepared, options: Options) -> Generator[Crew | None, None, None]:
    """The workers of the executor in the options; None where there is none. What is at work at the end is stopped."""
    if options.executor is None:
        yield None
        return
    with ExitStack() as stack:
        folder = options.folder
        if folder is None:
            made = tempfile.TemporaryDirectory(prefix="shoal-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
        crew = Crew(options.executor, prepared, options, folder)
        try:
            crew.lay_out()
            yield crew
        except WorkersLost:
            crew.end(0.0)
            raise
        except BaseException:
            crew.end(PATIENCE)
            raise
        crew.end(PATIENCE)


def _with_run(progress: Callable[[dict[str, Any]], None], run: int, event: dict[str, Any]) -> None:
    progress({"run": run, **event})


def _shared(source: RowSource, path: Path) -> tuple[RowSource, Path]:
    """The source with its rows in a file, at `path` unless they are in one already; and which."""
    if isinstance(source.table, StoredRows):
        return source, source.table.path
    table = np.ascontiguousarray(source.table[:])
    table.tofile(path)
    return replace(source, table=StoredRows(path, table.shape[1], len(table), table.dtype.name)), path


def _arrays(prepared: Prepared, dtype: str) -> dict[str, FloatArray | None]:
    """The rows of steps, unless they come in blocks, and of validation, as `shoal.training.fit` would round them."""
    part, held = prepared.steps, prepared.parts["validation"]
    rounded = lambda array: None if array is None else np.ascontiguousarray(array, dtype)
    steps = {"data": rounded(part.x), "context": rounded(part.context), "weights": part.weights}
    return {
        **(steps if prepared.source is None else {}),
        "validation": rounded(held.x),
        "validation_context": rounded(held.context),
        "validation_weights": held.weights,
    }
