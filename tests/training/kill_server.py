"""Runs the training of `test_kill` in child processes: `python kill_server.py`, one JSON order a line on stdin.

An order names the checkpoint folder, the log, whether flushing to the disk is made slow, and a folder of compiled
programs or null (then the child compiles by itself, as a new process does; to load saves a second). The child appends
a line to the log after every epoch, in one write, and one more at the end. The libraries are loaded once, here, and
each child is forked before JAX starts any thread; its process number is printed, and its status when it is gone.
"""

import hashlib
import json
import os
import sys
import time
import traceback
import warnings

import jax
import numpy as np

from shoal.training import Settings, fit
from tests.training.cases import VALID, fragile, weights_of

SETTINGS = Settings(
    batch_size=64,
    max_epochs=900,
    learning_rate=0.2,
    warmup_fraction=0.0,
    patience=None,
    checkpoint_seconds=0.02,
)
WIDE = (np.exp(0.45) * np.random.default_rng(0).normal(size=(640, 2))).astype(np.float32)


def train(folder: str | None, log: str, slow: bool, compiled: str | None) -> None:
    if compiled is not None:
        jax.config.update("jax_compilation_cache_dir", compiled)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    if slow:
        flush = os.fsync

        def slow_flush(descriptor: int) -> None:
            time.sleep(0.012)
            flush(descriptor)

        os.fsync = slow_flush
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def listen(event: dict) -> None:
        exact = [float(event[name]).hex() for name in ("train", "validation", "learning_rate")]
        os.write(descriptor, (json.dumps([event["epoch"], *exact, event["rollbacks"]]) + "\n").encode())

    result = fit(
        fragile(0.3),
        WIDE,
        key=jax.random.key(11),
        validation=VALID,
        settings=SETTINGS,
        folder=folder,
        resume=folder is not None,
        progress=listen,
    )
    bits = hashlib.sha256(b"".join(leaf.tobytes() for leaf in weights_of(result.flow))).hexdigest()
    os.write(descriptor, (json.dumps(["end", result.status, result.best_epoch, bits]) + "\n").encode())


def main() -> None:
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")  # JAX has not started yet
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                train(**order)
                status = 0
            finally:
                if status:
                    traceback.print_exc()
                os._exit(status)  # the parent's loop is not the child's
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
