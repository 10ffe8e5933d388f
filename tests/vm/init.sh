#!/bin/busybox sh
# Pid 1 of the initramfs (machine.py): makes the root of the host the root of the virtual machine,
# under an overlay in memory, and hands over to systemd.
bb=/bin/busybox

fail() {
  echo "init: $*"
  $bb poweroff -f
}

$bb mkdir -p /proc /sys /dev /host /memory /new
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
for module in $($bb cat /modules/order); do
  $bb insmod "/modules/$module" || fail "the kernel does not take the module $module"
done

$bb mount -t virtiofs -o ro host /host || fail "the host's root cannot be mounted"
$bb mount -t tmpfs -o size=80% memory /memory
$bb mkdir /memory/upper /memory/work
$bb mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work root /new ||
  fail "the overlay cannot be mounted"
$bb mount -t virtiofs exchange /new/mnt || fail "the exchange cannot be mounted"

# What the host keeps in these is not the virtual machine's, and would be cleaned by it.
for folder in tmp var/tmp var/log; do
  $bb mount -t tmpfs -o mode=1777 "${folder#var/}" "/new/$folder"
done
# Where the host is a container, systemd would take the machine for one.
$bb rm -f /new/.dockerenv /new/run/.containerenv
# The host's services are not the machine's; the distribution's stay, but for those that wait for
# people or devices.
$bb rm -rf /new/etc/systemd/system /new/etc/rc?.d
wanted=/new/etc/systemd/system/multi-user.target.wants
$bb mkdir -p $wanted
for unit in dbus.service dbus.socket getty.target systemd-logind.service \
  systemd-user-sessions.service systemd-update-utmp.service \
  systemd-update-utmp-runlevel.service systemd-udevd.service systemd-udev-trigger.service; do
  $bb ln -s /dev/null "/new/etc/systemd/system/$unit"
done
$bb cp /new/mnt/checks.service /new/etc/systemd/system/ || fail "there is no checks.service"
$bb ln -s /etc/systemd/system/checks.service $wanted/

echo "init: handing over to systemd"
exec $bb switch_root /new /lib/systemd/systemd
