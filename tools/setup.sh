#!/usr/bin/env bash
# Gets what pip cannot: a Python that is new enough, and what Debian and Ubuntu package apart.
#
#   setup.sh venv FOLDER [PYTHON]    make a virtual environment
#   setup.sh programs                see that bedtools and samtools are there
#
# As root, missing packages are installed by apt; otherwise it is said how to.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local name
    if [ -n "$1" ]; then
        new_enough "$1" && { printf '%s\n' "$1"; return; }
        say "make: PYTHON=$1 is not a Python of version 3.11 or newer."
        return 1
    fi
    for name in python3 python3.13 python3.12 python3.11; do
        new_enough "$name" && { printf '%s\n' "$name"; return; }
    done
    say "make: no Python of version 3.11 or newer among python3, python3.13, python3.12, python3.11."
    say "  Install one (Debian 12, Ubuntu 24.04: apt-get install python3), or: make PYTHON=/path/to/python"
    return 1
}

# Debian's Python comes without ensurepip; it must be the package of this very version.
has_ensurepip() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

apt_install() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
    say "make: apt-get install $1"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get install -y --no-install-recommends "$1" ||
        { apt-get update && apt-get install -y --no-install-recommends "$1"; }; } >/dev/null 2>&1
}

make_venv() {
    local folder=$1 python version
    if "$folder/bin/python" -m pip --version >/dev/null 2>&1 && new_enough "$folder/bin/python"; then
        return
    fi
    python=$(find_python "$2")
    if ! has_ensurepip "$python"; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        apt_install "python$version-venv" || apt_install python3-venv || true
        if ! has_ensurepip "$python"; then
            say "make: $python cannot make virtual environments: its module ensurepip is missing."
            say "  On Debian and Ubuntu: sudo apt-get install python$version-venv"
            say "  Then run make again."
            return 1
        fi
    fi
    say "make: setting up $folder with $("$python" --version); the first installation takes minutes"
    "$python" -m venv --clear "$folder"
}

get_programs() {
    local name package
    for name in bedtools samtools featureCounts; do
        package=$name
        [ "$name" != featureCounts ] || package=subread
        command -v "$name" >/dev/null || apt_install "$package" || {
            say "make: $name is missing; the tests that compare with it will be skipped."
            say "  On Debian and Ubuntu: sudo apt-get install $package"
        }
    done
}

case "${1-}" in
venv) make_venv "$2" "${3-}" ;;
programs) get_programs ;;
*)
    say "usage: setup.sh venv FOLDER [PYTHON] | setup.sh programs"
    exit 2
    ;;
esac
