"""The command `shoal` and its sub-commands. Nothing heavy loads before the input was checked."""

from shoal.cli._main import app, main
