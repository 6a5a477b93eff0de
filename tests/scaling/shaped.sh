#!/usr/bin/env bash
# `duel scaling` between two hosts whose link has a rate, all on one machine:
#
#     tests/scaling/shaped.sh <mpich> <rate> <duel> scaling <experiment> [words]
#
# <mpich> is the folder that holds bin/mpiexec, such as the mpich that tests/mpi/setup.sh installs; <rate> is tc's,
# such as 1gbit. The hosts are network namespaces with names and addresses of their own; both ends of the cable
# between them are shaped. Needs root, ip, tc, unshare. Whatever happens, the hosts are gone afterwards.
set -euo pipefail

fail() { echo "shaped.sh: $*" >&2; exit 1; }

[ $# -ge 3 ] || fail "found $# arguments, expected: shaped.sh <mpich> <rate> <duel> scaling <experiment> [words]"
[ "$(id -u)" = 0 ] || fail "network namespaces need root"
for tool in ip tc unshare; do
  command -v $tool >/dev/null || fail "no $tool; on Debian: apt-get install iproute2 util-linux"
done
mpiexec=$(realpath "$1/bin/mpiexec") || fail "$1/bin/mpiexec is not there; tests/mpi/setup.sh installs it"
rate=$2
shift 2

tag=duel$$
hosts=("$tag-a" "$tag-b")
scratch=$(mktemp -d)
trap 'for host in "${hosts[@]}"; do ip netns del "$host" 2>/dev/null || true; rm -rf "/etc/netns/$host"; done; rm -rf "$scratch"' EXIT

for i in 0 1; do
  host=${hosts[$i]}
  ip netns add "$host"
  mkdir -p "/etc/netns/$host"
  printf '127.0.0.1 localhost\n10.79.0.1 %s\n10.79.0.2 %s\n' "${hosts[@]}" >"/etc/netns/$host/hosts"
  ip -n "$host" link set lo up
done
ip link add cable netns "${hosts[0]}" type veth peer name cable netns "${hosts[1]}"
for i in 0 1; do
  host=${hosts[$i]}
  ip -n "$host" addr add "10.79.0.$((i + 1))/24" dev cable
  ip -n "$host" link set cable up
  # Bursts of two of the largest segments; a queue of 20 ms, so that nothing is lost.
  tc -n "$host" qdisc add dev cable root tbf rate "$rate" burst 128kb latency 20ms
done

for host in "${hosts[@]}"; do
  # The kernel takes up to a second to notice that the cable is plugged in, and libraries do not use it before.
  for _ in $(seq 50); do
    ip -n "$host" link show cable | grep -q 'state UP' && break
    sleep 0.1
  done
done

# What MPICH starts ranks by in the place of ssh: [options] host command…
cat >"$scratch/ssh" <<'STAND_IN'
#!/usr/bin/env bash
while [ "${1#-}" != "$1" ]; do shift; done
host=$1
shift
exec ip netns exec "$host" unshare -u sh -c "hostname $host; $*"
STAND_IN
chmod +x "$scratch/ssh"

binary=$(realpath "$1")
shift
# UCX would find that both hosts are one machine, and go through its memory.
"$scratch/ssh" "${hosts[0]}" "cd '$PWD' && exec '$mpiexec' -launcher ssh -launcher-exec '$scratch/ssh' \
  -genv UCX_TLS tcp -genv UCX_NET_DEVICES cable -hosts ${hosts[0]}:1,${hosts[1]}:1 -n 2 '$binary' $*"
