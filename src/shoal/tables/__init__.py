"""Tables of numbers: reading, checking, splitting, dequantizing and writing them. NumPy and polars; never JAX."""

from ._checks import MINIMUM_ROWS
from ._lattice import Lattice, dequantize, detect_lattice
from ._match import match_columns
from ._memory import as_table
from ._open import open_source
from ._read import read_table as read_table
from ._request import join_names
from ._source import Source
from ._split import FRACTIONS, row_groups, split
from ._table import Table as Table
from ._write import append_column, check_output, write_table
