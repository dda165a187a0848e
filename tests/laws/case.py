"""What a case of the registry is."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from shoal.bijections import AbstractBijection


@dataclass(frozen=True)
class Case:
    """One bijection of the registry, made by `build(key)`.

    `fixed_kappa`, `bounded_kappa`: why kappa is 1, or lies below the range of the laws, whatever the parameters; such
    a class has a composed case besides, whose kappa lies in the range.
    `frozen`: names of leaves that are not trained; `kept`: names of leaves that stay as built when others are drawn.
    """

    name: str
    build: Callable[[jax.Array], AbstractBijection]
    fixed_kappa: str | None = None
    frozen: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    bounded_kappa: str | None = None
