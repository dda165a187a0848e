"""Ladders of several tables at a time: the largest first, one thread each; a failure or a limit leaves the others whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, os, sys, time
sys.path.insert(0, {benchmarks!r})
import numpy as np
from _advice_jobs import run

def train(rows):
    if rows[0, 0] < 0:
        raise ValueError("negative")
    time.sleep(rows[0, 0])
    return {{"rows": len(rows), "threads": os.environ["OMP_NUM_THREADS"], "pid": os.getpid()}}

if __name__ == "__main__":
    seconds = json.loads(sys.argv[1])
    tasks = [(name, np.full((10 + i, 2), float(s))) for i, (name, s) in enumerate(seconds.items())]
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else None
    found = [(name, entry if isinstance(entry, dict) else str(entry)) for name, entry in run(tasks, train, 1, limit)]
    print(json.dumps({{"found": found, "pid": os.getpid()}}))
"""


def run(folder, seconds, *limit):
    script = folder / "script.py"
    script.write_text(SCRIPT.format(benchmarks=str(ROOT / "benchmarks")))
    command = [sys.executable, str(script), json.dumps(seconds), *limit]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    return json.loads(done.stdout)


def test_largest_first_each_in_a_process_of_one_thread_and_a_failure_leaves_the_others(tmp_path):
    made = run(tmp_path, {"small": 0, "failing": -1, "large": 0})
    assert [name for name, _ in made["found"]] == ["large", "failing", "small"]
    entries = dict(made["found"])
    assert entries["failing"] == "ValueError: negative"
    assert entries["large"]["threads"] == entries["small"]["threads"] == "1"
    assert len({made["pid"], entries["large"]["pid"], entries["small"]["pid"]}) == 3


def test_a_table_at_work_at_the_limit_is_left_out(tmp_path):
    assert run(tmp_path, {"after": 0, "slow": 600}, "1")["found"] == []
    assert [name for name, _ in run(tmp_path, {"slow": 600, "quick": 0}, "6")["found"]] == ["quick"]
