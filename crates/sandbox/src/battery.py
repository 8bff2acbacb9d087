"""Attempts to get out. Each tells the control descriptor its name, and then what came of it.

An attempt that ends in an error of the system has failed, which is good. One that returns
something has succeeded, and one that ends in any other way, or never, proves nothing: all of
these count as an escape.
"""

import ctypes
import errno
import json
import os
import resource
import socket
import sys
import time

AIMS = json.load(open("aims.json"))
CONTROL = int(sys.argv[-1])
LIBC = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
ATTEMPTS = []


def attempt(name, action):
    ATTEMPTS.append((name, action))


def tell(*words):
    os.write(CONTROL, json.dumps(words).encode() + b"\n")


def call(x86, other, *arguments):
    """A system call by its number. Whether it is there at all is what is asked."""
    number = x86 if X86 else other
    if number is None:
        raise OSError(errno.ENOSYS, "not on this machine")
    result = LIBC.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    if result == -1:
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EPERM, errno.EACCES):
            return f"the kernel looked at it: {errno.errorcode[code]}"
        raise OSError(code, os.strerror(code))
    return f"returned {result}"


def refused(name, x86, other, *arguments):
    attempt(name, lambda: call(x86, other, *arguments))


def read(path):
    with open(path, "rb") as file:
        return file.read(64) or "opened"


def write(path):
    with open(path, "ab") as file:
        file.write(b"x")
    return "written"


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


# First, while it has opened none itself.
attempt("inherited descriptors", lambda: [n for n in range(3, 64) if n != CONTROL and is_open(n)])

# Files.
SECRET = AIMS["secret"]
attempt("read a file outside", lambda: read(SECRET))
for path in (
    "/etc/passwd",
    "/etc/shadow",
    "/etc/hostname",
    "/proc/self/environ",
    "/proc/self/mem",
    "/proc/1/cmdline",
    f"/proc/{AIMS['service']}/environ",
    f"/proc/{AIMS['service']}/cmdline",
    "/proc/self/root/etc/passwd",
    "/sys/kernel/uevent_seqnum",
    "/dev/kmsg",
    "/dev/zero",
    "/dev/shm",
    "/dev/tty",
):
    attempt(f"read {path}", lambda path=path: read(path))
for path in ("/proc", "/sys", "/home", "/root", "/etc", "/var", AIMS["folder"]):
    attempt(f"list {path}", lambda path=path: os.listdir(path))
attempt("list the folder above", lambda: set(os.listdir("..")) - VISIBLE)
VISIBLE = {"box", "dev", "etc", "lib", "lib64", "usr", sys.prefix.split("/")[1]}
for path in (
    "/escaped",
    "/tmp/escaped",
    "/dev/shm/escaped",
    "/var/tmp/escaped",
    f"{AIMS['folder']}/escaped",
    "../escaped",
    SECRET,
    os.__file__,
    sys.executable,
    "/dev/urandom",
):
    attempt(f"write {path}", lambda path=path: write(path))
attempt("cut a file outside short", lambda: os.truncate(SECRET, 0) or "cut")
attempt("remove a file outside", lambda: os.unlink(SECRET) or "removed")
attempt("move the program out", lambda: os.rename("aims.json", "../aims.json") or "moved")
attempt("move it to a folder", lambda: os.rename("aims.json", AIMS["folder"] + "/a") or "moved")


def through_a_link():
    os.symlink(SECRET, "link")
    return read("link")


def through_a_hard_link():
    os.link(SECRET, "hard")
    return read("hard")


def through_a_folder():
    folder = os.open("..", os.O_PATH | os.O_DIRECTORY)
    os.open(SECRET.lstrip("/"), os.O_RDONLY, dir_fd=folder)
    return "opened"


def through_many_dots():
    return read("../" * 40 + SECRET.lstrip("/"))


attempt("a link to a file outside", through_a_link)
attempt("a hard link to a file outside", through_a_hard_link)
attempt("a folder's descriptor", through_a_folder)
attempt("many dots", through_many_dots)
attempt("a file without a name", lambda: os.open(".", os.O_RDWR | os.O_TMPFILE))
attempt("a named pipe", lambda: os.mkfifo("fifo") or "made")
attempt("a device", lambda: os.mknod("device", 0o20666, os.makedev(1, 1)) or "made")
attempt("change a file's mode", lambda: os.chmod("main.py", 0o4777) or "changed")
attempt("change a file's owner", lambda: os.chown("main.py", 0, 0) or "changed")
attempt("change a file's times", lambda: os.utime(SECRET) or "changed")
attempt("an extended attribute", lambda: os.setxattr("main.py", "user.x", b"x") or "set")
attempt("lock a file", lambda: call(73, 32, os.open(os.__file__, os.O_RDONLY), 1))
attempt("change the root", lambda: os.chroot(".") or "changed")
refused("mount", 165, 40, 0, 0, 0, 0, 0)
refused("umount", 166, 39, 0, 0)
refused("pivot_root", 155, 41, 0, 0)
refused("open_tree", 428, 428, -100, 0, 0)
refused("fsopen", 430, 430, 0, 0)
refused("move_mount", 429, 429, 0, 0, 0, 0, 0)
refused("mount_setattr", 442, 442, -1, 0, 0, 0, 0)
refused("openat2", 437, 437, -100, 0, 0, 0)
refused("name_to_handle_at", 303, 264, -100, 0, 0, 0, 0)
refused("open_by_handle_at", 304, 265, -1, 0, 0)
refused("fanotify_init", 300, 262, 0, 0)
refused("inotify_init1", 294, 26, 0)
refused("quotactl", 179, 60, 0, 0, 0, 0)


# Sockets.
def every_socket():
    """Nobody has a use for any: not the families that namespaces hold, nor those they do not."""
    made = []
    for family in range(64):
        for kind in (1, 2, 3, 4, 5):
            for protocol in (0, 1, 262):
                try:
                    socket.socket(family, kind, protocol).close()
                    made.append(f"{family}/{kind}/{protocol}")
                except OSError:
                    pass
    return ", ".join(made)


def connect(family, kind, address, protocol=0):
    with socket.socket(family, kind, protocol) as one:
        one.connect(address)
        one.send(b"x")
    return "connected"


attempt("a socket of any family", every_socket)
attempt("a pair of sockets", lambda: socket.socketpair())
TCP = ("127.0.0.1", AIMS["tcp"])
attempt("TCP", lambda: connect(socket.AF_INET, socket.SOCK_STREAM, TCP))
attempt("MPTCP", lambda: connect(socket.AF_INET, socket.SOCK_STREAM, TCP, 262))
attempt("UDP", lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, TCP))
attempt("a socket with a path", lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, AIMS["unix"]))
attempt(
    "a socket with a name",
    lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + AIMS["unix"]),
)
refused("io_uring_setup", 425, 425, 8, 0)
refused("io_uring_enter", 426, 426, -1, 0, 0, 0, 0, 0)

# Other processes.
SERVICE = AIMS["service"]
for name, pid in (("parent", os.getppid()), ("service", SERVICE)):
    if pid > 1:
        attempt(f"signal the {name}", lambda pid=pid: os.kill(pid, 0) or "allowed")
        refused(f"signal a thread of the {name}", 234, 131, pid, pid, 0)
        refused(f"queue a signal to the {name}", 129, 138, pid, 0, 0)
        refused(f"trace the {name}", 101, 117, 16, pid, 0, 0)
        refused(f"limit the {name}", 302, 261, pid, 7, 0, 0)
        refused(f"open the {name}", 434, 434, pid, 0)
attempt("signal everybody", lambda: os.kill(-1, 0) or "allowed")
attempt("signal its group", lambda: os.killpg(0, 0) or "allowed")
refused("process_vm_readv", 310, 270, SERVICE, 0, 0, 0, 0, 0)
refused("process_vm_writev", 311, 271, SERVICE, 0, 0, 0, 0, 0)
refused("kcmp", 312, 272, SERVICE, SERVICE, 0, 0, 0)
refused("pidfd_getfd", 438, 438, -1, 0, 0)
refused("tkill", 200, 130, SERVICE, 0)
refused("sched_setscheduler", 144, 119, SERVICE, 0, 0)
refused("sched_setaffinity", 203, 122, SERVICE, 0, 0)
refused("setpriority", 141, 140, 0, 0, -20)
refused("ioprio_set", 251, 30, 1, 0, 0)


# New processes.
def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return f"forked {pid}"


def fork_bomb():
    """Stops at the first that is refused, or soon after."""
    made = 0
    for _ in range(8):
        if os.fork() == 0:
            os._exit(0)
        made += 1
    return f"{made} processes"


def leave_somebody():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1)
        os._exit(0)
    return "left"


def clone_a_process():
    """Not by the C library, which has a way round."""
    got = call(56, 220, 17, 0, 0, 0, 0)
    if got == "returned 0":
        os._exit(0)
    return got


attempt("fork", fork)
attempt("a fork bomb", fork_bomb)
attempt("a process that is left behind", leave_somebody)
attempt("clone a process", clone_a_process)
refused("clone3", 435, 435, 0, 0)
attempt("a shell", lambda: os.posix_spawn("/bin/sh", ["sh", "-c", ":"], {}) or "ran")
refused("setsid", 112, 157)
refused("setpgid", 109, 154, 0, 0)

# Namespaces and the kernel.
for name, flag in (
    ("user", 0x10000000),
    ("mount", 0x00020000),
    ("network", 0x40000000),
    ("process", 0x20000000),
    ("IPC", 0x08000000),
    ("UTS", 0x04000000),
    ("cgroup", 0x02000000),
):
    refused(f"a nested {name} namespace", 272, 97, flag)
    # A combination that the kernel refuses, but only once it looks.
    refused(f"a thread in a {name} namespace", 56, 220, flag | 0x10100, 0, 0, 0, 0)
refused("setns", 308, 268, -1, 0)
refused("bpf", 321, 280, 0, 0, 0)
refused("perf_event_open", 298, 241, 0, 0, -1, -1, 0)
refused("userfaultfd", 323, 282, 0)
refused("keyctl", 250, 219, 0, -3, 0)
refused("add_key", 248, 217, 0, 0, 0, 0, -3)
refused("request_key", 249, 218, 0, 0, 0, -3)
refused("seccomp", 317, 277, 1, 0, 0)
refused("landlock_create_ruleset", 444, 444, 0, 0, 1)
refused("personality", 135, 92, 0xFFFFFFFF)
refused("modify_ldt", 154, None, 0, 0, 0)
refused("init_module", 175, 105, 0, 0, 0)
refused("finit_module", 313, 273, -1, 0, 0)
refused("kexec_load", 246, 104, 0, 0, 0, 0)
refused("reboot", 169, 142, 0, 0, 0, 0)
refused("syslog", 103, 116, 10, 0, 0)
refused("settimeofday", 164, 170, 0, 0)
refused("sethostname", 170, 161, 0, 0)
refused("acct", 163, 89, 1)
refused("swapon", 167, 224, 0, 0)
refused("a socket by the x32 ABI", 0x40000000 + 41, None, 2, 1, 0)
refused("getpid by the x32 ABI", 0x40000000 + 39, None)
refused("to outlive the launcher", 157, 167, 1, 0, 0, 0, 0)
refused("to be traced", 157, 167, 0x59616D61, -1, 0, 0, 0)

# Memory that no limit of a process counts, and memory beyond the limit.
refused("memfd_create", 319, 279, 0, 0)
refused("memfd_secret", 447, 447, 0)
refused("shmget", 29, 194, 0, 4096, 0o1600)
refused("msgget", 68, 186, 0, 0o1600)
refused("semget", 64, 190, 0, 1, 0o1600)
refused("mq_open", 240, 180, 0, 0, 0, 0)
refused("mlock", 149, 228, 0, 4096)


def reserve():
    import mmap

    return len(mmap.mmap(-1, AIMS["memory_bytes"] * 4))


attempt("to reserve more memory than its limit", reserve)


def raise_limit(which):
    resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "raised"


for limit in ("AS", "CPU", "FSIZE", "NOFILE", "CORE", "STACK", "MEMLOCK"):
    attempt(f"to raise {limit}", lambda limit=limit: raise_limit(getattr(resource, f"RLIMIT_{limit}")))


def a_large_file():
    with open("large", "wb", buffering=0) as file:
        left = AIMS["file_bytes"] + 1
        while left > 0:
            left -= file.write(b"x" * min(left, 1 << 20))
    return "written"


def many_descriptors():
    held = []
    try:
        while len(held) < 256:
            held.append(os.dup(0))
    finally:
        for descriptor in held:
            os.close(descriptor)
    return f"{len(held)} descriptors"


attempt("a file beyond its limit", a_large_file)
attempt("descriptors beyond their limit", many_descriptors)
attempt("a core file", lambda: resource.getrlimit(resource.RLIMIT_CORE)[1] and "allowed")

# Privileges.
attempt("to be root", lambda: os.setuid(0) or "done")
attempt("to be in root's group", lambda: os.setgid(0) or "done")
attempt("to be in other groups", lambda: os.setgroups([0]) or "done")
attempt("to keep root behind", lambda: os.setresuid(0, 0, 0) or "done")
refused("capset", 126, 91, 0, 0)
attempt("to run as root", lambda: os.getuid() == 0 or os.geteuid() == 0)
attempt("inherited environment", lambda: set(os.environ) - {"LANG", "HOME", "PATH", "LC_CTYPE"})

# Last, because whoever succeeds may make no other attempt.
attempt("a bytearray beyond its limit", lambda: len(bytearray(AIMS["memory_bytes"] * 2)))
refused("ptrace", 101, 117, 0, 0, 0, 0)
attempt("execute a shell", lambda: os.execv("/bin/sh", ["sh", "-c", ":"]))
attempt("execute true", lambda: os.execv("/usr/bin/true", ["true"]))
attempt("execute its own file", lambda: os.execv("aims.json", ["aims.json"]))
refused("execveat", 322, 281, -100, 0, 0, 0, 0)


def main():
    for name, action in ATTEMPTS:
        tell(name)
        try:
            got = action()
            outcome = f"succeeded: {got}" if got else None
        except (OSError, MemoryError, ValueError) as error:
            # `setrlimit` tells a refusal as a ValueError.
            refusal = not isinstance(error, ValueError) or "limit" in str(error)
            outcome = None if refusal else f"proves nothing: {error!r}"
        except BaseException as error:
            outcome = f"proves nothing: {error!r}"
        tell(name, outcome)


main()
