"""What to say where the kernel refuses for want of privileges."""

from __future__ import annotations

import os

from inkev.base.errors import KernelError


def no_privileges(error: OSError, said: str = "") -> KernelError:
    """Return the error of a refused operation."""
    number = error.errno or 0
    return KernelError("no-privileges", "this needs privileges over the kernel's network and BPF", errno=number,
                       why=said or f"the kernel said: {os.strerror(number)}", hint="run it as root (sudo inkev ...)")
