#!/usr/bin/env bash
# Builds the folder that checks a machine with an NVIDIA GPU: bundle.sh <folder>. There it needs a driver and
# nothing else; PyTorch is compared with where its Python finds it.
set -euo pipefail

# The most that the folder may take.
megabytes=60

fail() { echo "bundle.sh: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "found $# arguments, expected one: bundle.sh <folder>"
folder=$1
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
command -v strip > /dev/null || fail "strip is not installed; on Debian: apt-get install binutils"

# One command builds the tests and the programs that they start. Cargo tells the name of the test binary,
# which ends in a hash, in JSON alone.
tests=$(cargo test --release --locked --package tests --test cuda --no-run --message-format=json |
  sed -nE 's/.*"kind":\["test"\].*"name":"cuda".*"executable":"([^"]+)".*/\1/p' | tail -n 1)
[ -n "$tests" ] || fail "cargo told no test binary"

rm -rf "$folder.new"
mkdir -p "$folder.new/peer" "$folder.new/experiments/datasets"
cp "$target/release/gpu-check" "$folder.new/"
cp "$target/release/duel-under-test" "$folder.new/duel"
cp "$tests" "$folder.new/cuda-tests"
strip "$folder.new/"{duel,gpu-check,cuda-tests}
cp tests/peer/{peer,gpu_peer,gpu_products}.py "$folder.new/peer/"
cp experiments/*.yaml "$folder.new/experiments/"
cp experiments/datasets/*.yaml "$folder.new/experiments/datasets/"
git describe --always --dirty --exclude '*' > "$folder.new/commit" 2> /dev/null || echo unknown > "$folder.new/commit"

size=$(du -sm --apparent-size "$folder.new" | cut -f 1)
[ "$size" -le $megabytes ] || fail "$folder.new takes $size MB; $megabytes are allowed"
rm -rf "$folder"
mv "$folder.new" "$folder"
echo "$folder: $size MB. Copy it to a machine with a driver, and there: ./gpu-check"
