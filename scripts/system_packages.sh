#!/bin/sh
# Sees to what pip can not install, for Debian and Ubuntu: `venv` (Python's ensurepip) and `chromium` (the report's test).
# Usage: scripts/system_packages.sh venv PYTHON | scripts/system_packages.sh chromium
set -eu

install() { # package, sentence
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "$2" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    echo "Installing the system package $1 ..."
    apt-get -q -o DPkg::Lock::Timeout=300 update >/dev/null
    apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$1" >/dev/null </dev/null
}

case "$1" in
venv)
    if ! "$2" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        package="python$("$2" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
        install "$package" "$2 can not make environments: install its venv module (Debian: apt-get install $package)."
    fi
    ;;
chromium)
    if [ ! -x /usr/bin/chromium ]; then
        # Without it the suite still runs, and the report's test fails with the same sentence.
        (install chromium "The report's test needs /usr/bin/chromium: install it (Debian: apt-get install chromium).") || true
    fi
    ;;
*)
    echo "usage: $0 venv PYTHON | chromium" >&2
    exit 2
    ;;
esac
