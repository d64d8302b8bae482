"""
Where bots are born: a process that has everything imported, and forks a child for each life. So a life costs little.

It reads orders from standard input, one JSON object a line: ``{"live": {...}}`` or ``{"kill": LIFE_ID}``; it answers
``born ID`` and ``ended ID STATUS`` (as :func:`os.waitstatus_to_exitcode` has it). When its input ends, all ends.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import select
import signal
import sys
import traceback
from typing import Any

import anyio

from .bot import Aim, Order, live
from .kinds import KINDS

# Imported here and not in each child: what the libraries load when it is first used.
import anyio._backends._asyncio  # isort: skip
import httpcore  # noqa: F401  isort: skip

_PR_SET_PDEATHSIG = 1


def order_of(document: dict[str, Any]) -> Order:
    """Return the order that was sent as JSON."""
    aim = document.pop("aim")
    return Order(**document, aim=None if aim is None else Aim(**aim))


def _be_born(order: Order, inherited: list[int]) -> None:
    status = 1
    try:
        for descriptor in inherited:
            os.close(descriptor)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody is left behind
        anyio.run(live, order, KINDS[order.kind])
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ring)
    children: dict[int, int] = {}  # by process id
    rest = b""
    gc.collect()
    gc.freeze()
    while True:
        ready, _, _ = select.select([0, bell], [], [])
        if bell in ready:
            os.read(bell, 4096)
            while children:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                os.write(1, b"ended %d %d\n" % (children.pop(pid), os.waitstatus_to_exitcode(status)))
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                document = json.loads(line)
                if "kill" in document:
                    for pid, name in children.items():
                        if name == document["kill"]:  # not waited for yet: the id is its own
                            os.kill(pid, signal.SIGKILL)
                    continue
                pid = os.fork()
                if pid == 0:
                    _be_born(order_of(document["live"]), [0, 1, bell, ring])
                children[pid] = document["id"]
                os.write(1, b"born %d\n" % document["id"])
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
