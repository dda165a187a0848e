"""The optimizer of a rung: Adam, with a smaller rate for a base that starts near its best."""

from typing import Any

import jax
import optax

RATE = 0.1  # of the layers' rate


def _slower(updates: Any, params: Any) -> Any:
    del params

    def scaled(path: tuple[Any, ...], update: Any) -> Any:
        return RATE * update if getattr(path[0], "name", None) == "base" else update

    return jax.tree_util.tree_map_with_path(scaled, updates)


BASE_SLOWER = optax.chain(optax.adam(1.0), optax.stateless(_slower))  # one value, so that programs are shared
