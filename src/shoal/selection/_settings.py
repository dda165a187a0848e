"""How the rungs of a ladder are trained, by the number of rows."""

from typing import Any

import numpy as np

from shoal.training import Settings

STEPS = 6000  # of one training without a time limit
LEAST, MOST = 64, 256  # rows of a step
BATCHES = 32  # wanted in an epoch
LEAST_EPOCHS, MOST_EPOCHS = 40, 1000
PATIENCE = 0.25  # of the epochs
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 0.2


def settings_for(rows: int, *, limited: bool = False, **given: Any) -> Settings:
    """The settings of a ladder with so many training rows; those in `given` that are not None take their place.

    Batches of 64 to 256 rows, 32 of them in an epoch; about 6,000 steps in all, or with `limited` as many as there is time
    for; training ends early after a quarter of the epochs without a better validation value.
    """
    given = {name: value for name, value in given.items() if value is not None}
    wanted = 2 ** int(np.round(np.log2(max(rows, 1) / BATCHES)))
    batch = given.get("batch_size", int(np.clip(wanted, LEAST, MOST)))
    steps = max(rows // batch, 1)
    passes = MOST_EPOCHS if limited else -(-STEPS // steps)
    epochs = given.get("max_epochs", int(np.clip(passes, LEAST_EPOCHS, MOST_EPOCHS)))
    patience = max(20, int(PATIENCE * epochs))
    standard = {"batch_size": batch, "max_epochs": epochs, "patience": patience}
    rates = {"learning_rate": LEARNING_RATE, "weight_decay": WEIGHT_DECAY}
    return Settings(**{**standard, **rates, **given})
