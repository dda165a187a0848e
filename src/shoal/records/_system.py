"""What a figure was computed with: Python, machine kind, package versions. Nothing that names a person or a host."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("shoal", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "polars", "safetensors", "altair")


def package_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Returns the version of Python and of each package, `None` for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def system_info(packages: Sequence[str] = PACKAGES) -> dict[str, object]:
    """Returns Python's version and kind, system, machine kind, number of CPUs, and package versions.

    **Arguments:** `packages`: names as on the package index.

    **Returns:** `{"python", "implementation", "system", "machine", "cpus", "packages": {name: version or None}}`.
    """
    versions = package_versions(packages)
    return {
        "python": versions.pop("python"),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": versions,
    }
