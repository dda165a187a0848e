"""The type of a table of structure laws: a bijection's class, and what holds for every instance of it."""

from collections.abc import Callable
from typing import TypeAlias

from shoal.bijections import AbstractBijection
from tests.laws.oracles import Points

Law: TypeAlias = Callable[[AbstractBijection, Points], None]
Laws: TypeAlias = dict[type[AbstractBijection], tuple[Law, ...]]
