#!/usr/bin/env bash
# Duel under torchrun, where that is what the cluster knows; PyTorch itself is not used.
#
#     experiments/launch/torchrun.sh experiments/dcgan_fashion.yaml runs/fashion --standalone --nproc-per-node 4
#
# What follows is for torchrun. On several nodes, the same line on each, within a minute of each other:
#
#     experiments/launch/torchrun.sh ... --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29400
#
# A rank that ends with any status but 0, with 75 and 76 as well, makes torchrun start all of them again: they go on
# from the last checkpoint, three times at most. A SIGTERM to torchrun stops them with a checkpoint, for good. Ranks
# without a GPU need MPICH's library (`pip install mpich`). The folder must be on a disk that all nodes share.
set -euo pipefail

[ $# -ge 2 ] || { echo "found $# words, expected two: torchrun.sh EXPERIMENT.yaml RUN" >&2; exit 2; }
experiment=$1 run=$2
shift 2

# Each start decides by itself. The first rank makes the run when all have come, so they decide alike.
# shellcheck disable=SC2016
exec torchrun --max-restarts 3 "$@" --no-python sh -c '
  if [ -e "$2/resolved.yaml" ]; then
    exec duel resume "$2"
  fi
  exec duel train "$1" --out "$2"
' sh "$experiment" "$run"
