"""The race: chains of rungs from zero layers up, the worse ones dropped, so that the time goes to what wins.

Rung 0 of a chain is its front alone, a closed form. A round trains every chain that is left at the next depth.
After it a chain is dropped where it is surely behind another one, where its last layers surely gained less than the margin,
or, under a time limit, where it is not in the better half. The last chain gets what is left of the time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from shoal._processes import agreed, from_first
from shoal._scalars import FloatArray
from shoal.flows import Family, Front, Fronts, Sample
from shoal.records.fit import RaceEvent
from shoal.selection._crew import Crew, crew_of
from shoal.selection._options import Options
from shoal.selection._prepare import Prepared
from shoal.selection._rule import ONE_SIDED, paired_difference, winsorised
from shoal.selection._rung import Listener, Rung, train

RESERVE = 0.12  # share of a limit that is kept for measuring and writing, within the two bounds that follow
MEASURING = 1.3  # the least reserve, in fixed costs of a rung
MOST_RESERVE = 60.0  # the largest one, in seconds
FRONT_SHARE = 0.12  # of a limit, for the mixtures of all fronts together
FIXED = 16.0  # seconds of compiling that a program is taken to cost before one is measured
SHARED = 1.5  # seconds of a rung beside its program and its steps
WORTH = 2.0  # a rung is begun where there is so many times its fixed cost for it
SEVERAL = 12.0  # fixed costs in the limit, from which on several depths are trained
FIRST = 3  # layers, at most, of the first round under a limit
EARLY = 0.3  # of the training time, for all rounds but the last
LEAST = 1.0  # seconds that steps are begun for


@dataclass
class Clock:
    """The time of one ladder. `limit` None: no limit."""

    limit: float | None
    started: float = field(default_factory=lambda: time.monotonic())
    fixed: float = FIXED
    programs: set[tuple[str, int, str]] = field(default_factory=set)  # that rungs of the race have compiled

    def elapsed(self) -> float:
        """Seconds since the ladder began; by the clock of process 0, where several train."""
        return agreed(time.monotonic() - self.started)[0]

    def left(self) -> float:
        """Seconds for training from now on; inf without a limit."""
        if self.limit is None:
            return np.inf
        kept = min(max(RESERVE * self.limit, MEASURING * self.fixed), MOST_RESERVE, 0.4 * self.limit)
        return self.limit - self.elapsed() - kept


@dataclass
class Chain:
    """A front and a family, and the rungs trained so far, shallow first; `dropped` says why it ended."""

    front: Front
    family: Family
    rungs: list[Rung] = field(default_factory=list)
    dropped: str = ""


@dataclass
class Race:
    """Everything that was run: rungs in order, and what happened, step by step, for the record."""

    rungs: list[Rung]
    events: list[RaceEvent]
    clock: Clock
    interrupted: bool = False

    def note(self, event: str, rung: Rung, **more: Any) -> None:
        """Keep what happened to a rung, with the seconds since the ladder began."""
        place = next(i for i, r in enumerate(self.rungs) if r is rung)
        self.events.append(RaceEvent(event=event, rung=place, at=self.clock.elapsed(), **more))


def race(prepared: Prepared, options: Options, clock: Clock, listen: Listener) -> Race:
    """Run the race on the parts of `prepared`, on the workers of an executor where the options have one. Ctrl-C ends it with
    what is done.
    """
    result = Race([], [], clock)
    weights = prepared.parts["validation"].weights
    try:
        begun = []
        for front, rung in zero(prepared, options, clock.limit):
            begun.append(front)
            result.rungs.append(rung)
            _tell(rung, prepared, result, listen)
        handed = _with_layers(begun, options, clock, weights)
        chains = [Chain(front, family) for front in handed for family in options.families]
        plan = _plan(list(options.depths), chains, clock)
        number = 0
        with crew_of(prepared, options) as crew:
            while number < len(plan):
                depth, alive = plan[number], [c for c in chains if not c.dropped]
                total = len(plan) * len(chains) + len(begun)
                round_ = _round(
                    alive, plan[number:], prepared, options, result, crew, _heard(listen, result, total)
                )
                begun_rungs = round_ if crew is None else list(round_)  # with workers all begin first
                for chain, rung, finish in begun_rungs:
                    finish()
                    _after(rung, chain, clock, prepared, result, listen)
                    if any(r.status == "interrupted" for r in rung.results):
                        result.interrupted = True
                        if crew is None:
                            return result
                if result.interrupted or (crew is not None and crew.stopped):
                    result.interrupted = True
                    return result
                _drop(alive, clock.limit is not None, options.gates.margin, weights, result)
                number += 1
                if number == len(plan):
                    plan += _deeper(options.depths, depth, [c for c in chains if not c.dropped], clock)
    except KeyboardInterrupt:
        result.interrupted = True
    return result


def _round(
    alive: list[Chain],
    plan: list[int],
    prepared: Prepared,
    options: Options,
    result: Race,
    crew: Crew | None,
    heard: Callable[[Rung], Listener],
) -> Iterator[tuple[Chain, Rung, Callable[[], None]]]:
    """Each chain of a round with its rung, and what trains it or, with a crew, waits for the workers that do."""
    clock, depth = result.clock, plan[0]
    together = (
        None if crew is None or clock.limit is None else _share_of(crew.waves(len(alive)), alive, plan, clock)
    )
    for place, chain in enumerate(alive):
        share = _share(clock, alive, place, plan) if crew is None else together
        rung = _rung_of(chain, depth, result)
        if share is not None and share < LEAST:
            continue
        before = chain.rungs[-1] if chain.rungs else None
        if crew is not None:
            yield (
                chain,
                rung,
                crew.begin(rung, chain.front, before=before, time_limit=share, progress=heard(rung)),
            )
            continue
        fresh = _program(chain, depth) not in clock.programs
        trained = partial(train, rung, chain.front, prepared, options, before=before, time_limit=share)
        yield chain, rung, partial(trained, compile_first=fresh, progress=heard(rung))


def zero(prepared: Prepared, options: Options, limit: float | None) -> Iterator[tuple[Front, Rung]]:
    """The fronts, set from the training and validation parts, and their rungs 0; mixtures share `FRONT_SHARE` of a limit."""
    rows, held = (
        Sample(part.x, part.context, part.weights, prepared.states)
        for part in (prepared.parts["train"], prepared.parts["validation"])
    )
    mixtures = max(sum("mixture" in name for name in options.fronts), 1)
    seconds = np.inf if limit is None else FRONT_SHARE * limit / mixtures
    setter = Fronts(rows, held, seed=options.seed, seconds=seconds)
    for name in options.fronts:
        front = from_first(partial(setter.set, name))  # how far a mixture comes depends on the clock
        rung = Rung(name, seconds=front.seconds)
        if front.validation is not None:
            rung.flows, rung.log_likelihoods = [front.flow()], [front.validation]
        yield front, rung


def _with_layers(
    fronts: list[Front], options: Options, clock: Clock, weights: FloatArray | None
) -> list[Front]:
    """The fronts that get layers: at most `options.few`, and fewer where the time is too short for their programs."""
    few = options.few
    while few is not None:
        handed = _handed_on(fronts, few, weights)
        if len(handed) == 1 or _affordable(handed, options.families, clock):
            return handed
        few = len(handed) - 1
    return fronts


def _handed_on(fronts: list[Front], few: int, weights: FloatArray | None) -> list[Front]:
    """The `few` fronts that get layers: the likeliest ones with a standard base, whose rungs share a program, and from
    three on the likeliest mixture among them.
    """

    def value(front: Front) -> float:
        return -np.inf if front.validation is None else winsorised(front.validation[None], weights)

    ranked = sorted(fronts, key=value, reverse=True)
    plain, mixed = ([f for f in ranked if f.is_mixture == kind] for kind in (False, True))
    if few < 3 or not mixed:
        return [*plain, *mixed][:few]
    return [*plain[: few - 1], *mixed][:few]


def _program(chain: Chain, depth: int) -> tuple[str, int, str]:
    """What tells the training program of a rung from others."""
    return chain.family.name, depth, chain.front.name if chain.front.is_mixture else ""


def _affordable(fronts: list[Front], families: Sequence[Family], clock: Clock) -> bool:
    """Whether there is time to train all of them before most of it goes to the best."""
    programs = len({_program(Chain(f, k), 0) for f in fronts for k in families})
    return programs == 1 or (SEVERAL + WORTH * programs) * clock.fixed <= clock.left()


def _plan(depths: list[int], chains: list[Chain], clock: Clock) -> list[int]:
    """The depths that there is time for. Under a short limit one, twice: all chains, then the best one trained on."""
    if clock.limit is None:
        return depths
    first = ([d for d in depths if d <= FIRST] or depths[:1])[-1]
    affordable = clock.left() / clock.fixed
    if affordable < SEVERAL or depths[-1] <= first:
        return [first] if len(chains) == 1 else [first, first]
    rounds = 2 + int(np.log(affordable / SEVERAL) / np.log(4.0))
    return [d for d in depths if d >= first][:rounds]


def _deeper(depths: Sequence[int], depth: int, alive: list[Chain], clock: Clock) -> list[int]:
    """The next depth, where a limit leaves time for it because training came to its end early."""
    more = [d for d in depths if d > depth]
    if clock.limit is None or not more or not alive or clock.left() < WORTH * clock.fixed:
        return []
    return more[:1]


def _share(clock: Clock, alive: list[Chain], place: int, plan: list[int]) -> float | None:
    """Seconds for the steps of chain `place`: the last round shares what is left, the rounds before it `EARLY` of all."""
    if clock.limit is None:
        return None
    waiting = alive[place:]
    fresh = {_program(c, plan[0]) for c in waiting} - clock.programs
    costs = clock.fixed * len(fresh) + SHARED * len(waiting)
    later = sum(clock.fixed if d != plan[0] else SHARED for d in plan[1:])
    training = max(clock.left() - costs - later, 0.0)
    if len(plan) == 1:
        return training / len(waiting)
    part = EARLY / (len(plan) - 1)  # of what there was at the start of the round, in equal shares
    return part * training / (len(alive) - place * part)


def _share_of(waves: int, alive: list[Chain], plan: list[int], clock: Clock) -> float:
    """The same for every chain of a round that workers train side by side, in so many waves; each worker compiles anew."""
    programs = len({_program(c, plan[0]) for c in alive})
    costs = clock.fixed * min(waves, programs) + SHARED * waves + clock.fixed * len(plan[1:])
    part = 1.0 if len(plan) == 1 else EARLY / (len(plan) - 1)
    return part * max(clock.left() - costs, 0.0) / max(waves, 1)


def _rung_of(chain: Chain, depth: int, result: Race) -> Rung:
    """The chain's rung of this depth, a new one where no round had it."""
    for rung in result.rungs:
        if (rung.front, rung.family, rung.depth) == (chain.front.name, chain.family, depth):
            return rung
    result.rungs.append(Rung(chain.front.name, chain.family, depth))
    return result.rungs[-1]


def _after(
    rung: Rung, chain: Chain, clock: Clock, prepared: Prepared, result: Race, listen: Listener
) -> None:
    if rung.status == "diverged" and not rung.log_likelihoods:
        chain.dropped = rung.dropped = "diverged"
    elif rung.log_likelihoods and not any(r is rung for r in chain.rungs):
        chain.rungs.append(rung)
    program = _program(chain, rung.depth)
    if rung.results and program not in clock.programs:
        clock.programs.add(program)
        if clock.limit is not None:
            (seconds,) = agreed(rung.compile_seconds)
            clock.fixed = 0.5 * clock.fixed + 0.5 * min(max(seconds, 1.0), 4 * FIXED)
    _tell(rung, prepared, result, listen)


def _drop(alive: list[Chain], halving: bool, margin: float, weights: FloatArray | None, result: Race) -> None:
    """End the chains that have no hope, or that have come to their end."""
    ranked = sorted((c for c in alive if c.rungs), key=lambda c: -c.rungs[-1].value(weights))
    waiting = [c for c in alive if not c.rungs and not c.dropped]
    for chain in waiting if ranked else waiting[1:]:  # the time goes to what has begun
        chain.dropped = "not one epoch in its time"
        for rung in result.rungs:
            if (rung.front, rung.family) == (chain.front.name, chain.family):
                rung.dropped = chain.dropped
    for place, chain in enumerate(ranked):
        rung = chain.rungs[-1]
        behind = None if place == 0 else _loss(ranked[0].rungs[-1], rung, weights)
        gain = None if len(chain.rungs) < 2 else _loss(rung, chain.rungs[-2], weights)
        if behind is not None and behind.mean - ONE_SIDED * behind.standard_error > 0:
            chain.dropped = (
                f"behind {ranked[0].rungs[-1].name} by {behind.mean:.3g} ± {behind.standard_error:.2g} nats"
            )
        elif gain is not None and gain.mean + ONE_SIDED * gain.standard_error < margin:
            chain.dropped = f"the last layers gained {gain.mean:.3g} ± {gain.standard_error:.2g} nats"
        elif halving and place >= max(len(ranked) // 2, 1):
            chain.dropped = "not in the better half"
        rung.dropped = chain.dropped
        if chain.dropped:
            result.note("dropped", rung, why=chain.dropped)


def _loss(a: Rung, b: Rung, weights: FloatArray | None):
    return paired_difference(np.stack(a.log_likelihoods), np.stack(b.log_likelihoods), weights)


def _heard(listen: Listener, result: Race, total: int) -> Callable[[Rung], Listener]:
    """For the rungs of one round: what is told of their trainings, with the share of all that is done."""
    done: dict[str, float] = {}  # of the rungs of this round

    def of(rung: Rung) -> Listener:
        if listen is None:
            return None
        tell, done[rung.name] = listen, 0.0

        def heard(event: dict[str, Any]) -> None:
            done[rung.name] = event["fraction"]
            rungs = len(result.rungs)
            fraction = (rungs - len(done) + sum(done.values())) / max(total, rungs)
            tell({**event, "stage": "train", "rung": rung.name, "seed": event["run"], "fraction": fraction})

        return heard

    return of


def _tell(rung: Rung, prepared: Prepared, result: Race, listen: Listener) -> None:
    value = None
    if rung.log_likelihoods:
        value = rung.value(prepared.parts["validation"].weights) - prepared.log_volume
    figures = {"seconds": rung.seconds, "validation": value, "limit": rung.limit, "workers": rung.workers}
    result.note("rung", rung, status=rung.status, **figures)
    if listen is not None:
        summary = {} if value is None else {"validation": value}
        listen(
            {
                "stage": "rung",
                "rung": rung.name,
                "status": rung.status,
                "seconds": rung.seconds,
                "summary": summary,
            }
        )
