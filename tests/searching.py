"""Searches for an input that breaks a certificate: hypothesis draws for as long as there is time, run by `make test-long`.

All together take SHOAL_SEARCH_SECONDS (600), in equal shares. Each round has another seed, so that a search finds the same
again, and a longer one goes on where a shorter one ended.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings

SECONDS = float(os.environ.get("SHOAL_SEARCH_SECONDS", "600"))
SEARCHES = 9  # `@searched` in all tests, which a test counts


def searched(
    *strategies: Any, at_a_time: int = 20, **named: Any
) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Makes a long test of a function of drawn values, which must hold for every one of them."""

    def made(body: Callable[..., None]) -> Callable[[], None]:
        @pytest.mark.long
        def search() -> None:
            end, turn = time.monotonic() + SECONDS / SEARCHES, 0
            while turn == 0 or time.monotonic() < end:
                rules = settings(
                    max_examples=at_a_time,
                    derandomize=False,
                    database=None,
                    deadline=None,
                    suppress_health_check=tuple(HealthCheck),  # pyright: ignore[reportArgumentType]
                )
                hypothesis.seed(turn)(rules(given(*strategies, **named)(body)))()
                turn += 1

        search.__name__, search.__doc__ = body.__name__, body.__doc__
        return search

    return made
