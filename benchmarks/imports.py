"""Start-up beyond bare Python: `import shoal` (target 0.1 s) and `shoal --help` (target 0.6 s).

    python benchmarks/imports.py [--rounds 7] [--out results/imports.json]

Every command is a process of its own; rounds are interleaved and bare Python's time in the same round is taken off.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from shoal.records import system_info, to_plain

COMMANDS = {
    "python": ["-c", "pass"],
    "import shoal": ["-c", "import shoal"],
    "shoal --help": ["-c", "import sys; sys.argv = ['shoal', '--help']; from shoal.cli import main; main()"],
}
MOST = {"import shoal": 0.1, "shoal --help": 0.6}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "imports.json"
    )
    options = parser.parse_args()
    for name in COMMANDS:  # once for the byte code
        seconds(name)
    rounds = [{name: seconds(name) for name in COMMANDS} for _ in range(options.rounds)]
    found = {}
    for name, most in MOST.items():
        beyond = [r[name] - r["python"] for r in rounds]
        found[name] = {"median": median(beyond), "low": min(beyond), "high": max(beyond), "target": most}
        middle, low, high = (f(beyond) for f in (median, min, max))
        print(f"{name}: {middle:.3f} s beyond bare Python ({low:.3f} - {high:.3f}), target {most} s")
    record = {
        "what": "seconds of a process beyond bare Python in the same round; median, lowest, highest",
        "command": "python benchmarks/imports.py " + " ".join(sys.argv[1:]),
        "seed": None,
        "versions": system_info(),
        "config": {"rounds": options.rounds, "commands": COMMANDS},
        "summary": found,
        "rounds": rounds,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(to_plain(record), indent=1) + "\n")


def seconds(name: str) -> float:
    """Wall time of one process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *COMMANDS[name]], check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
