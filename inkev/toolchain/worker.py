"""The worker process: takes orders on stdin, gives answers on stdout, one at a time, until stdin closes.

`python -m inkev.toolchain.worker`; started by `process.py`. LLVM lives here and nowhere else, behind `sandbox.py`.
"""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

import msgspec

from inkev.base.errors import InkevError
from inkev.toolchain.messages import LENGTH, MESSAGE_BYTES, Answer, Order, PlainFault, frame


def serve(orders: BinaryIO, answers: BinaryIO) -> None:
    """Answer every order until there are no more."""
    from inkev.toolchain.joining import join

    while head := orders.read(LENGTH.size):
        (length,) = LENGTH.unpack(head)
        if length > MESSAGE_BYTES:
            raise SystemExit(f"an order of {length} bytes")
        order = msgspec.msgpack.decode(orders.read(length), type=Order)
        try:
            answer = Answer(linked=join(order.request, order.digest, order.pipeline))
        except InkevError as error:
            answer = Answer(faults=tuple(PlainFault.of(fault) for fault in error.faults))
        answers.write(frame(answer))
        answers.flush()


def main() -> None:
    """Load LLVM, give up all rights, serve."""
    # stdout is the answers' pipe: whatever else prints must not reach it.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from inkev.toolchain import joining, sandbox

    joining.start_llvm()
    sandbox.confine()
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
