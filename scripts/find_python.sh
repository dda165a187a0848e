#!/bin/sh
# Prints the first Python >= 3.11 that runs here; says what to do if there is none.
for name in python3 python3.11 python3.12 python3.13 python3.14 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        echo "$name"
        exit 0
    fi
done
echo "Shoal needs Python 3.11 or newer and found none: install it, or name it, as in \`make PYTHON=/path/to/python3.11\`." >&2
exit 1
