"""Writes docs/scale.md from its text in scripts/ and the figures in results/stream.json, cluster.json and devices.json.

    python scripts/scale_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scale.md"
ROWS_A_FILE, COLUMNS, BYTES = 1_000_000, 8, 4


def read(name: str) -> dict[str, Any]:
    """The record of a benchmark."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def streamed(record: dict[str, Any]) -> str:
    """The calls of the command that were measured."""
    head = ["", "rows", "pass 1, s", "pass 2, s", "rows a second in training", "memory of the process, MiB"]
    lines = []
    for name, words in (("fit", "`shoal fit`, in pieces"), ("whole", "`shoal fit --stream off`")):
        call = record[name]
        if call is not None:
            passes = [f"{call[p]:.0f}" if p in call else "" for p in ("pass_1", "pass_2")]
            rates = f"{call['rows_per_second']:,.0f}", f"{call['memory_mib']:,.0f}"
            lines.append([words, f"{call['rows']:,}", *passes, *rates])
    score = record["score"]
    if score is not None:
        lines.append(
            ["`shoal score`", f"{record['fit']['rows']:,}", "", "", "", f"{score['memory_mib']:,.0f}"]
        )
    return table(head, lines)


def killed(record: dict[str, Any]) -> str:
    """The sentence about kills."""
    found = record["kills"]
    if found is None:
        return "A test ends a run by SIGKILL again and again, and compares its losses to the bit with one that went through."
    same = "the same losses to the bit" if found["memory_equals_disk"] else "other losses"
    again = "the losses of the run that nobody killed" if found["again_equals_disk"] else "other losses"
    left = len(found["temporary_files_left"])
    return (
        f"On {found['rows']:,} of the rows, epochs as the limit: {same} with the rows on disk and in memory. Ended by "
        f"SIGKILL {found['killed']} times, {found['killed_while_rows_were_shuffled']} of them while rows were shuffled, "
        f"{found['killed_in_a_save']} while a checkpoint was written, and gone on with by `--resume`: {again}; "
        f"{left or 'no'} temporary files left."
    )


def billion(record: dict[str, Any]) -> str:
    """What 10^9 rows would need."""
    fit, rows = record["fit"], 1e9
    passes = [fit[name] / fit["rows"] * rows / 3600 for name in ("pass_1", "pass_2")]
    disk = 0.8 * rows * COLUMNS * BYTES / 1e9
    head = ["", "needs"]
    lines = [
        [
            "disk for the shuffled rows, in float32",
            f"{disk:.0f} GB, and a bucket of a 256th more while they are gathered",
        ],
        [
            "memory",
            f"that of the table above, {fit['memory_mib'] / 1024:.1f} GiB: blocks and sample do not grow",
        ],
        [
            "pass 1",
            f"{passes[0]:.1f} hours, and once more for each round of words or numbers that the sample lacked",
        ],
        ["pass 2", f"{passes[1]:.1f} hours"],
        ["one pass of training", f"{0.8 * rows / fit['rows_per_second'] / 3600:.1f} hours"],
    ]
    return table(head, lines)


def cluster(record: dict[str, Any]) -> str:
    """The figures of the cluster."""
    config, kills, speed = record["config"], record["kills"], record["two_workers_against_one"]
    timed = ""
    if speed is not None:
        timed = (
            f" Two workers against one on two cores: {speed['seconds']:.2f} times the wall time where programs are compiled "
            f"already, {speed['cold_seconds']:.2f} times where each worker compiles its own."
        )
    return (
        f"**Measured** (`results/cluster.json`, {config['rows']:,} rows, epochs as the limit): {config['workers']} worker "
        f"processes, one of them ended by SIGKILL in each of {kills['runs']} runs at a random moment "
        f"({kills['killed_with_a_task']} times with a task in it): the decision of the run without a cluster in "
        f"{kills['same_decision']}, its bits in {kills['same_bits']}, a rung twice in the record in {kills['rung_twice']}."
        + timed
    )


def devices(record: dict[str, Any]) -> str:
    """Largest relative differences of losses."""
    lines = [
        [name, *(f"{max(values):.1e}" for values in by_count.values())]
        for name, by_count in record["relative_differences"].items()
    ]
    counts = next(iter(record["relative_differences"].values()))
    return table(["flow, 2 layers", *(f"{count} devices against one" for count in counts)], lines)


def page() -> dict[Path, str]:
    """The page."""
    stream, text = read("stream"), (ROOT / "scripts" / "scale.md").read_text(encoding="utf-8")
    fit = stream["fit"]
    parts = {
        "rows": f"{fit['rows']:,}",
        "files": str(fit["rows"] // ROWS_A_FILE),
        "limit": stream["config"]["limit"],
        "cores": str(stream["versions"]["cpus"]),
        "stream": streamed(stream),
        "kills": killed(stream),
        "billion": billion(stream),
        "seen": f"{fit['training_rows_seen'] / (0.8 * fit['rows']):.0%}",
        "held": f"{fit['validation_rows']:,}",
        "cluster_figures": cluster(read("cluster")),
        "devices_figures": devices(read("devices")),
    }
    return {PAGE: filled(text, parts)}


if __name__ == "__main__":
    write_or_check(__doc__, page)
