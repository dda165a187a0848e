"""Tables of numbers: reading, checking, splitting, dequantizing and writing them. NumPy and polars; never JAX.

Where to look: files, `_read.py` and `_csv.py`; what a column is, `_kinds.py` and `_schema.py`; what is refused,
`_checks.py`, `_dependents.py`; splits, `_split.py`; tables larger than memory, `_stream.py` and `_stream_table.py`; their
shuffled rows, `_shuffle.py`.
"""

from shoal.tables._cells import EXACT
from shoal.tables._checks import MINIMUM_ROWS
from shoal.tables._columns import Argument, Columns, ColumnsError, join_names
from shoal.tables._dependence import Dependence, Examined, examine_columns
from shoal.tables._functions import find_functions, function_of
from shoal.tables._hashes import hashed_parts
from shoal.tables._lattice import Lattice, dequantize, detect_lattice, in_cells
from shoal.tables._memory import as_source, as_table
from shoal.tables._read import match_columns, open_source, read_matrix
from shoal.tables._read import read_table as read_table
from shoal.tables._relations import find_relations
from shoal.tables._sample import sampled
from shoal.tables._schema import Schema, SchemaRows, Strange, strange_notes
from shoal.tables._shuffle import StoredRows, shuffled, shuffled_in_memory
from shoal.tables._source import BLOCK_ROWS, Source
from shoal.tables._split import FRACTIONS, row_groups, split
from shoal.tables._stream import Stream, are_files, is_large, open_stream
from shoal.tables._stream_table import StreamedTable
from shoal.tables._stream_table import read_stream as read_stream
from shoal.tables._table import Table as Table
from shoal.tables._write import (
    append_columns,
    named_columns,
    numbers_in_text,
    write_blocks,
    write_columns,
    write_table,
)
