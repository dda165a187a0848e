"""The optimizer of a rung: Adam, with a smaller rate for the front and the base, which start near their best."""

from typing import Any

import jax
import optax

RATE = 0.1  # of the layers' rate


def _slower(updates: Any, params: Any) -> Any:
    del params

    def scaled(path: tuple[Any, ...], update: Any) -> Any:
        names = [getattr(step, "name", getattr(step, "idx", None)) for step in path[:3]]
        of_front = names[0] == "base" or (names[:2] == ["bijection", "bijections"] and names[2] != 0)
        return RATE * update if of_front else update

    return jax.tree_util.tree_map_with_path(scaled, updates)


# Flow(base, Chain([layers, front parts ...])): see `flows.Front.around`. One value, so that programs are shared.
BEHIND_A_FRONT = optax.chain(optax.adam(1.0), optax.stateless(_slower))
