"""``python -m tests.durability.alone ORDER``: one life in a process of its own, until standard input ends."""

from __future__ import annotations

import json
import os
import sys
import threading

import anyio

from .bot import live
from .kinds import KINDS
from .nursery import order_of


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    order = order_of(json.loads(sys.argv[1]))
    threading.Thread(target=_end_with_input, daemon=True).start()
    anyio.run(live, order, KINDS[order.kind])


if __name__ == "__main__":
    main()
