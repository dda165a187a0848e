"""The studies that there are."""

from shoal._errors import InputError

from .depth import DEPTH, DEPTH_LARGE
from .grid import Study
from .padding import PADDING

STUDIES: dict[str, Study] = {study.name: study for study in (PADDING, DEPTH, DEPTH_LARGE)}


def find(name: str) -> Study:
    """The study of that name. **Raises:** `InputError`, which lists the names, where there is none."""
    if name not in STUDIES:
        raise InputError(f"There is no study {name!r}; there is: {', '.join(STUDIES)}.")
    return STUDIES[name]
