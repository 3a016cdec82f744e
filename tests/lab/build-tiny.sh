#!/bin/bash
# Build a tiny, fast Linux guest from Debian packages only: no mount, no loop device.
#   build-tiny.sh OUTDIR [cloud|generic] [noga]
# Output: OUTDIR/vmlinuz OUTDIR/initrd.img OUTDIR/tiny.qcow2 (bootable: syslinux FAT p1 + ext4 p2 "TINYDATA")
# On its serial line it says "TINY READY host=... kernel=... cpus=... memkb=..." and then runs a shell.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
MISSING=""
for t in apt-get apt-cache dpkg-deb cpio depmod modprobe mcopy mkfs.vfat syslinux mke2fs sfdisk qemu-img gzip; do
  command -v $t >/dev/null || MISSING="$MISSING $t"; done
[ -f /usr/lib/SYSLINUX/mbr.bin ] || MISSING="$MISSING /usr/lib/SYSLINUX/mbr.bin"
[ -z "$MISSING" ] || { echo "build-tiny: missing:$MISSING (Debian: cpio kmod mtools dosfstools syslinux syslinux-common e2fsprogs fdisk qemu-utils)" >&2; exit 1; }
OUT=$1; FLAVOUR=${2:-cloud}; GA=${3:-ga}
export LC_ALL=C
mkdir -p "$OUT"; OUT=$(cd "$OUT"; pwd); W=$OUT/work; mkdir -p "$W/debs" "$W/k" "$W/p"
DL=${DEBCACHE:-$W/debs}; mkdir -p "$DL"
case $FLAVOUR in cloud) META=linux-image-cloud-amd64;; generic) META=linux-image-amd64;; esac
KPKG=$(apt-cache depends --no-recommends --no-suggests $META | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
[ -n "$KPKG" ] || { echo "build-tiny: apt knows no package $META" >&2; exit 1; }
KV=${KPKG#linux-image-}
get() { # download unless cached
  for p in "$@"; do ls "$DL/${p}_"*.deb >/dev/null 2>&1 || (cd "$DL" && apt-get -o APT::Sandbox::User=root download -qq "$p" >/dev/null) || { echo "build-tiny: apt-get download $p failed" >&2; exit 1; }; done; }
get "$KPKG" busybox-static
dpkg-deb -x "$DL/${KPKG}_"*.deb "$W/k"
dpkg-deb -x "$DL"/busybox-static_*.deb "$W/p"
if [ "$GA" = ga ]; then
  GAPK="qemu-guest-agent libc6 libglib2.0-0 libpcre2-8-0 libnuma1 libudev1 liburing2"
  get $GAPK; for p in $GAPK; do dpkg-deb -x "$DL/${p}_"*.deb "$W/p"; done
fi
cp "$W/k/boot/vmlinuz-$KV" "$OUT/vmlinuz"
depmod -b "$W/k" "$KV"
R=$W/root; rm -rf "$R"
mkdir -p "$R"/{bin,sbin,etc/acpi/PWRF,proc,sys,dev,run,tmp,data,root,usr/bin,usr/sbin,usr/share/udhcpc,var/log,lib/modules/$KV,lib64,var/run,mnt}
cp "$W/p/bin/busybox" "$R/bin/busybox"
for a in $("$W/p/bin/busybox" --list); do [ "$a" = busybox ] || ln -sf busybox "$R/bin/$a"; done
ln -s ../bin/busybox "$R/sbin/init"; ln -s ../bin/modprobe "$R/sbin/modprobe"; ln -s ../bin/busybox "$R/sbin/hwclock"
# ---- modules: the ones wanted plus their dependencies
WANT="virtio_pci virtio_blk virtio_net virtio_console virtio_scsi virtio_balloon virtio_rng virtio_input virtio_mem virtiofs
 button evdev psmouse sd_mod sr_mod isofs vfat nls_cp437 nls_ascii nls_utf8 nls_iso8859-1 ata_piix ata_generic ahci ext4 nvme
 e1000 e1000e 8139cp 8139too pcnet32 ne2k-pci vmxnet3 xhci-pci ehci-pci uhci-hcd usbhid hid-generic usb-storage uas
 sym53c8xx mptspi megaraid_sas acpi_memhotplug 9p 9pnet_virtio fuse bochs virtio-gpu qxl cirrus"
[ "$FLAVOUR" = generic ] || WANT="${WANT% bochs*}"
M=$R/lib/modules/$KV
for m in $WANT; do modprobe -d "$W/k" -S "$KV" --show-depends "$m" 2>/dev/null || true; done |
  awk '$1=="insmod"{print $2}' | sort -u | while read -r f; do
    rel=${f#*"/lib/modules/$KV/"}; mkdir -p "$M/$(dirname "$rel")"; cp "$f" "$M/$rel"; done
cp "$W/k/lib/modules/$KV"/modules.{order,builtin,builtin.modinfo} "$M/" 2>/dev/null || true
depmod -b "$R" "$KV"; rm -f "$M"/modules.*.bin "$M"/modules.{order,builtin.modinfo,devname,softdep,symbols}
if [ -n "${SSH:-}" ]; then  # dropbear sshd, keys from the cidata user-data
  DBPK="dropbear-bin libtomcrypt1 libtommath1 libcrypt1 zlib1g libgmp10 libc6"; get $DBPK; for p in $DBPK; do dpkg-deb -x "$DL/${p}_"*.deb "$W/p"; done
  mkdir -p "$R/lib/x86_64-linux-gnu"; cp "$W/p/usr/sbin/dropbear" "$R/usr/sbin/"; cp "$W/p/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$R/lib64/"
  for l in libtomcrypt.so.1 libtommath.so.1 libcrypt.so.1 libz.so.1 libgmp.so.10 libc.so.6; do f=$(find "$W/p" -name "$l" | head -1); cp -L "$f" "$R/lib/x86_64-linux-gnu/$l"; done
  echo /bin/sh > "$R/etc/shells"
fi
# ---- guest agent + its libraries (dereferenced)
if [ "$GA" = ga ]; then
  cp "$W/p/usr/sbin/qemu-ga" "$R/usr/sbin/"
  mkdir -p "$R/lib/x86_64-linux-gnu"; cp "$W/p/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$R/lib64/"
  for l in libudev.so.1 libnuma.so.1 liburing.so.2 libglib-2.0.so.0 libgmodule-2.0.so.0 libm.so.6 libc.so.6 libpcre2-8.so.0 libnss_files.so.2; do
    f=$(find "$W/p" -name "$l" | head -1); cp -L "$f" "$R/lib/x86_64-linux-gnu/$l"; done
fi
# ---- configuration
cat > "$R/etc/os-release" <<E
ID=tinyguest
NAME="Tiny Guest"
PRETTY_NAME="Tiny Guest (Debian $KV, busybox)"
VERSION_ID=1
E
echo 'root::0:0:root:/root:/bin/sh' > "$R/etc/passwd"; echo 'root:x:0:' > "$R/etc/group"; echo tiny > "$R/etc/hostname"
echo 'root::19000:0:99999:7:::' > "$R/etc/shadow"
cat > "$R/etc/inittab" <<'E'
::sysinit:/etc/rcS
ttyS0::respawn:-/bin/sh
tty1::respawn:-/bin/sh
::ctrlaltdel:/bin/reboot
::shutdown:/etc/rcK
E
cat > "$R/init" <<'E'
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; mount -t tmpfs run /run
exec /sbin/init
E
cat > "$R/etc/rcS" <<'E'
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
say() { echo "TINY $*"; for t in ttyS0 tty1; do [ -c /dev/$t ] && echo "TINY $*" >/dev/$t; done 2>/dev/null; echo "TINY $*" >>/run/log; }
exec </dev/null >/dev/null 2>&1
mdev -d                                              # hot-plug: loads modules, brings new NICs/CPUs up
coldplug() { find /sys/devices -name modalias | xargs cat | sort -u | xargs modprobe -a -q; }
coldplug; coldplug                                   # twice: virtio devices appear behind virtio_pci
modprobe -a -q sd_mod sr_mod evdev button ext4
hostname -F /etc/hostname; ip link set lo up
acpid -c /etc/acpi -l /run/acpid.log                                # busybox acpid: power button through /dev/input/event*
i=0; while [ $i -lt 10 ] && [ ! -e /sys/class/block/vda ] && [ ! -e /sys/class/block/sda ]; do grep -qE 'virtio_blk|sd_mod' /proc/modules && [ $i -gt 1 ] && break; sleep 0.1; i=$((i+1)); done
d=$(findfs LABEL=TINYDATA) && mount $d /data && say "data $d $(cat /data/marker 2>/dev/null)"
for l in cidata CIDATA; do c=$(findfs LABEL=$l) && break; done
if [ -n "$c" ]; then modprobe -a isofs vfat; mkdir -p /run/cidata /mnt; mount -o ro $c /mnt && {
  say "cidata $c"; cp /mnt/* /run/cidata/; umount /mnt                       # unmounted again, so that the tray is not locked
  for f in meta-data user-data network-config; do [ -f /run/cidata/$f ] && sed "s/^/TINY $f: /" /run/cidata/$f | tee -a /run/log >/dev/ttyS0; done
  h=$(sed -n 's/^local-hostname: *//p;s/^hostname: *//p' /run/cidata/meta-data /run/cidata/user-data | head -1); [ -n "$h" ] && hostname "$h"
  mkdir -p -m 700 /root/.ssh; grep -ohE '(ssh-(ed25519|rsa)|ecdsa-[^ ]+) [A-Za-z0-9+/=]+.*' /run/cidata/user-data >/root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys
  pw=$(sed -n 's/^password: *//p' /run/cidata/user-data); [ -n "$pw" ] && echo "root:$pw" | chpasswd; }; fi
[ -x /usr/sbin/dropbear ] && { mkdir -p /etc/dropbear; dropbear -R -p 22; }
for n in /sys/class/net/*; do n=${n##*/}; [ $n = lo ] || /etc/netup $n & done
/etc/ga &
read up x </proc/uptime
say "READY host=$(hostname) kernel=$(uname -r) cpus=$(nproc) memkb=$(awk '/MemTotal/{print $2}' /proc/meminfo) up=$up"
E
cat > "$R/etc/netup" <<'E'
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
ip link set $1 up
exec udhcpc -b -i $1 -t 5 -T 2 -A 5 -S -x hostname:$(hostname) -p /run/udhcpc.$1.pid -s /usr/share/udhcpc/default.script >/run/udhcpc.$1.log 2>&1
E
cat > "$R/usr/share/udhcpc/default.script" <<'E'
#!/bin/sh
case $1 in
 deconfig) ip addr flush dev $interface 2>/dev/null; ip link set $interface up;;
 bound|renew) ip addr replace $ip/${mask:-24} dev $interface
   [ "$1" = bound ] && { for r in $router; do ip route replace default via $r dev $interface; done
   : >/etc/resolv.conf; for s in $dns; do echo nameserver $s >>/etc/resolv.conf; done
   read up x </proc/uptime; m="TINY dhcp $interface $ip/$mask gw=$router up=$up"; echo $m >>/run/log; echo $m >/dev/ttyS0; echo $m >/dev/tty1; };;
esac 2>/dev/null
exit 0
E
cat > "$R/etc/ga" <<'E'
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
[ -x /usr/sbin/qemu-ga ] || exit 0
for p in /sys/class/virtio-ports/*; do
 if [ "$(cat $p/name 2>/dev/null)" = org.qemu.guest_agent.0 ]; then
   exec qemu-ga -d -m virtio-serial -p /dev/${p##*/} -f /run/qga.pid -t /run -F/etc/fsfreeze-hook -l /run/qga.log >/dev/null 2>&1; fi; done
E
cat > "$R/etc/fsfreeze-hook" <<'E'
#!/bin/sh
echo "TINY fsfreeze-hook $1" >/dev/ttyS0
E
cat > "$R/etc/mdev.conf" <<'E'
SUBSYSTEM=cpu;.* 0:0 660 @/etc/hot cpu
$MODALIAS=.* 0:0 660 @/etc/hot mod
SUBSYSTEM=net;.* 0:0 660 @/etc/hot net
SUBSYSTEM=memory;.* 0:0 660 @/etc/hot mem
SUBSYSTEM=virtio-ports;.* 0:0 660 @/etc/ga
SUBSYSTEM=block;.* 0:0 660 @/etc/hot blk
E
cat > "$R/etc/hot" <<'E'
#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
[ "$ACTION" = add ] || exit 0
case $1 in
 mod) modprobe -q "$MODALIAS";;
 net) [ -e /run/log ] && grep -q READY /run/log && { echo "TINY hotplug net $MDEV" >/dev/ttyS0; /etc/netup $MDEV & };;
 cpu) echo 1 >/sys/$DEVPATH/online; echo "TINY hotplug cpu $DEVPATH" >/dev/ttyS0;;
 mem) echo online >/sys/$DEVPATH/state;;
 blk) [ -e /run/log ] && grep -q READY /run/log && echo "TINY hotplug block $MDEV $(cat /sys/$DEVPATH/size)" >/dev/ttyS0;;
esac 2>/dev/null
E
printf '#!/bin/sh\necho "TINY power button" >/dev/ttyS0\nexec /bin/poweroff\n' > "$R/etc/acpi/PWRF/00000080"
printf '#!/bin/sh\necho "TINY shutdown" >/dev/ttyS0\n[ -e /data/lost+found ] && umount /data\nsync\n' > "$R/etc/rcK"
cat > "$R/sbin/shutdown" <<'E'
#!/bin/sh
# what qemu-ga's guest-shutdown calls: shutdown -P|-H|-r -h +0
for a; do case $a in -r) exec /bin/reboot;; -H) exec /bin/halt;; esac; done; exec /bin/poweroff
E
cat > "$R/usr/sbin/chpasswd" <<'E'
#!/bin/sh
# chpasswd [-e]: user:hash|password (qemu-ga guest-set-user-password)
while IFS=: read -r u p; do [ "$1" = -e ] || p=$(mkpasswd -m sha512 "$p"); sed -i "s|^$u:[^:]*:|$u:$p:|" /etc/shadow; done
E
chmod 755 "$R/init" "$R"/etc/{rcS,rcK,netup,ga,hot,fsfreeze-hook} "$R/etc/acpi/PWRF/00000080" "$R/sbin/shutdown" "$R/usr/sbin/chpasswd" "$R/usr/share/udhcpc/default.script"
printf 'export PATH=/bin:/sbin:/usr/bin:/usr/sbin PS1="tiny# "\n' > "$R/etc/profile"
(cd "$R" && find . | LC_ALL=C sort | cpio -o -H newc --owner=0:0 --quiet) > "$W/initrd.cpio"
${COMP:-gzip -9n} < "$W/initrd.cpio" > "$OUT/initrd.img"
# ---- bootable disk: MBR + FAT16 p1 (syslinux) + ext4 p2 (label TINYDATA), no mount, no loop device
D=$W/disk.raw; P1=${P1MB:-48}; P2=${P2MB:-16}
rm -f "$D" "$W"/p?.img; truncate -s ${P1}M "$W/p1.img"; truncate -s ${P2}M "$W/p2.img"
mkfs.vfat -n TINYBOOT "$W/p1.img" >/dev/null 2>&1 || mformat -i "$W/p1.img" -v TINYBOOT -T $((P1*2048)) -h 64 -s 32 -H 2048 ::
cat > "$W/syslinux.cfg" <<E
default tiny
prompt 0
timeout 0
serial 0 115200
label tiny
 kernel /vmlinuz
 initrd /initrd.img
 append ${CMDLINE:-console=tty0 console=ttyS0 quiet panic=5}
E
mcopy -i "$W/p1.img" "$OUT/vmlinuz" "$OUT/initrd.img" "$W/syslinux.cfg" ::
syslinux --install "$W/p1.img"
mkdir -p "$W/d"; echo "seed-$(date +%s)" > "$W/d/marker"
mke2fs -q -t ext4 -L TINYDATA -O ^has_journal -d "$W/d" "$W/p2.img"
truncate -s $((P1+P2+1))M "$D"
printf '1M,%sM,6,*\n%sM,,83\n' "$P1" $((P1+1)) | sfdisk -q "$D"
dd if=/usr/lib/SYSLINUX/mbr.bin of="$D" bs=440 count=1 conv=notrunc status=none
dd if="$W/p1.img" of="$D" bs=1M seek=1 conv=notrunc,sparse status=none
dd if="$W/p2.img" of="$D" bs=1M seek=$((P1+1)) conv=notrunc,sparse status=none
qemu-img convert -q -c -O qcow2 "$D" "$OUT/tiny.qcow2"
ls -la "$OUT"/vmlinuz "$OUT"/initrd.img "$OUT"/tiny.qcow2; du -sh "$R" | cut -f1
[ -n "${KEEP:-}" ] || rm -rf "$W"
