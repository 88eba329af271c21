"""The step between us and PostgreSQL: `python -I -S child.py MODE UID GID SIGNAL PROGRAM [ARGUMENTS…]`.

It becomes somebody who is not root, asks the kernel for a signal when its parent dies, and then *becomes* the program:
the process id stays that of our direct child. A program of its own instead of `preexec_fn`, because code between fork
and exec in a process with threads can deadlock, and because only a process with one thread may enter a user namespace.

MODE: `same` (stay who we are), `switch` (setuid to UID:GID), `namespace` (in a new user namespace where we are called
UID:GID; files stay owned by who we were). SIGNAL: what to get when the parent dies, 0 for none.
Linux only, but for `same`.
"""

from __future__ import annotations

import ctypes
import os
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    mode, uid, gid, death_signal, *command = arguments
    if mode == "switch":
        switch(int(uid), int(gid))
    elif mode == "namespace":
        enter_namespace(int(uid), int(gid))
    if int(death_signal):
        die_with_parent(int(death_signal))
    os.execv(command[0], command)  # noqa: S606 - becoming the given program is the purpose


def switch(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def enter_namespace(uid: int, gid: int) -> None:
    outer_uid, outer_gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        sys.exit(f"user namespaces are not allowed here: {os.strerror(ctypes.get_errno())}")
    for name, text in (
        ("setgroups", "deny"),  # the kernel demands it before gid_map
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def die_with_parent(death_signal: int) -> None:
    """After setuid, which clears the request; exec keeps it."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent died before we could ask for the signal")


if __name__ == "__main__":
    main(sys.argv[1:])
