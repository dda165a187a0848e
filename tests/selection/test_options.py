"""How rungs are trained by the number of rows."""

import pytest

from shoal.selection import settings_for


@pytest.mark.parametrize(
    ("rows", "batch", "epochs"), [(50, 64, 1000), (400, 64, 1000), (4000, 128, 194), (40_000, 256, 40)]
)
def test_batches_and_epochs_follow_from_the_rows(rows, batch, epochs):
    made = settings_for(rows)
    assert (made.batch_size, made.max_epochs) == (batch, epochs)
    assert made.patience == max(20, epochs // 4)
    assert settings_for(rows, limited=True).max_epochs == 1000


def test_what_is_given_stays():
    assert (settings_for(4000).weight_decay, settings_for(4000, weight_decay=0.0).weight_decay) == (0.2, 0.0)
    made = settings_for(4000, batch_size=1000, patience=None, learning_rate=0.1)
    assert (made.batch_size, made.max_epochs, made.learning_rate) == (1000, 1000, 0.1)
    assert made.patience == 250
    assert settings_for(4000, max_epochs=3, patience=2).patience == 2
