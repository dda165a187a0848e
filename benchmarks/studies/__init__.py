"""Studies: grids of trainings whose figures are quoted in the documentation; `python -m studies.run --help`."""
