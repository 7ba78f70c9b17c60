#!/bin/sh
# Makes or refreshes .venv: the pinned third-party packages, then each distribution named as
# an argument, editable. Needs a Python that is supported, and no root; Debian's Python without
# its python3-venv serves as well.
# PYTHON=... chooses the interpreter that a new environment is made with.
set -eu

venv=.venv
stamp=$venv/.complete

say() { printf '%s\n' "$*"; }
fail() {
    say "error: $*" >&2
    exit 1
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

candidates() {
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if supported "$name"; then say "$name"; fi
    done
}

with_ensurepip() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && "$1" -m venv --clear "$venv" >/dev/null 2>&1
}

with_its_own_pip() {
    "$1" -m venv --clear --without-pip "$venv" >/dev/null 2>&1 &&
        "$1" -m pip --python "$venv/bin/python" install -q pip >/dev/null 2>&1
}

# Debian and Ubuntu keep the pip that new environments start from in a package of its own.
# It is unpacked here, not installed: that needs no root and changes nothing outside.
with_debian_pip() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 1
    "$1" -m venv --clear --without-pip "$venv" >/dev/null 2>&1 || return 1
    say "    Python's venv is incomplete here; taking pip from Debian's python3-pip-whl"
    scratch=$PWD/$venv/debian
    mkdir -p "$scratch/lists/partial" "$scratch/archives/partial"
    (
        cd "$scratch"
        private="-o Dir::State=$scratch -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache=$scratch"
        apt-get -qq download python3-pip-whl ||
            { apt-get -qq $private update && apt-get -qq $private download python3-pip-whl; }
        dpkg-deb -x python3-pip-whl_*.deb .
    ) >/dev/null 2>&1 || return 1
    wheel=$(find "$scratch" -name 'pip-*.whl')
    "$venv/bin/python" "$wheel/pip" install -q --no-index "$wheel" || return 1
    rm -rf "$scratch"
}

make_venv() {
    found=$(candidates)
    if [ -z "$found" ]; then
        fail "no Python from 3.11 to 3.13 among: ${PYTHON:-python3.13 python3.12 python3.11 python3}." \
            "Install one, or name one: make PYTHON=/path/to/python3 ..."
    fi
    for way in with_ensurepip with_its_own_pip with_debian_pip; do
        for python in $found; do
            if $way "$python"; then
                say "    $("$venv/bin/python" --version)"
                return
            fi
        done
    done
    rm -rf "$venv"
    fail "no virtual environment can be made with:" $found"." \
        "Install python3-venv (as root: apt-get install python3-venv), or name another Python:" \
        "make PYTHON=/path/to/python3 ..."
}

started=$(date +%s)
rm -f "$stamp"

if ! { supported "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
    say "==> making the environment in $venv"
    make_venv
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check -q "$@"; }

say "==> installing $(grep -c '^[a-z0-9].*==' requirements.lock) pinned packages (a minute or two the first time)"
pip install --require-hashes -r requirements.lock || fail "the packages could not be installed; pip's reason is above"

say "==> installing the distributions of this repository"
editable=
for dist in "$@"; do editable="$editable -e ./$dist"; done
# shellcheck disable=SC2086 # a list of words
pip install --no-deps --no-build-isolation $editable

: >"$stamp"
say "==> ready after $(($(date +%s) - started)) s"
