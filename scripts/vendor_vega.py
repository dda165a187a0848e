#!/usr/bin/env python3
"""Fetches the JavaScript that the report page inlines: Vega, Vega-Lite and Vega-Embed, minified, with licences.

Run it by hand after a change of VERSIONS (they must be the ones Altair's schema asks for; a test compares them):

    python scripts/vendor_vega.py

It needs `npm`. Each package comes from the npm registry by `npm pack`; what is bundled inside the minified files is
found by `npm install --ignore-scripts` in a temporary folder, and those licences go to LICENSE.third-party.txt.
"""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSIONS = {"vega": "6.4.0", "vega-lite": "6.4.1", "vega-embed": "7.3.0"}
# Dependencies of the packages' command-line programs: not in the minified files.
COMMAND_LINE_ONLY = {"yargs", "commander", "iconv-lite", "rw"}
TARGET = Path(__file__).resolve().parent.parent / "src" / "shoal" / "report" / "vendor"


def fetch(name: str, version: str, work: Path) -> tuple[Path, dict[str, str]]:
    """Runs `npm pack`, unpacks the archive, copies the bundle and its licence. Returns the archive and its entry."""
    out = subprocess.run(
        ["npm", "pack", f"{name}@{version}", "--silent"], cwd=work, check=True, capture_output=True, text=True
    )
    archive = work / out.stdout.strip().splitlines()[-1]
    folder = work / name
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    bundle = folder / "package" / "build" / f"{name}.min.js"
    shutil.copyfile(bundle, TARGET / bundle.name)
    shutil.copyfile(folder / "package" / "LICENSE", TARGET / f"LICENSE.{name}.txt")
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
    return archive, {
        "version": version,
        "file": bundle.name,
        "sha256": digest,
        "licence": f"LICENSE.{name}.txt",
    }


def closure(modules: Path, roots: list[str]) -> list[str]:
    """Returns the names of all packages that `roots` need at run time, apart from the command-line ones."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name in COMMAND_LINE_ONLY:
            continue
        found.add(name)
        waiting += json.loads((modules / name / "package.json").read_text()).get("dependencies", {})
    return sorted(found - set(roots))


def notices(modules: Path, names: list[str]) -> str:
    """Returns one text with each distinct licence once, under the packages that carry it."""
    texts: dict[str, list[str]] = {}
    for name in names:
        package = json.loads((modules / name / "package.json").read_text())
        files = sorted(path for path in (modules / name).iterdir() if path.name.upper().startswith("LICEN"))
        text = (
            files[0].read_text().strip()
            if files
            else f"Licence: {package.get('license')} (no licence file shipped)"
        )
        text = "\n".join(line.rstrip() for line in text.splitlines())
        texts.setdefault(text, []).append(f"{name} {package['version']} ({package.get('license')})")
    parts = ["Packages bundled inside the minified files of this folder, with their licences."]
    for text, packages in sorted(texts.items(), key=lambda item: item[1]):
        parts.append("-" * 80 + "\n" + "\n".join(packages) + "\n\n" + text)
    return "\n\n".join(parts) + "\n"


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        fetched = {name: fetch(name, version, work) for name, version in VERSIONS.items()}
        (work / "package.json").write_text('{"name": "vendor", "version": "0.0.0", "private": true}\n')
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([*command, *(str(archive) for archive, _ in fetched.values())], cwd=work, check=True)
        modules = work / "node_modules"
        (TARGET / "LICENSE.third-party.txt").write_text(notices(modules, closure(modules, list(VERSIONS))))
    entries = {name: entry for name, (_, entry) in fetched.items()}
    (TARGET / "versions.json").write_text(json.dumps(entries, indent=2) + "\n")
    for name, entry in entries.items():
        print(
            f"{name} {entry['version']}: {(TARGET / entry['file']).stat().st_size} bytes, sha256 {entry['sha256']}"
        )


if __name__ == "__main__":
    main()
