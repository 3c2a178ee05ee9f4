"""The kernel's file descriptors as owned objects: each is closed exactly once, by whoever holds it."""

from __future__ import annotations

import os
import warnings
from types import TracebackType
from typing import Self


class Descriptor:
    """One owned file descriptor; closes itself at the end of a `with` block.

    An instance that is collected while open warns, which fails the tests: a forgotten descriptor keeps a program or
    a map alive that nobody can name any more.
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def closed(self) -> bool:
        """Whether the descriptor was given back."""
        return self._fd < 0

    def fileno(self) -> int:
        """Return the number, for a system call made at once; never store it.

        Raises:
            ValueError: the descriptor is closed.
        """
        if self._fd < 0:
            raise ValueError("the descriptor is closed")
        return self._fd

    def close(self) -> None:
        """Give the descriptor back; once closed, closing again does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            warnings.warn(f"{type(self).__name__} {self._fd} was never closed", ResourceWarning, stacklevel=1)
            self.close()
