#!/bin/sh
# Pins every third-party package that the distributions named as arguments and the dev group
# need, for all supported Pythons and platforms, with the hashes of its files.
set -eu

.venv/bin/python -c 'import uv' 2>/dev/null || .venv/bin/python -m pip install -q 'uv>=0.9'

projects=
for dist in "$@"; do projects="$projects $dist/pyproject.toml"; done

# shellcheck disable=SC2086 # a list of words
.venv/bin/uv pip compile $projects --group pyproject.toml:dev --upgrade --quiet \
    --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url \
    --no-emit-package ontomesh --no-emit-package ontomesh-chassis \
    --no-emit-package ontomesh-data-kernel --no-emit-package ontomesh-event-gateway \
    --no-emit-package ontomesh-local \
    --output-file requirements.lock
