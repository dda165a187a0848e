"""The studies that `shoal study` knows."""

from shoal._errors import InputError
from shoal.studies._base import Study
from shoal.studies._depth import DEPTH, DEPTH_LARGE
from shoal.studies._padding import PADDING

STUDIES: dict[str, Study] = {study.name: study for study in (PADDING, DEPTH, DEPTH_LARGE)}


def studies() -> tuple[Study, ...]:
    """All of them, in order."""
    return tuple(STUDIES.values())


def find(name: str) -> Study:
    """The study of that name. **Raises:** `InputError`, which lists the names, where there is none."""
    if name not in STUDIES:
        raise InputError(f"There is no study {name!r}; there is: {', '.join(STUDIES)}.")
    return STUDIES[name]
