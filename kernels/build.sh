#!/usr/bin/env bash
# PTX from the kernels, with a compiler that is fetched once and always the same. It needs no GPU and no CUDA.
#
#   kernels/build.sh           writes kernels/ptx/, for the sources that changed
#   kernels/build.sh --check   builds everything elsewhere; fails where what is committed differs, where
#                              registers spill, or where a GPU generation would refuse it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export LC_ALL=C

VENV=$(cd .. && pwd)/target/nvcc-13.0.88
WHEELS="nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88
        nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85"

fail() {
  echo "error: $*" >&2
  exit 1
}

# The compiler, under target/.
install() {
  [ -e "$VENV/complete" ] && return
  command -v python3 >/dev/null || fail "python3 is needed to fetch the compiler, and is not installed"
  rm -rf "$VENV"
  mkdir -p "$(dirname "$VENV")"
  python3 -m venv "$VENV" || fail "python3 cannot make a virtual environment; install python3-venv"
  # shellcheck disable=SC2086
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: $WHEELS ||
    fail "the compiler could not be fetched from PyPI"
  touch "$VENV/complete"
}

# Which architecture a source is for: its name, what nvcc calls it, and the PTX version that is enough for it.
# nvcc writes its own version, which older drivers would refuse for that alone.
target() {
  case $1 in
    *_sm90a.cu) echo "sm_90a compute_90a 8.0" ;;
    *) echo "sm_80 compute_80 7.8" ;;
  esac
}

# The first line of a PTX file: which sources it is of.
title() {
  echo "// $1 sha256:$(cat "$1" ./*.cuh | sha256sum | cut -d ' ' -f 1)"
}

# assemble FILE ARCH CHECK: what each kernel takes. Fails where registers spill, after saying so, which is no
# more than a warning where nothing is checked.
assemble() {
  local said
  said=$("$CUDA/bin/ptxas" -v -arch="$2" "$1" -o /dev/null 2>&1) ||
    fail "ptxas refuses $(basename "$1") for $2: $said"
  echo "$said" | awk -v file="$(basename "$1")" -v arch="$2" -v says="$([ "$3" = yes ] && echo error || echo warning)" '
    /Compiling entry function/ { split($0, part, "\047"); kernel = part[2] }
    /bytes stack frame/ && !/ 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads/ {
      print says ": " file ", " kernel " on " arch ":" $0 > "/dev/stderr"
      bad = 1
    }
    /Used [0-9]+ registers/ {
      match($0, /Used [0-9]+/)
      registers = substr($0, RSTART + 5, RLENGTH - 5)
      shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH - 11) : 0
      print kernel, registers, shared
    }
    END { exit bad }'
}

# build SOURCE INTO CHECK: one PTX file, and beside it the table of what its kernels take.
build() {
  local source=$1 into=$2 check=$3 arch compute version ptx
  read -r arch compute version <<<"$(target "$source")"
  ptx=$into/${source%.cu}.$arch.ptx
  if [ "$check" = no ] && [ -e "$ptx" ] && [ "$(head -n 1 "$ptx")" = "$(title "$source")" ]; then return; fi
  local work
  work=$(mktemp -d)
  "$CUDA/bin/nvcc" -std=c++17 -O3 -ptx -arch="$compute" "$source" -o "$work/raw" || fail "$source does not compile"
  # Which bytes of a load are used is a hint that came with PTX 8.3.
  {
    title "$source"
    sed -e '/^\/\//d' -e '/^$/d' -e '/^\t*\.pragma "used_bytes_mask/d' -e "s/^\.version .*/.version $version/" "$work/raw"
  } >"$work/ptx"
  cp "$work/ptx" "$work/$(basename "$ptx")"
  assemble "$work/$(basename "$ptx")" "$arch" "$check" >"$work/table" || [ "$check" = no ]
  if [ "$check" = yes ]; then
    cp "$work/table" "$ptx.table"
    if [ "$arch" = sm_80 ]; then
      for newer in sm_89 sm_90 sm_100; do assemble "$work/$(basename "$ptx")" "$newer" "$check" >/dev/null; done
    fi
  fi
  mv "$work/ptx" "$ptx"
  rm -rf "$work"
}

if [ "${1-}" = --build ]; then # one source, for xargs below
  CUDA=$2
  build "$3" "$4" "$5"
  exit
fi

case ${1-} in
  "") check=no into=$PWD/ptx ;;
  --check) check=yes into=$(mktemp -d) && trap 'rm -rf "$into"' EXIT ;;
  *) fail "usage: kernels/build.sh [--check]" ;;
esac
command -v g++ >/dev/null || fail "nvcc needs g++, which is not installed"
install
CUDA=$(echo "$VENV"/lib/python3*/site-packages/nvidia/cu13)
[ -x "$CUDA/bin/nvcc" ] || fail "no nvcc in $CUDA; remove $VENV and try again"
mkdir -p "$into"

# The longest first, so that both cores have something to do until the end.
# shellcheck disable=SC2012
ls -S ./*.cu | sed 's|^\./||' | xargs -P 2 -I '{}' ./build.sh --build "$CUDA" '{}' "$into" "$check" ||
  fail "not all kernels were built"

for ptx in "$into"/*.ptx; do
  source=$(basename "$ptx" .ptx)
  [ -e "${source%.sm_*}.cu" ] && continue
  [ "$check" = yes ] || rm "$ptx"
done

if [ "$check" = yes ]; then
  for table in "$into"/*.table; do
    printf '%-44s registers  shared\n' "$(basename "$table" .ptx.table)"
    awk '{ printf "  %-42s %9d %7d\n", $1, $2, $3 }' "$table"
    rm "$table"
  done
  diff -rq "$into" ptx || fail "kernels/ptx is not what the sources give: run \`make kernels\` and commit it"
  echo "kernels/ptx is what the sources give"
fi
