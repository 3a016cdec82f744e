#!/bin/sh
# A cgroup for a machine of machine.py, below the one of the tests, wherever and whether this machine has cgroup2 mounted:
# it is mounted once more, for this script alone. Called in a mount namespace of its own.
#
#     cgroup.sh run NAME COMMAND…     becomes the command, in the cgroup
#     cgroup.sh end NAME              removes the cgroup, in which nothing runs any more
set -eu
what=$1 name=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/cgroup
mount -t cgroup2 cgroup2 /mnt/cgroup
own=/mnt/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
remove() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; }
case $what in
run)
    for left in "$own"/kvmweb-machine-*; do # by a run that was killed
        [ ! -d "$left" ] || [ -e "/proc/${left##*-}" ] || remove "$left" || true
    done
    mkdir "$own/$name"
    echo $$ >"$own/$name/cgroup.procs"
    exec "$@"
    ;;
end)
    tenths=50
    while [ -d "$own/$name" ] && ! remove "$own/$name"; do
        tenths=$((tenths - 1))
        [ $tenths -gt 0 ] || { echo "$name is still in use" >&2; exit 1; }
        sleep 0.1
    done
    ;;
esac
