"""The figures of results/whitening.json for docs/hardness.md, as Markdown tables."""

from collections.abc import Mapping
from typing import Any

from _pages import table

LEVELS = ("0.1", "0.001", "1e-06")


def whitening_table(record: Mapping[str, Any]) -> str:
    """The layers that random rotations need, their rates against the bounds, and the exact answer, one table each."""
    if record["status"] != "done":
        raise ValueError(
            f"The record of whitening is {record['status']}; run `{record['command']}` to its end."
        )
    rows, most = record["rows"], record["config"]["layers"]
    return "\n\n".join(
        [
            table(
                ["n", "condition", "loss at the start", *(f"layers to {float(x):g}" for x in LEVELS)],
                [[*_name(r), f"{r['loss'][0]:.3g}", *(_layers(r, x, most) for x in LEVELS)] for r in rows],
            ),
            table(
                [
                    *(
                        "n",
                        "condition",
                        "first layer: loss left",
                        "bound by the spectrum",
                        "bound by the loss",
                    ),
                    *("late layers: factor", "limit of the bound"),
                ],
                [_rates(r) for r in rows],
            ),
            table(
                ["n", "condition", "exact couplings", "KL", "worst condition of a layer"],
                [[*_name(r), *_exact(e)] for r in rows for e in r["exact"]],
            ),
        ]
    )


def _name(row: Mapping[str, Any]) -> list[str]:
    return [str(row["n"]), f"{row['condition']:g}"]


def _layers(row: Mapping[str, Any], level: str, most: int) -> str:
    found = row["layers_to"][level]
    return f"more than {most}" if found is None else str(found)


def _rates(row: Mapping[str, Any]) -> list[str]:
    start, tail = row["loss"][0], row["rate_tail"]
    return [
        *_name(row),
        f"{row['measured_of_first'] / start:.3f}",
        f"{row['bound_of_next'][0] / start:.3f}",
        f"{row['bound_by_loss_of_first'] / start:.3f}",
        "none" if tail is None else f"{tail:.3f}",
        f"{row['rate_bound_tail']:.3f}",
    ]


def _exact(found: Mapping[str, Any]) -> list[str]:
    if found["status"] != "done":
        return [str(found["layers"]), "not found", ""]
    return [str(found["layers"]), f"{abs(found['kl']):.0e}", f"{found['condition']:.3g}"]
