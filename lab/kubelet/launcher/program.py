"""Becomes a container (`run`), or one more process in a running one (`enter`).

Started with two inherited descriptors: a file with the order (JSON) and a socket for the report. What it keeps true:

- the container's first process is number 1 of a process namespace of its own: all that it started ends with it;
- it dies with this program, and this program dies with the kubelet: nothing survives a killed kubelet;
- the report says `{"pid": N}` (as the host sees it) and, if a terminal was asked for, `{"terminal": true}` with its
  descriptor; then either the socket closes, when the command runs, or `{"error": ...}` comes first;
- it ends with the command's exit code, or 128 + the signal that ended it.
"""

# pathlib would add a tenth to the start-up time of every container:
# ruff: noqa: PTH103, PTH123

import fcntl
import json
import os
import signal
import socket
import struct
import sys
import termios
from typing import Any

from lab.kubelet.launcher import filesystem, kernel

Order = dict[str, Any]

_VIEW = kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC
# What a container runtime answers where the command could not be started; 126 and 127 would be a shell's answers.
START_FAILED = 128


def main() -> None:
    """Read the order, become what it says, and end as the command ends."""
    order_descriptor, report_descriptor = int(sys.argv[1]), int(sys.argv[2])
    with open(order_descriptor, encoding="utf-8") as file:
        order: Order = json.load(file)
    report = socket.socket(fileno=report_descriptor)
    report.set_inheritable(False)
    try:
        _separate(order)
    except OSError as error:
        _tell(report, {"error": f"namespaces: {error}"})
        sys.exit(START_FAILED)
    sys.exit(_start(order, report))


def _separate(order: Order) -> None:
    _die_with(order["parent"])
    if order["do"] == "enter":
        pidfd = os.pidfd_open(order["pid"])
        kernel.set_namespaces(pidfd, _VIEW)
        os.close(pidfd)
    else:
        _unshare_as(order["user"])
    _die_with(order["parent"])  # changing credentials cancels the first one


def _die_with(parent: int) -> None:
    kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() not in (parent, 0):  # 0: the parent is outside our process namespace, which is not so yet
        os._exit(START_FAILED)


def _unshare_as(user: int) -> None:
    """Enter new namespaces; root brings all its user ids, anyone else appears as `user`."""
    if os.geteuid() != 0:
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(_VIEW)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {uid} 1")
        _write("/proc/self/gid_map", f"{user} {gid} 1")
        return
    ready, go = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        os.close(go)
        os.read(ready, 1)
        os._exit(_map_all(os.getppid()))
    kernel.unshare(_VIEW)
    os.write(go, b"1")
    _, status = os.waitpid(mapper, 0)
    if status != 0:
        raise OSError("the user ids could not be mapped (/proc/PID/uid_map)")


def _map_all(pid: int) -> int:
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}", encoding="ascii") as file:
            ranges = [line.split() for line in file]
        _write(f"/proc/{pid}/{name}", "".join(f"{inside} {inside} {count}\n" for inside, _, count in ranges))
    return 0


def _start(order: Order, report: socket.socket) -> int:
    alive, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        _become(order, report, alive)
    os.close(alive)
    _tell(report, {"pid": child})
    report.close()
    for descriptor in (0, 1, 2):  # the container's own; kept here they would never be seen to close
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _become(order: Order, report: socket.socket, alive: int) -> None:
    try:
        if order["do"] == "run":
            socket.sethostname(order["hostname"])
            filesystem.build(order["steps"], order["place"])
            if order["read_only_root"]:
                kernel.make_read_only("/", recursive=False)
        _prepare(order, report, alive)
        _execute(order["command"], order["environment"])
    except (OSError, ValueError) as error:
        _tell(report, {"error": str(error)})
    os._exit(START_FAILED)


def _execute(command: list[str], environment: dict[str, str]) -> None:
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is meant
    except FileNotFoundError:
        raise OSError(f'exec: "{command[0]}": executable file not found in the container') from None
    except OSError as error:
        raise OSError(f'exec: "{command[0]}": {error.strerror}') from error


def _prepare(order: Order, report: socket.socket, alive: int) -> None:
    os.umask(0o022)
    os.setsid()
    if order["terminal"]:
        _take_terminal(order["terminal"], report)
    _change_user(order["user"], order["group"], order["groups"])
    os.makedirs(order["directory"], exist_ok=True)
    os.chdir(order["directory"])
    if order["no_new_privileges"]:
        kernel.gain_no_privileges()
    kernel.die_with_parent(signal.SIGKILL)
    os.set_blocking(alive, False)
    try:
        os.read(alive, 1)
        os._exit(START_FAILED)  # end of file: our starter was gone before the signal was arranged
    except BlockingIOError:
        os.close(alive)
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP) and not 32 <= number < 34:
            signal.signal(number, signal.SIG_DFL)


def _change_user(user: int, group: int, groups: list[int]) -> None:
    if os.getuid() == user and os.getgid() == group:
        return
    if os.getgid() != group:
        os.setgroups(groups)
        os.setgid(group)
    os.setuid(user)


def _take_terminal(size: dict[str, int], report: socket.socket) -> None:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    if size.get("rows"):
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size["rows"], size["columns"], 0, 0))
    socket.send_fds(report, [_line({"terminal": True})], [master])
    os.close(master)
    for descriptor in (0, 1, 2):
        os.dup2(slave, descriptor)
    os.close(slave)


def _tell(report: socket.socket, message: dict[str, Any]) -> None:
    report.sendall(_line(message))


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
