#!/bin/bash
# pid 1 of a lab host.  /proc is still the outer one: our stat line carries the outer pid.
read -r OUTER _ < /proc/self/stat
D=$LAB/$H
mount --make-rprivate /
mount -t overlay -o lowerdir=/etc,upperdir=$D/etc,workdir=$D/etc-work overlay /etc
mount -t overlay -o lowerdir=/root,upperdir=$D/root,workdir=$D/root-work overlay /root
mount --bind $D/libvirt /etc/libvirt
mount --bind $D/var-lib /var/lib/libvirt
mount --bind $D/var-log /var/log/libvirt
mount --bind $D/var-cache /var/cache/libvirt
[ -d /var/lib/swtpm-localca ] && mount --bind $D/swtpm /var/lib/swtpm-localca
[ -d /etc/ssh/sshd_config.d ] && mount -t tmpfs tmpfs /etc/ssh/sshd_config.d
mount -t tmpfs -o mode=755 tmpfs /srv && mkdir /srv/shared && mount --bind $LAB/shared /srv/shared
mount -t tmpfs -o mode=755,size=64m tmpfs /run && mkdir -p /run/sshd /run/lock /run/libvirt
mount -t proc proc /proc
V2=; [ -f /sys/fs/cgroup/cgroup.controllers ] && V2=1
# as udev would: a /dev/kvm that QEMU's user may not open makes libvirt probe QEMU anew at every call (5 s a definition)
[ ! -e /dev/kvm ] || { mknod -m 660 /run/kvm c 10 232 && chgrp kvm /run/kvm && mount --bind /run/kvm /dev/kvm; }
umount -l -R /sys; mount -t sysfs sysfs /sys
if [ -n "$V2" ]; then   # our processes go into a leaf, so that libvirt may hand controllers to its own children
  mount -t cgroup2 cgroup2 /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/init && echo $$ > /sys/fs/cgroup/init/cgroup.procs
else
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
for c in cpu cpuacct cpuset memory devices freezer blkio pids; do
  mkdir /sys/fs/cgroup/$c; mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c 2>/dev/null || rmdir /sys/fs/cgroup/$c; done
fi
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
hostname $H.lab
echo $OUTER > $D/pid.t; mv $D/pid.t $D/pid
ip link set lo up
while [ ! -e /sys/class/net/eth2 ]; do sleep 0.01; done
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=0 net.ipv6.conf.all.disable_ipv6=0 2>/dev/null
ip -b - <<E
addr add $NET.1$I/24 dev eth0
link set eth0 up
link add br0 type bridge forward_delay 0
link set eth1 master br0 up
link set br0 up
link set eth2 up
E
[ -f /etc/lab_shadow_done ] || { usermod -p "$(openssl passwd -6 rootpass)" root; touch /etc/lab_shadow_done; }
stop(){ for f in /run/libvirtd.pid /run/virtlogd.pid /run/sshd.pid; do [ -f $f ] && kill $(cat $f); done; sleep 0.3; exit 0; }
trap stop TERM
/usr/sbin/sshd
virtlogd -d -p /run/virtlogd.pid
virtlockd -d -p /run/virtlockd.pid
libvirtd -d --listen --pid-file /run/libvirtd.pid
while [ ! -S /run/libvirt/libvirt-sock ]; do sleep 0.01; done
touch $D/ready
while :; do sleep 3600 & wait $!; done
