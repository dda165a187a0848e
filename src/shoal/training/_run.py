"""The host's part of one run: cuts epochs into chunks, watches the clock, rolls back, stops, writes checkpoints.

Nothing here changes a number of the training except the plan, the learning-rate factor and the rollback count, and
these are stored in every checkpoint; so a resumed run repeats the interrupted one bit for bit.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from shoal._processes import agreed, leads
from shoal.bijections import reseeded
from shoal.records.fit import Rollback

from ._culprit import culprit
from ._data import Rows
from ._devices import home, placed
from ._job import Job
from ._log import FINAL, Log, restore, stored, summary
from ._monitor import Watch
from ._result import Epoch, EpochRow, FitResult
from ._reverse_kl import ReverseKL
from ._schedule import LOOK, Chunks, Plan, epochs_that_fit, revise
from ._source import Feed
from ._step import Control, State, advance, batch_of, first_state, noise_of, order_of

News: TypeAlias = tuple[bool, int, Plan | None, bool]


class Run:
    """A single training run; call `finish()`."""

    def __init__(self, job: Job, stopped: Callable[[], bool], started: float, time_limit: float | None):
        self.job, self.form, self.stopped, self.limit = job, job.form, stopped, time_limit
        self.problem = job.problem
        self.loaded = -1  # the epoch of the block in `problem`
        self.feed = None if job.source is None else Feed(job.source, job.problem.rows.x.dtype)
        self.state, self.log = first_state(job.form, job.problem, job.params), Log()
        self.watch = None
        if job.monitor is not None:
            self.watch = Watch(job.monitor, job.form, job.problem, job.flow(job.params))
        if job.resumed is not None:
            self.state, self.log, good = restore(self.state, job.resumed)
            if self.watch is not None:
                self.watch.good = placed(good, self.form.mesh)
        if self.form.mesh is not None:
            self.state = jax.tree.map(jnp.copy, placed(self.state, self.form.mesh))
        self.origin = started - self.log.seconds
        self.chunks, self.saved_at = Chunks(), started
        self.saved = self.news if job.resumed is not None else None
        self.looked = (0, 0.0)  # epochs done and seconds gone at the last look at the clock

    def elapsed(self) -> float:
        """Seconds since the start, those of the runs that were resumed included."""
        return time.perf_counter() - self.origin

    def finish(self) -> FitResult:
        """Train to the end, whichever it is."""
        try:
            return self._finished()
        finally:
            if self.feed is not None:
                self.feed.close()

    def _finished(self) -> FitResult:
        log = self.log
        if self.limit is not None:
            (self.limit,) = agreed(self.limit)
        if log.status is None:
            self.compile()
            self.judge_given()
            self.make_plan()
            self.looked = (log.done, *agreed(self.elapsed()))
            if log.status is None and self.watch is not None and not log.conditioning:
                self.state = self.watch.look(self.state, log, step=0, epoch=0)
            while log.status is None:
                started = time.perf_counter()
                if self.steps(0):
                    self.end_epoch(time.perf_counter() - started)
            if self.watch is not None:
                self.state = self.watch.look_at_best(self.state, log)
            self.save()
        return self.result()

    def compile(self) -> None:
        """Compile the program (nothing to do where another run of the same form has)."""
        started = time.perf_counter()
        self.order = self.shuffled()
        self.state = jax.block_until_ready(self.advance(self.state, stop=0))
        if self.watch is not None:
            self.watch.figures(self.state.now.kept, step=0, epoch=0, attempt=0)
        self.log.compile_seconds += time.perf_counter() - started

    def advance(self, state: State, *, stop: int, begin: int | None = None) -> State:
        """The next steps of the present epoch, over again from its step `begin` where that is given. Takes the memory of
        `state` over.
        """
        log = self.log
        start, slope = (0.0, 0.0) if log.plan is None else log.plan.at(log.done)
        control = Control(
            restart=np.bool_(begin is not None),
            begin=np.int32(begin or 0),
            stop=np.int32(stop),
            factor=np.float32(log.factor),
            epoch=np.int32(log.done),
            rollbacks=np.int32(log.attempt),
            progress=np.float32(start),
            per_step=np.float32(slope / self.form.train_steps),
        )
        return advance(self.form, self.problem, self.order, state, control)

    def shuffled(self) -> jax.Array:
        """The order of the rows in the present epoch, after the rollbacks so far; its block of rows is loaded."""
        log = self.log
        if self.feed is not None and self.loaded != log.done:
            rows = placed(self.feed.rows(log.done), self.form.mesh)
            self.problem = replace(self.problem, rows=rows)
            self.loaded = log.done
        problem = self.problem
        return order_of(problem.key, np.int32(log.done), np.int32(log.attempt), len(problem.rows))

    def make_plan(self) -> None:
        """Plan the epochs. A plan that depends on the clock is stored before anything is computed with it."""
        most = self.job.settings.max_epochs
        if self.log.plan is not None:
            return
        if self.limit is None:
            self.log.plan = Plan(most)
            return
        per_epoch = self.measure(min(0.5, 0.02 * self.limit))
        (epochs,) = agreed(epochs_that_fit(self.limit, self.elapsed(), per_epoch, 0, most))
        self.log.plan = Plan(int(epochs))
        self.save()

    def measure(self, seconds: float) -> float:
        """Seconds of one epoch, from steps on a copy of the state that take about `seconds`.

        A first step is not counted: it pays for what is set up once, a hundred steps' worth for some programs.
        """
        state = self.advance(jax.tree.map(jnp.copy, self.state), stop=1, begin=0)
        chunks, step, total = Chunks(), int(state.step), 0.0
        while True:
            started = time.perf_counter()
            (count,) = agreed(chunks.next(seconds))
            state = self.advance(state, stop=step + int(count), begin=None if step else 0)
            reached = int(state.step)
            chunks.measured(reached - step, started)
            step, (total,) = reached, agreed(total + time.perf_counter() - started)
            if step >= self.form.steps:
                return total
            if total >= seconds or not bool(state.finite):
                return self.form.steps * (chunks.per_step or total)

    def judge_given(self) -> None:
        """Epoch 0: the validation of the given weights, the first candidate for the best ones."""
        log = self.log
        if self.job.problem.validation is None or log.first is not None:
            return
        started = time.perf_counter()
        if self.steps(self.form.train_steps):
            log.first = EpochRow(epoch=0, seconds=time.perf_counter() - started, **self.validated())
            if np.isfinite(self.state.best_value):
                log.best_epoch = 0

    def steps(self, begin: int) -> bool:
        """The steps of the present epoch from `begin` on; False if they end early, with a status."""
        log, step, restart = self.log, begin, True
        while step < self.form.steps:
            left = np.inf if self.limit is None else self.limit - self.elapsed()
            stopped, left, count = agreed(self.stopped(), left, self.chunks.next(left))
            if stopped or left <= 0:
                log.status = "interrupted" if stopped else "unfinished"
                return False
            started = time.perf_counter()
            if restart:
                self.order = self.shuffled()
            stop = step + int(count)
            if self.watch is not None:
                stop = self.watch.stop(log.done, step, stop)
            self.state = self.advance(self.state, stop=stop, begin=step if restart else None)
            reached, finite = int(self.state.step), bool(self.state.finite)
            self.chunks.measured(reached - step, started)
            step, restart = reached, False
            if not finite:
                self.roll_back()
                step, restart = 0, True
            elif self.watch is not None and self.watch.is_due(log.done, step):
                attempt = log.attempt
                total = log.done * self.form.train_steps + step
                self.state = self.watch.look(self.state, log, step=total, epoch=log.done + 1)
                if log.attempt > attempt:
                    step, restart = 0, True
            if log.status is not None:
                return False
        return True

    def validated(self) -> dict[str, Any]:
        """What the validation rows said, as fields of a row of the history."""
        found = self.state.found
        if found is None:
            return {}
        return {
            "validation": float(found.value),
            "validation_mean": float(found.mean),
            "far_rows": int(found.far_rows),
            "non_finite_rows": int(found.non_finite_rows),
        }

    def roll_back(self) -> None:
        """Note the refused step and halve the learning rate; the next call begins the epoch again."""
        state, log = self.state, self.log
        problem = self.job.problem
        noise = noise_of(problem.key, np.int32(log.done), np.int32(log.attempt), state.step)
        flow = reseeded(self.job.flow(state.now.params), noise)
        batch = home(batch_of(self.form, self.problem.rows, self.order, state.step), self.form.mesh)
        if isinstance(self.form.loss, ReverseKL):
            batch = Rows(self.form.loss.draws(flow, noise, len(batch)), None, None)
        layer = culprit(flow, batch, self.form.loss)
        if layer is None and self.form.penalty is not None:
            layer = "the penalty"
        log.rollbacks.append(Rollback(log.done + 1, int(state.step), layer, float(state.learning_rate)))
        log.factor *= 0.5
        if len(log.rollbacks) >= self.job.settings.max_rollbacks:
            log.status = "diverged"

    def end_epoch(self, seconds: float) -> None:
        """Write the epoch's row, decide whether to go on, tell the listeners, keep a checkpoint."""
        job, log, state = self.job, self.log, self.state
        best, patience = log.best_validation, job.settings.patience
        row = EpochRow(
            epoch=log.done + 1,
            seconds=seconds,
            train=-float(state.train),
            learning_rate=float(state.learning_rate),
            **self.validated(),
        )
        log.history.append(row)
        value = row.validation
        if value is None or (np.isfinite(value) and (best is None or value > best)):
            log.best_epoch = log.done
        changed = self.look_at_clock()
        stale = log.done - max(log.best_epoch or 0, log.patient_from)
        if value is not None and patience is not None and stale >= patience:
            log.status = "stopped early"
        elif log.plan is not None and log.done >= log.plan.epochs:
            log.status = "finished"
        if job.progress is not None:
            job.progress(summary(log, self.form.train_steps))
        if job.callback is not None:
            flow = job.flow(jax.tree.map(jnp.copy, state.now.kept))
            job.callback(Epoch(flow, log.done, row))
        if changed or time.perf_counter() - self.saved_at >= job.settings.checkpoint_seconds:
            self.save()

    def look_at_clock(self) -> bool:
        """Change the plan where the time limit asks for it; True if it was changed."""
        log, limit, plan = self.log, self.limit, self.log.plan
        if limit is None or plan is None:
            return False
        (epochs, before), (now,) = self.looked, agreed(self.elapsed())
        if now - before < LOOK * (limit - before):
            return False
        most, per_epoch = self.job.settings.max_epochs, (now - before) / (log.done - epochs)
        log.plan = revise(plan, done=log.done, elapsed=now, limit=limit, per_epoch=per_epoch, most=most)
        self.looked = (log.done, now)
        return log.plan != plan

    @property
    def news(self) -> News:
        """What differs from one checkpoint to the next."""
        log = self.log
        return log.first is None, log.done, log.plan, log.status in FINAL

    def save(self) -> None:
        """Write a checkpoint of the last epoch's end, if the run keeps checkpoints and this one would be new."""
        log = self.log
        log.seconds = self.elapsed()
        if self.job.checkpoints is not None and self.news != self.saved and leads():
            arrays, content = stored(self.state, log, self.watch.good if self.watch is not None else None)
            self.job.checkpoints.save(arrays, {**content, "fingerprint": self.job.fingerprint})
        self.saved, self.saved_at = self.news, time.perf_counter()

    def result(self) -> FitResult:
        """The result, with the best weights."""
        log, state = self.log, self.state
        status = log.status
        assert status is not None  # `finish` ends with a status
        latest = state.start if status == "diverged" or log.done else state.now
        if status == "ill-conditioned" and self.watch is not None and self.watch.good is not None:
            latest = self.watch.good
        params = latest.kept if log.best_epoch is None else state.best
        return FitResult(
            flow=self.job.flow(params),
            status=status,
            message=log.message(self.job.settings, self.limit),
            first=log.first,
            scores=None if log.best_epoch is None or not state.scores.size else np.asarray(state.best_scores),
            history=log.history,
            best_epoch=log.best_epoch,
            best_validation=log.best_validation,
            epochs=log.plan.epochs if log.plan is not None else 0,
            steps=log.done * self.form.train_steps,
            seconds=log.seconds,
            compile_seconds=log.compile_seconds,
            rollbacks=log.rollbacks,
            conditioning=log.conditioning,
        )
