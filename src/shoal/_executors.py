"""Where work that splits into tasks is done: anything with `submit`: a Dask client, a pool of `concurrent.futures`, MPI's.

A task is a function of a module and small arguments. What a task raises is raised where its result is asked for; what the
executor itself ends with, such as a scheduler that is gone, becomes a `WorkersLost` of one sentence. A worker compares its
versions with the submitter's before it opens what was packed.
"""

import itertools
import logging
import pickle
import platform
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from shoal._errors import InputError, WorkersLost, one_line
from shoal.records import package_versions

# Packages whose versions decide about bits.
COMPARED = ("shoal", "jax", "jaxlib", "equinox", "optax", "numpy")
WORK = ".work"  # folder of what the submitter of a ladder and its workers have in common
AHEAD = 2  # jobs for each worker that wait at it
WAKE = 0.1  # seconds between looks at tasks
ANSWER, WORKERS_WITHIN = 10.0, 60.0  # seconds in which a scheduler must answer, and have a worker
_LOCAL = re.compile(r"local:([1-9]\d{0,3})")
LOCAL = """
import os, signal

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that submits

def dask_setup(worker):  # a worker has cores of its own, where there are enough: threads of two would wait for each other
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) >= {count}:
        os.sched_setaffinity(0, cores[int(worker.name) % {count} :: {count}])
"""


@runtime_checkable
class Future(Protocol):
    """A task that was submitted."""

    def result(self) -> Any: ...
    def done(self) -> bool: ...
    def cancel(self) -> object: ...


@runtime_checkable
class Executor(Protocol):
    """What takes tasks."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any: ...


def submitted(executor: Executor, function: Callable[..., Any], *args: Any) -> Future:
    """The task of `function(*args)`, computed anew even where the executor has computed the same before.

    **Raises:** `WorkersLost` where the executor takes no tasks any more.
    """
    with _in_words():
        if _is_dask(executor):
            return executor.submit(function, *args, pure=False)  # pyright: ignore[reportCallIssue]  (Dask's own)
        return executor.submit(function, *args)


def result_of(future: Future) -> Any:
    """What the task returned; waits for it. **Raises:** what it raised; `WorkersLost` where it can not be had."""
    with _in_words():
        return future.result()


def wait_for(
    futures: Sequence[Future], meanwhile: Callable[[], None] = lambda: None, *, first: bool = False
) -> None:
    """Waits until all are done (`first`: one of them); `meanwhile` is called ten times a second."""
    enough = any if first else all
    while not enough(future.done() for future in futures):
        meanwhile()
        time.sleep(WAKE)
    meanwhile()


def give_up(futures: Sequence[Future]) -> None:
    """Cancels what has not begun, as far as the executor still can."""
    for future in futures:
        with suppress(WorkersLost), _in_words():
            future.cancel()


def workers_of(executor: Executor) -> int:
    """How many tasks it does at a time; 1 where it does not say."""
    if _is_dask(executor):
        with _in_words():
            return max(1, sum(executor.nthreads().values()))  # pyright: ignore[reportAttributeAccessIssue]
    for name in ("_max_workers", "num_workers", "max_workers"):
        found = getattr(executor, name, None)
        if isinstance(found, int):
            return max(1, found)
    return 1


def work(
    function: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], executor: Executor | None = None
) -> Iterator[tuple[int, Any]]:
    """The number of each job, from 0, and what `function(*job)` gives, as soon as it is there.

    **Arguments:** `jobs`: taken one by one, a few ahead of the workers; `executor`: what has `submit`, and workers that can
    import the function (None: here, in order).

    **Raises:** what the function raises; `WorkersLost` where the executor is gone. Jobs that have not begun by then, or when
    the loop over the results is left, are given up.
    """
    numbered = enumerate(jobs)
    if executor is None:
        for number, job in numbered:
            yield number, function(*job)
        return
    most, at_work = AHEAD * workers_of(executor), dict[int, Future]()
    try:
        while True:
            for number, job in itertools.islice(numbered, most - len(at_work)):
                at_work[number] = submitted(executor, function, *job)
            if not at_work:
                return
            wait_for(list(at_work.values()), first=True)
            for number in [n for n, future in at_work.items() if future.done()]:
                yield number, result_of(at_work.pop(number))
    finally:
        give_up(list(at_work.values()))


def versions() -> dict[str, str | None]:
    """What a worker must share with the submitter."""
    return package_versions(COMPARED)


def check_versions(wanted: dict[str, str | None]) -> None:
    """**Raises:** `InputError` naming what this process has in another version than the submitter."""
    found = versions()
    other = [f"{name} {found[name]} (there {wanted[name]})" for name in wanted if found[name] != wanted[name]]
    if other:
        raise InputError(
            f"The worker on {platform.node()} has {', '.join(other)}; give workers the versions of the one that submits."
        )


def check_seen(path: str | Path) -> None:
    """**Raises:** `InputError` where this process does not see a file or folder of the submitter."""
    if not Path(path).exists():
        raise InputError(
            f"The worker on {platform.node()} does not see {path}; put it on a disk that all workers share."
        )


def pack(value: object) -> bytes:
    """A value on its way between a submitter and a worker."""
    return pickle.dumps(value)


def unpack(data: bytes) -> Any:
    """The value again, after `check_versions`."""
    return pickle.loads(data)  # noqa: S301  (what an executor does with every task)


def _is_dask(executor: Executor) -> bool:
    return type(executor).__module__.partition(".")[0] == "distributed"


@contextmanager
def _in_words() -> Generator[None, None, None]:
    """Turns what the executor itself raises into `WorkersLost`; what a task raises stays as it is."""
    try:
        yield
    except (BrokenExecutor, CancelledError) as error:
        why = getattr(error, "reason", None) or one_line(error)
        raise WorkersLost(f"the workers are gone ({why})") from error
    except ModuleNotFoundError as error:
        raise InputError(
            f"A worker lacks a package: {one_line(error)}; install the same ones on all."
        ) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "distributed":
            raise
        raise WorkersLost(f"the cluster gave a task up ({one_line(error)})") from error


@contextmanager
def connected(text: str | None, option: str = "--cluster") -> Generator[Executor | None, None, None]:
    """The Dask client of a scheduler's address, such as "tcp://host:8786", or of "local:4", four processes of one thread.

    **Arguments:** `text`: None for no executor; `option`: what the messages call it.

    **Raises:** `InputError` for another text, a missing package, a scheduler that does not answer or has no workers.
    """
    if text is None:
        yield None
        return
    local = _LOCAL.fullmatch(text)
    if local is None and not re.fullmatch(r"[a-z+]+://\S+", text):
        raise InputError(f"{option} {text!r} is neither an address such as tcp://host:8786 nor local:N.")
    if find_spec("distributed") is None:
        raise InputError(
            f"{option} needs the package distributed; install it with `pip install 'shoal[cluster]'`."
        )
    with ExitStack() as stack:
        yield _client(text, 0 if local is None else int(local[1]), option, stack)


def is_elsewhere(text: str | None) -> bool:
    """Whether the workers of this cluster may be on other machines."""
    return text is not None and not _LOCAL.fullmatch(text)


def _client(text: str, processes: int, option: str, stack: ExitStack) -> Executor:
    import distributed  # optional, and its import takes a second

    where: Any = text
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is raised, in one sentence
    try:
        if processes:
            where = distributed.LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                memory_limit=0,  # what JAX takes is not Dask's to judge
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
                preload=[LOCAL.format(count=processes)],
            )
            stack.callback(_closed, where)
        client = distributed.Client(where, timeout=ANSWER, set_as_default=False)
        stack.callback(_closed, client)
        client.wait_for_workers(1, timeout=WORKERS_WITHIN)
    except (OSError, TimeoutError, ValueError, ImportError) as error:
        raise InputError(f"{option} {text} does not answer: {one_line(error)}.") from error
    return client


def _closed(opened: Any) -> None:
    """Closes a client or a cluster that may be gone already."""
    try:
        opened.close(timeout=5)
    except (OSError, TimeoutError, RuntimeError):
        logging.getLogger(__name__).debug("A cluster was gone before it was closed.")
