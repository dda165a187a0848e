"""The studies: what there is, run, show, and check their smoke grids.

    cd benchmarks && python -m studies.run list | run NAME | show NAME | check NAME

`run` does the cells that are not done yet; each is recorded in `results/NAME.json` as soon as its group ends, and a run that
was stopped goes on; `--cluster local:2` computes groups in two processes. `check` runs the smoke grid again and compares it
with its stored figures; it writes nothing.

Exit codes: 0 done; 2 bad input, such as an unknown name or a missing package; 3 cells that failed, or figures that are not
reproduced; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from resume import RESULTS

from shoal._errors import InputError, WorkersLost
from shoal._executors import connected

from . import registry
from .cells import run
from .check import check
from .grid import Study
from .records import place, read_records, tally
from .show import print_differences, print_list, print_summary

BAD_INPUT, FAILED, INTERRUPTED = 2, 3, 130


def main(words: Sequence[str] | None = None) -> int:
    """The command with these words; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m studies.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("list", "run", "show", "check"))
    parser.add_argument("name", nargs="?", default="", help="as `list` has it")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of the records")
    parser.add_argument(
        "--smoke", action="store_true", help="`run`, `show`: the small grid that takes seconds"
    )
    parser.add_argument("--retry", action="store_true", help="`run`: cells that failed, too")
    parser.add_argument("--whole", action="store_true", help="`check`: every cell that is done")
    parser.add_argument("--cluster", help="`run`: groups side by side: tcp://HOST:PORT of Dask, or local:N")
    parser.add_argument("--quiet", action="store_true", help="no line for each step")
    options = parser.parse_args(words)
    try:
        if options.what == "list":
            print_list([(s, read_records(s, options.results)) for s in registry.STUDIES.values()])
            return 0
        study = registry.find(options.name)
        return {"run": _run, "show": _show, "check": _check}[options.what](study, options)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return BAD_INPUT
    except WorkersLost as error:
        print(f"Workers lost: {error}; what is done is kept, the same command goes on.", file=sys.stderr)
        return FAILED


def _run(study: Study, options: argparse.Namespace) -> int:
    path = place(study, options.results)
    try:
        with connected(options.cluster) as executor:
            found = run(
                study,
                options.results,
                smoke=options.smoke,
                retry=options.retry,
                progress=_shown(options.quiet),
                executor=executor,
            )
    except KeyboardInterrupt:
        at = tally(study.smoke if options.smoke else study.cells, read_records(study, options.results))
        print(
            f"Interrupted: {at.done} of {at.total} cells are done and kept in {path}; the same command goes on.",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(f"{found.done} of {found.total} cells are done; the records lie at {path}")
    if not found.failed:
        return 0
    print(
        f"Numerical failure: {found.failed} of {found.total} cells failed, their reasons are recorded; "
        "--retry runs them again.",
        file=sys.stderr,
    )
    return FAILED


def _show(study: Study, options: argparse.Namespace) -> int:
    print_summary(study, read_records(study, options.results), smoke=options.smoke)
    return 0


def _check(study: Study, options: argparse.Namespace) -> int:
    found = check(study, options.results, whole=options.whole, progress=_shown(options.quiet))
    if found:
        print_differences(found)
        print(
            f"Numerical failure: {len(found)} stored figures of {study.name} are not reproduced within their error "
            "bars; nothing was written.",
            file=sys.stderr,
        )
        return FAILED
    done = tally(study.cells, read_records(study, options.results)).done
    cells = f"{done} cells" if options.whole else f"{len(study.smoke)} smoke cells"
    print(f"{cells} of {study.name} are as stored, within their error bars.")
    return 0


def _shown(quiet: bool) -> Callable[[dict[str, Any]], None]:
    """Prints an event on one line."""

    def tell(event: dict[str, Any]) -> None:
        reason = f" ({event['reason']})" if event.get("reason") else ""
        status = f": {event['status']}{reason}" if event["stage"] == "cell" else ""
        print(f"{event['fraction']:4.0%} {event['words']}{status}", flush=True)

    return (lambda event: None) if quiet else tell


if __name__ == "__main__":
    sys.exit(main())
