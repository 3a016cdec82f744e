#!/bin/bash
# The first process of a machine of its own: a real systemd in new namespaces, on a copy-on-write view of this machine's
# files. Nothing it writes outlives it. Started by machine.py: boot.sh CHECKOUT
set -eu
checkout=$1
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /mnt
layer() { # PLACE: what is in it, and from now on only our own changes
    local name=${1//\//-}
    mkdir -p "/mnt/$name/upper" "/mnt/$name/work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/$name/upper,workdir=/mnt/$name/work" "$1"
}
layer /etc
layer /var
layer /usr/local
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/kvmweb
# A copy: who edits the checkout meanwhile changes nothing under running processes.
tar -C "$checkout" -c --exclude=./.venv --exclude=./node_modules --exclude=./var --exclude=./.git \
    --exclude='*/__pycache__' --exclude='./.*_cache' --exclude=./.hypothesis . | tar -C /opt/kvmweb -x
# The environment of the tests may stand on an interpreter in somebody's home, where no service may look.
venv=$(readlink -f "$checkout/.venv") python=$(readlink -f "$checkout/.venv/bin/python")
mkdir /opt/python
mount --bind "${python%/bin/*}" /opt/python
mkdir -p /opt/kvmweb/.venv/bin /opt/kvmweb/.venv/lib
mount --bind "$venv/lib" /opt/kvmweb/.venv/lib
ln -s "/opt/python/bin/${python##*/}" /opt/kvmweb/.venv/bin/python
printf 'home = /opt/python/bin\ninclude-system-site-packages = false\n' >/opt/kvmweb/.venv/pyvenv.cfg

echo /opt/python/lib >/etc/ld.so.conf.d/00-kvmweb.conf
ldconfig

mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup

# A machine like one whose packages were just installed: only what is asked for below starts.
rm -rf /etc/systemd/system/* /etc/kvmweb /var/lib/kvmweb /etc/nginx/sites-enabled/*
for unit in dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
    proc-sys-fs-binfmt_misc.automount sys-kernel-config.mount systemd-udevd.service systemd-udev-trigger.service \
    systemd-sysctl.service systemd-modules-load.service systemd-random-seed.service systemd-remount-fs.service \
    systemd-update-utmp.service systemd-binfmt.service systemd-timesyncd.service getty.target nginx.service; do
    [ "$unit" = nginx.service ] || ln -s /dev/null "/etc/systemd/system/$unit"
done
mkdir -p /etc/systemd/system/lab.target.wants
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' >/etc/systemd/system/lab.target
ln -s /lib/systemd/system/dbus.service /etc/systemd/system/lab.target.wants/
export container=lab
exec /lib/systemd/systemd --system --unit=lab.target --log-target=console --show-status=0
