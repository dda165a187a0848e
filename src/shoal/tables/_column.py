"""`Column`: what one column of a table is, and what it is in words."""

from typing import Literal

import msgspec
import numpy as np

from shoal._names import Kind
from shoal.tables._dates import SECONDS_A_DAY, part_of_year, spelled


class Column(msgspec.Struct, frozen=True):
    """One column: its kind, and what is needed to write its cells as numbers and back.

    `type`: of its cells; `levels`: the words of a category; `atoms`, `shares`: values that many rows share, and how many;
    `missing`: the share of cells that are missing; `step`, `origin`, `grid`, `stray`: as in `Lattice`; `form`: of a date,
    whose days are counted from `first` (itself since 1970), as are whole numbers beyond 2^53. `low`, `high`: bounds of the
    numbers, None where there are none; of a periodic column the first and the last of its angles, `center` their mean
    direction. `different`: how many values an identifier has, 0 where none repeats.
    """

    name: str
    kind: Kind
    type: Literal["text", "integer", "number", "boolean", "day", "time"] = "number"
    levels: tuple[str, ...] = ()
    atoms: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    missing: float = 0.0
    step: float | None = None
    origin: float = 0.0
    grid: tuple[float, ...] = ()
    stray: tuple[float, ...] = ()
    form: str | None = None
    first: int = 0
    low: float | None = None
    high: float | None = None
    center: float = 0.0
    different: int = 0

    @property
    def period(self) -> float | None:
        """The length of a turn of a periodic column."""
        return (
            None if self.kind != "periodic" or self.low is None or self.high is None else self.high - self.low
        )

    @property
    def support(self) -> tuple[float, float]:
        """The interval in which the density of its numbers lies.

        Of values on a lattice it is the line: the cells at the ends hold what lies beyond; and of a periodic one, too, which
        has places on the line that are a turn apart.
        """
        return (-np.inf, np.inf) if self.step is not None else self.bounds

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest number that is written; infinite where there is none, and of a periodic column."""
        low, high = (None, None) if self.kind == "periodic" else (self.low, self.high)
        return -np.inf if low is None else low, np.inf if high is None else high

    @property
    def missing_state(self) -> int:
        """The state of a missing cell, of a column that has some."""
        return len(self.levels) if self.kind == "category" else 1 + len(self.atoms)

    @property
    def states(self) -> int:
        """How many values its discrete variable has; 0 where it has none. The last one of a category: a word never seen."""
        if self.kind == "category":
            return len(self.levels) + (self.missing > 0) + 1
        if self.kind == "identifier":
            return 0
        return 1 + len(self.atoms) + (self.missing > 0) if self.atoms or self.missing else 0

    @property
    def state_words(self) -> tuple[str, ...]:
        """A word for each state."""
        gone = ("(missing)",) if self.missing else ()
        if self.kind == "category":
            return (*self.levels, *gone, "(never seen)")
        return ("(a number)", *(self.atom_word(a) for a in self.atoms), *gone)

    def atom_word(self, atom: float) -> str:
        """An atom as it is written: a date, or a number of six digits."""
        if not self.is_time:
            return str(self.first + round(atom)) if self.first else f"{atom:.6g}"
        seconds = round((self.first + atom) * SECONDS_A_DAY)
        return str(
            np.datetime64(seconds, "s").astype("datetime64[D]" if self.type == "day" else "datetime64[s]")
        )

    @property
    def is_time(self) -> bool:
        """Whether its numbers are days: it holds dates, or their places in a week or a year."""
        return self.type in ("day", "time")

    @property
    def is_continuous(self) -> bool:
        """Whether it has a number in the continuous part."""
        return self.kind not in ("category", "identifier")

    def sentence(self) -> str:
        """What the column is taken for, in words."""
        gone = f"; {self.missing:.1%} of the cells are missing" if self.missing else ""
        if self.kind == "identifier":
            many = (
                f"it has {self.different:,d} different values"
                if self.different
                else "its values do not repeat"
            )
            return f"an identifier, left out: {many}"
        if self.kind == "category":
            words = ", ".join(self.levels[:4]) + (", ..." if len(self.levels) > 4 else "")
            return f"a category of {len(self.levels)} values ({words}): log-probabilities{gone}"
        unit = "days" if self.is_time else "its unit"
        counted = f", counted from {self.first}" if self.first and not self.is_time else ""
        words = (
            f"{self._noun(f' ({spelled(self.form)})' if self.form else '')}{counted}: log-density in {unit}"
        )
        if self.grid:
            words += f", with noise up to the middles between its {len(self.grid)} values"
        elif self.step is not None:
            words += f", with noise of its step {self.step:.6g}"
        for atom, share in zip(self.atoms, self.shares, strict=True):
            words += (
                f"; {share:.1%} of the rows hold {self.atom_word(atom)}, which has a probability of its own"
            )
        if self.stray:
            cells = "the value" if len(self.stray) == 1 else "the values"
            words += f"; off its lattice: {cells} {', '.join(f'{v:.9g}' for v in self.stray[:5])}"
        return words + gone

    def _noun(self, form: str) -> str:
        low, high = (None if end is None else f"{end:.6g}" for end in (self.low, self.high))
        if self.kind == "positive":
            return f"a number above {low}"
        if self.kind == "bounded":
            return f"a number between {low} and {high}"
        if self.kind == "periodic":
            if self.is_time:
                return f"a periodic date{form}, the same after {self.period:.9g} days"
            return f"a periodic number, the same after {self.period:.6g}"
        part = part_of_year(self.form)
        return f"a {self.kind}{form}" + (f", the first day of each {part}" if part else "")
