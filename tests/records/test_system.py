"""What is recorded about the machine."""

import importlib.metadata
import json
import platform

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
