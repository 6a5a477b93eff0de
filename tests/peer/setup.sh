#!/usr/bin/env bash
# Makes the Python environment that the PyTorch baseline (peer.py) and the golden numbers
# (../golden/dcgan_step.py) run in, from PyPI alone:
#
#     tests/peer/setup.sh <venv-dir>
#
# PyPI's Linux wheel of PyTorch is the CUDA build: it refuses to be imported without 2.4 GB of CUDA
# libraries, although training on the CPU calls nothing in them. So the wheel (539 MB) is installed without
# its dependencies, and in place of those libraries stand stubs that end the process when called. The
# CUDA runtime itself is real: it is small (2 MB), and it is what says that there is no GPU.
# PyTorch's own files are not touched; its CPU code, oneDNN and MKL are as released.
#
# Needs Linux on x86-64, Python 3.11, cc and nm; leaves 1.5 GB in <venv-dir>. Run again, it returns at once.
set -euo pipefail

packages=(
  torch==2.15.0
  nvidia-cuda-runtime==13.2.86 nvidia-cuda-cupti==13.2.86
  numpy==2.3.4 safetensors==0.8.0
  typing-extensions==4.16.0 filelock==4.2.12 fsspec==2026.9.0
  sympy==1.14.0 mpmath==1.3.0 networkx==3.6.1 jinja2==3.1.6 MarkupSafe==3.0.4
)
stubs=(
  libcublas.so.13 libcublasLt.so.13 libcudnn.so.9 libcufft.so.12 libcufile.so.0 libcusparse.so.12
  libcusparseLt.so.0 libnccl.so.2 libnvrtc.so.13 libnvshmem_host.so.3
)

fail() { echo "setup.sh: $*" >&2; exit 1; }

[ $# -eq 1 ] || fail "found $# arguments, expected one: setup.sh <venv-dir>"
venv=$1
python=${PYTHON:-python3}
stamp=$venv/peer-setup

# The stamp is a copy of this script, so a changed pin makes the environment anew.
if cmp -s "$0" "$stamp"; then
  exit 0
fi
[ "$(uname -sm)" = "Linux x86_64" ] || fail "found $(uname -sm), expected Linux x86_64: the pinned wheels are for no other"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail "$python does not run; name another with PYTHON="
[ "$version" = 3.11 ] || fail "$python is Python $version, expected 3.11; name another with PYTHON="
for tool in cc nm; do
  command -v "$tool" > /dev/null || fail "$tool is not installed; on Debian: apt-get install gcc"
done
if [ -e "$venv" ] && [ ! -e "$venv/pyvenv.cfg" ]; then
  fail "$venv exists and is no Python environment; name a new directory"
fi

"$python" -m venv --clear "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --progress-bar off --no-cache-dir \
  --only-binary :all: --no-deps "${packages[@]}"

lib=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')/torch/lib
{
  echo '#include <stdlib.h>'
  nm -D --undefined-only "$lib"/libtorch_{cuda,nvshmem,python}.so | awk '{ sub(/@.*/, "", $2); print $2 }' | sort -u |
    sed -nE 's/^(cublas|cudnn|cufft|cuFile|cusparse|nccl|nvrtc|nvshmem).*/void &(void) { abort(); }/p'
} > "$venv/stub.c"
for name in "${stubs[@]}"; do
  cc -shared -fPIC -w -Wl,-soname,"$name" "$venv/stub.c" -o "$lib/$name"
done

"$venv/bin/python" -c 'import torch; assert not torch.cuda.is_available()' || fail "PyTorch does not import from $venv"
cp "$0" "$stamp.new"
mv "$stamp.new" "$stamp"
