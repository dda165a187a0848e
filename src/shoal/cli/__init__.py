"""The command `shoal`: fit, sample, score, factor, audit and study. Nothing heavy loads before the input was checked."""

from ._main import app as app
from ._main import main as main
