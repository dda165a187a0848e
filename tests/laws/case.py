"""What a case of the registry is."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from shoal.bijections import AbstractBijection


@dataclass(frozen=True)
class Case:
    """One bijection of the registry, made by `build(key)`.

    `frozen`: names of leaves that are not trained; `kept`: names of leaves that stay as built when others are drawn.
    """

    name: str
    build: Callable[[jax.Array], AbstractBijection]
    fixed_kappa: str | None = None
    frozen: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
