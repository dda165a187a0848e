"""Writes docs/export.md from its text in scripts/ and the figures in results/export.json.

    python scripts/export_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "export.md", ROOT / "results" / "export.json"
PLACES = ("rows", "farthest rows", "drawn", "far draws")


def largest(row: dict[str, Any], who: str) -> str:
    """The largest error over all places."""
    return f"{max(one['largest'] for one in row['error'][who].values()):.1e}"


def errors(rows: list[dict[str, Any]]) -> str:
    """One line a graph: what is written, at each place, and both precisions and Shoal's float32 over all."""
    head = ["table", "family", "graph", *PLACES, "computes in", "all in float32", "Shoal's float32"]
    lines = []
    for row in rows:
        written = row["error"][row["inside"]]
        places = [f"{written[place]['largest']:.1e}" if place in written else "" for place in PLACES]
        names = [row["table"], f"`{row['family']}`", row["program"]]
        lines.append([*names, *places, row["inside"], largest(row, "float32"), largest(row, "shoal")])
    return table(head, lines)


def speeds(record: dict[str, Any]) -> str:
    """Size and speed of each graph."""
    timed = {(one["table"], one["family"], one["program"]): one["rows_per_second"] for one in record["speed"]}
    head = ["table", "family", "graph", "nodes", "kB", "loads in, s"]
    head += ["rows a second", "Shoal", "in float64"] if timed else []
    lines = []
    for row in record["rows"]:
        found = timed.get((row["table"], row["family"], row["program"]))
        rates = ["", "", ""] if timed else []
        if found is not None:
            rates = [f"{found[who]:,.0f}" for who in (row["inside"], "shoal", "float64")]
        names = [row["table"], f"`{row['family']}`", row["program"]]
        sizes = [row["nodes"], f"{row['bytes'][row['inside']] / 1e3:,.0f}", f"{row['load_seconds']:.2f}"]
        lines.append([*names, *sizes, *rates])
    return table(head, lines)


def tables(record: dict[str, Any]) -> str:
    """What was measured."""
    config, columns = record["config"], {row["table"]: row["columns"] for row in record["rows"]}
    names = " and ".join(f"{name} ({count} columns)" for name, count in columns.items())
    return (
        f"Two real tables, {names}, at most {config['rows']:,} rows each; families of {config['depth']} layers behind the "
        "front `marginals+gaussian`, and one on a mixture of Gaussians as base, trained for at most "
        f"{config['epochs']} epochs."
    )


def libraries(record: dict[str, Any]) -> str:
    """What was tried of the libraries that convert JAX."""
    tried = record["libraries"]["jax2onnx"]
    return (
        f"jax2onnx {tried['version']}, which converts JAX programs to ONNX and is kept up, was tried first: of "
        f"{tried['graphs']} graphs (five families, three directions, the number of rows free) it wrote {tried['written']} "
        f"(`{tried['error']}`). It brings {', '.join(tried['brings'])} with it. The way through TensorFlow asks for "
        "TensorFlow, and no kept converter reads StableHLO. So the graphs are written from the jaxpr of the flow for one "
        f"row, by rules for {record['libraries']['rules']} primitives, with onnx alone; the batch is the first axis of "
        "every tensor."
    )


def made() -> dict[Path, str]:
    """The page."""
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    text = Path(__file__).with_name("export.md").read_text(encoding="utf-8")
    shared = any(one["shared"] for one in record["speed"])
    speed = "one thread on a machine that other programs shared" if shared else "one thread"
    parts = {
        "tables": tables(record),
        "errors": errors(record["rows"]),
        "speed": speeds(record),
        "versions": f"onnx {record['onnx']['onnx']}, onnxruntime {record['onnx']['onnxruntime']}",
        "shared": speed
        if record["speed"]
        else "rows a second are not measured yet, seconds were on a shared machine",
        "libraries": libraries(record),
    }
    return {PAGE: filled(text, parts)}


if __name__ == "__main__":
    write_or_check(__doc__, made)
