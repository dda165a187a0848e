"""What is recorded about the machine, and that records need nothing but the standard library."""

import importlib.metadata
import json
import platform
import subprocess
import sys

from shoal.records import package_versions, system_info


def test_versions_are_those_installed() -> None:
    versions = package_versions(["numpy", "no-such-package-of-this-name"])
    assert versions == {
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
        "no-such-package-of-this-name": None,
    }


def test_system_info_is_plain_and_names_no_host_and_no_person() -> None:
    info = system_info(["numpy"])
    assert json.loads(json.dumps(info)) == info
    assert info["machine"] == platform.machine()
    assert info["packages"] == {"numpy": importlib.metadata.version("numpy")}
    assert set(info) == {"python", "implementation", "system", "machine", "cpus", "packages"}


def test_records_load_the_standard_library_only_and_reports_no_jax() -> None:
    code = (
        "import sys, shoal.records; after = set(sys.modules)\n"
        "assert not after & {'numpy', 'jax', 'polars', 'altair'}, after\n"
        "import shoal.report; assert 'jax' not in sys.modules and 'jaxtyping' not in sys.modules\n"
        "print('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
