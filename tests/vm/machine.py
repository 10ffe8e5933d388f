"""A virtual machine with Debian's cloud kernel and this machine's own files.

Its root is the host's root, read-only over virtiofs, under an overlay in memory: whatever is
installed here is installed there, and nothing that it writes comes back. Its one way out is the
exchange, a folder of the host that it mounts at /mnt; /mnt/checks.service is what it runs.

The cpu is emulated, so neither nested virtualisation nor /dev/kvm is needed; mounts need root.
"""

import gzip
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# Where `make setup` unpacks the kernel, which is not this machine's own.
KERNEL = pathlib.Path(os.environ.get("TESSERA_VM_KERNEL", "/var/cache/tessera/vm-kernel"))
_QEMU = "qemu-system-x86_64"
_VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
_BUSYBOX = "/bin/busybox"
# In an order in which each finds what it depends on.
_MODULES = (
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci",
    "fs/fuse/fuse",
    "fs/fuse/virtiofs",
    "fs/overlayfs/overlay",
    "drivers/net/veth",
)


def _vmlinuz():
    found = sorted(KERNEL.glob("boot/vmlinuz-*"))
    return found[-1] if found else None


def why_not():
    """Why no machine can be booted here; "" when one can."""
    if os.geteuid() != 0:
        return "mounts for a virtual machine need root"
    for program in (_QEMU, _VIRTIOFSD, _BUSYBOX):
        if shutil.which(program) is None:
            return f"{program} is not installed; `make setup` does that"
    if _vmlinuz() is None:
        return f"no kernel is in {KERNEL}; `make setup` puts one there"
    return ""


class Machine:
    """Boots at the start of the `with`; all of it has ended, and its files are gone, at the end.

    `exchange` must hold checks.service. The machine may power itself off.
    """

    def __init__(self, exchange, memory_mib=2048, cpus=2):
        self.exchange = pathlib.Path(exchange)
        self.memory_mib = memory_mib
        self.cpus = cpus
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tessera-vm-"))
        self.console_path = self.folder / "console"
        self.processes = []

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exception):
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait(self, seconds):
        """Waits until the machine has powered itself off; False when it has not by then."""
        try:
            self.processes[-1].wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def console(self):
        """What kernel, initramfs and systemd have printed."""
        text = self.console_path.read_text(errors="replace") if self.console_path.exists() else ""
        return "\n".join(line.rstrip() for line in text.splitlines())

    def _boot(self):
        root = self.folder / "root"
        root.mkdir()
        host = self._share("host", f"mount --bind -o ro / '{root}'", root, "always")
        exchange = self._share("exchange", ":", self.exchange, "none")
        initramfs = self._initramfs()
        self._start(
            _QEMU,
            "-accel", "tcg,thread=multi",
            "-machine", "q35",
            "-cpu", "max",
            "-smp", str(self.cpus),
            "-m", str(self.memory_mib),
            "-object", f"memory-backend-memfd,id=memory,size={self.memory_mib}M,share=on",
            "-numa", "node,memdev=memory",
            "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none",
            "-serial", f"file:{self.console_path}",
            "-chardev", f"socket,id=host,path={host}",
            "-device", "vhost-user-fs-pci,chardev=host,tag=host",
            "-chardev", f"socket,id=exchange,path={exchange}",
            "-device", "vhost-user-fs-pci,chardev=exchange,tag=exchange",
            "-kernel", str(_vmlinuz()),
            "-initrd", str(initramfs),
            "-append",
            "console=ttyS0 loglevel=4 panic=-1 systemd.hostname=node systemd.show_status=0",
        )  # fmt: skip

    def _share(self, name, prepare, source, cache):
        """Serves a folder to the machine, from a mount namespace of its own; returns the socket."""
        socket = self.folder / f"{name}.socket"
        server = (
            f"{prepare} && exec {_VIRTIOFSD} --socket-path='{socket}' -o source='{source}'"
            f" -o sandbox=chroot -o cache={cache}"
        )
        process = self._start("unshare", "--mount", "sh", "-c", server)
        deadline = time.monotonic() + 10
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"virtiofsd does not serve: {self._log(process)}")
            time.sleep(0.02)
        return socket

    def _initramfs(self):
        """A compressed cpio archive of busybox, modules and init.sh."""
        tree = self.folder / "initramfs"
        for folder in ("bin", "modules"):
            (tree / folder).mkdir(parents=True)
        shutil.copy(_BUSYBOX, tree / "bin/busybox")
        version = _vmlinuz().name.removeprefix("vmlinuz-")
        for module in _MODULES:
            shutil.copy(KERNEL / f"lib/modules/{version}/kernel/{module}.ko", tree / "modules")
        (tree / "modules/order").write_text(
            "".join(f"{pathlib.Path(m).name}.ko\n" for m in _MODULES)
        )
        shutil.copy(pathlib.Path(__file__).parent / "init.sh", tree / "init")
        (tree / "init").chmod(0o755)
        names = [str(p.relative_to(tree)) for p in sorted(tree.rglob("*"))]
        archive = subprocess.run(
            [_BUSYBOX, "cpio", "-o", "-H", "newc"],
            cwd=tree,
            input="\n".join(names).encode(),
            capture_output=True,
            check=True,
        ).stdout
        path = self.folder / "initramfs.gz"
        path.write_bytes(gzip.compress(archive, 1))
        return path

    def _start(self, *command):
        log = self.folder / f"{len(self.processes)}.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _log(self, process):
        return (self.folder / f"{self.processes.index(process)}.log").read_text(errors="replace")

    def complaints(self):
        """What qemu and the file servers have said."""
        return "".join(self._log(process) for process in self.processes)
