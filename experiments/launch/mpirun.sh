#!/usr/bin/env bash
# Duel under the mpirun that is in PATH, of Open MPI or of MPICH; the same line again goes on with the run.
#
#     experiments/launch/mpirun.sh 4 experiments/dcgan_fashion.yaml runs/fashion
#     experiments/launch/mpirun.sh 8 experiments/dcgan_lsun.yaml runs/lsun --hostfile hosts
#
# What follows is for mpirun. SIGUSR1, to it or to any rank, stops all ranks with a checkpoint and status 75; so does
# SIGTERM to MPICH's, while Open MPI's leaves ranks one second for it. After a loss the status is 76, or that of the
# rank that was lost. Over ssh, set ServerAliveInterval in ~/.ssh/config; MPICH's mpirun may still wait for ever for a
# host that is cut off, when all ranks have ended.
set -euo pipefail

[ $# -ge 3 ] || { echo "found $# words, expected three: mpirun.sh RANKS EXPERIMENT.yaml RUN" >&2; exit 2; }
ranks=$1 experiment=$2 run=$3
shift 3
if [ -e "$run/resolved.yaml" ]; then
  words=(resume "$run")
else
  words=(train "$experiment" --out "$run")
fi

options=()
if mpirun --version 2>/dev/null | grep -q 'Open MPI'; then
  # Else each of few ranks has one core, and other hosts know nothing of our variables.
  options+=(--bind-to none)
  for name in $(compgen -e DUEL_); do
    options+=(-x "$name")
  done
fi
exec mpirun -n "$ranks" "${options[@]}" "$@" duel "${words[@]}"
