#!/usr/bin/env bash
# Builds the stand-in for a GPU: tests/stand_in/build.sh OUT [drive]
#
# Leaves OUT/libcuda.so.1 and OUT/libnccl.so.2, which take the place of NVIDIA's in a process that is started
# with LD_LIBRARY_PATH=OUT. Only what changed is built, and nothing is said if all is well. KERNELS=folder
# takes the kernels from elsewhere. With `drive`, leaves OUT/drive/drive instead, which runs every kernel under
# sanitizers; it takes names of cases, and CASES=names builds it with these alone.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
goal=${2-all}
if [ $# -lt 1 ] || { [ "$goal" != all ] && [ "$goal" != drive ]; }; then
  echo "usage: $0 OUT [drive]" >&2
  exit 2
fi
for tool in make g++ flock; do
  command -v "$tool" >/dev/null || { echo "error: the stand-in needs $tool, which is not installed" >&2; exit 1; }
done
mkdir -p "$1"
out=$(cd "$1" && pwd)
exec 9>"$out/.lock"
flock 9
# Kernels that are gone leave nothing behind.
find "$out" -xtype l -path "$out/src/*" -delete
exec make --silent --no-print-directory -j2 -f "$here/Makefile" "OUT=$out" ${KERNELS:+"KERNELS=$(cd "$KERNELS" && pwd)"} "$goal"
