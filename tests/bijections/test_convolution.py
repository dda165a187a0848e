"""The convolution inside couplings, against XLA's."""

import jax
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections.conditioners._convolutional import convolved


@pytest.mark.parametrize(("inputs", "outputs", "kernel"), [(2, 5, 3), (5, 2, 3), (5, 2, 5), (3, 3, 1)])
def test_convolved_is_the_convolution(inputs: int, outputs: int, kernel: int):
    x = jr.normal(jr.key(0), (6, 7, inputs))
    weight = jr.normal(jr.key(1), (outputs, kernel**2 * inputs))
    filters = weight.reshape(outputs, kernel, kernel, inputs).transpose(1, 2, 3, 0)
    want = jax.lax.conv_general_dilated(
        x[None], filters, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]
    np.testing.assert_allclose(convolved(x, weight, kernel), want, atol=1e-5)
