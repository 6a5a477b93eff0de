#!/usr/bin/env bash
# Makes the Python environment whose libraries read what Duel writes, and write what it imports
# (../house/readers.rs), from PyPI alone:
#
#     tests/readers/setup.sh <venv-dir>
#
# Needs Linux and Python 3.11 or newer with venv; leaves 0.4 GB in <venv-dir>. Run again, it returns at once.
set -euo pipefail

packages=(
  pyarrow==26.0.1 pillow==13.0.0 lmdb==3.0.0 numpy==2.4.6
  tensorboard==2.21.0 tensorboard-data-server==0.7.2 absl-py==2.5.1 grpcio==1.85.1 Markdown==3.11.3
  MarkupSafe==3.0.4 packaging==26.3 protobuf==7.36.2 typing_extensions==4.16.0 Werkzeug==3.1.9
  setuptools==80.9.0
)

fail() { echo "setup.sh: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "found $# arguments, expected one: setup.sh <venv-dir>"
venv=$1
python=${PYTHON:-python3}
stamp=$venv/readers-setup

# The stamp is a copy of this script, so a changed pin makes the environment anew.
if cmp -s "$0" "$stamp"; then
  exit 0
fi
version=$("$python" -c 'import sys; print(sys.version_info >= (3, 11))') || fail "$python does not run; name another with PYTHON="
[ "$version" = True ] || fail "$python is older than Python 3.11; name another with PYTHON="
if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
  fail "$venv exists and is no Python environment; name a new directory"
fi

"$python" -m venv --clear "$venv" || fail "$python has no venv; on Debian: apt-get install python3-venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --progress-bar off --no-cache-dir \
  --only-binary :all: --no-deps "${packages[@]}"
"$venv/bin/python" -c 'import lmdb, numpy, PIL, pyarrow, tensorboard' || fail "the libraries do not import from $venv"
cp "$0" "$stamp.new"
mv "$stamp.new" "$stamp"
