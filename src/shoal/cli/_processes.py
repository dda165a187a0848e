"""`shoal fit` in several processes: process 0 does what one alone would; the others read the table and train with it."""

import contextlib
import os
from collections.abc import Callable, Generator
from typing import Any

from shoal._errors import InputError
from shoal.cli._run_folder import Places
from shoal.cli._session import BAD_INPUT, float64, stop
from shoal.cli._settings import FitSettings

BY_JAX = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
# of a step; JAX looks for the same
BY_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
ENDED = -1.0  # the word of a process that does not train

Tell = Callable[[bool], None]


def follows() -> bool:
    """Joins the processes that the environment tells of, if it does so; True in all of them but process 0.

    **Raises:** `InputError` where the others can not be reached.
    """
    if not _several():
        return False
    import jax  # here and not above: `shoal --help` must not wait for it

    jax.config.update("jax_enable_preemption_service", False)  # it would have SIGTERM end nothing
    try:
        if all(name in os.environ for name in BY_JAX):
            address, count, place = (os.environ[name] for name in BY_JAX)
            jax.distributed.initialize(address, int(count), int(place), cluster_detection_method="deactivate")
        else:
            jax.distributed.initialize()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"The processes of this program could not be joined: {error}") from error
    return jax.process_index() > 0


def _several() -> bool:
    if all(name in os.environ for name in BY_JAX):
        return True
    return all(name in os.environ for name in BY_SLURM) and os.environ["SLURM_NTASKS"] != "1"


@contextlib.contextmanager
def leading() -> Generator[Tell, None, None]:
    """Yields what tells the other processes to train, and whether from checkpoints; without that they end.

    It raises `InputError` where one of them can not.
    """
    waiting = _several()

    def say(word: float) -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            ended = [place for place, other in enumerate(_words(word)) if other == ENDED and place > 0]
            if ended and word != ENDED:
                raise InputError(f"Process {ended[0]} could not read the table, so nothing was trained.")

    try:
        yield lambda resumes: say(float(resumes))
    finally:
        say(ENDED)


def follow(read: Callable[[], Any], settings: FitSettings, places: Places, began: float) -> None:
    """What the other processes do: the same ladder, without a word or a file."""
    word, words, table = ENDED, [ENDED], None
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            table = read()
        word = 0.0
    finally:
        words = _words(word)
    if ENDED in words:
        raise stop("Another process has ended before the training.", BAD_INPUT)
    from shoal.selection import ladder

    with float64(settings.dtype == "float64"):
        folder = places.unfinished / "checkpoints"
        ladder(table, **settings.for_ladder(), began=began, folder=folder, resume=bool(words[0]))


def _words(word: float) -> list[float]:
    from shoal._processes import gathered

    return gathered(word)
