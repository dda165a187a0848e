"""The laws see mistakes of the continuous family: the structure law of the flow in time, and the shared ones."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import equinox as eqx
import pytest

from tests.laws import laws
from tests.laws.mutants import log_det_times, replaced, right_forward
from tests.laws.scaling import prepared
from tests.laws.structure_continuous import law_flow_in_time

pytestmark = pytest.mark.long  # a solver's passes take seconds
CASE = "ffjord"


def test_a_wrong_log_det_is_caught():
    bijection, points = prepared(CASE, "float64")
    laws.law_log_det(bijection, points, "float64")
    wrong = replaced(log_det_times(1 + 1e-6, right_forward))(bijection)
    with pytest.raises(AssertionError, match="log-det"):
        laws.law_log_det(wrong, points, "float64")


def test_a_reflection_and_a_stretch_are_caught():
    bijection, points = prepared(CASE, "float64")
    law_flow_in_time(bijection, points)

    def reflected(b, z, c):
        x, log_det = b.forward_and_log_det(z, c)
        return x.at[0].multiply(-1.0), log_det

    with pytest.raises(AssertionError, match="orientation"):
        law_flow_in_time(replaced(reflected)(bijection), points)
    old = bijection.velocity
    slower = eqx.tree_at(
        lambda f: (f.velocity.skip, f.velocity.last), bijection, (0.1 * old.skip, 0.1 * old.last)
    )

    class Claims(eqx.Module):
        """The map of one velocity with the weights of a slower one."""

        right: object
        velocity: object = slower.velocity
        shape: tuple = eqx.field(static=True, default=(2,))

        def forward_and_log_det(self, z, context=None):
            return self.right.forward_and_log_det(z, context)

        def inverse_and_log_det(self, x, context=None):
            return self.right.inverse_and_log_det(x, context)

    with pytest.raises(AssertionError, match="singular value"):
        law_flow_in_time(Claims(bijection), points)
