"""Tables of numbers: reading, checking, splitting, dequantizing and writing them. NumPy and polars; never JAX."""

from ._checks import MINIMUM_ROWS as MINIMUM_ROWS
from ._lattice import Lattice as Lattice
from ._lattice import dequantize as dequantize
from ._lattice import detect_lattice as detect_lattice
from ._match import match_columns as match_columns
from ._memory import as_table as as_table
from ._open import open_source as open_source
from ._read import read_table as read_table
from ._request import join_names as join_names
from ._source import Source as Source
from ._split import FRACTIONS as FRACTIONS
from ._split import row_groups as row_groups
from ._split import split as split
from ._table import Table as Table
from ._write import append_column as append_column
from ._write import check_output as check_output
from ._write import write_table as write_table
