#!/usr/bin/env bash
# Duel under the mpirun that is in PATH, of Open MPI or of MPICH; the same line again goes on with the run.
#
#     experiments/launch/mpirun.sh 4 experiments/dcgan_fashion.yaml runs/fashion
#     experiments/launch/mpirun.sh 8 experiments/dcgan_lsun.yaml runs/lsun --hostfile hosts
#
# What follows is for mpirun. Its status is 75 after SIGUSR1 or SIGTERM to any rank or, under MPICH, to mpirun itself
# (Open MPI hands SIGUSR1 on to its ranks; a SIGTERM ends them before they can write), and 76 or that of the rank
# that was lost after a loss. Over ssh, set ServerAliveInterval in ~/.ssh/config, or MPICH's mpirun waits for ever for
# a host that is cut off, when all ranks have ended.
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
