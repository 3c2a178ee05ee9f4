"""The packet's context as IR: begun at a hook, saved before a stitch point, restored behind it."""

from __future__ import annotations

from inkev.toolchain import abi
from inkev.toolchain.abi import Side
from inkev.toolchain.ir_text import FunctionText

PKT = "%pkt"
CTX = "%ctx"
OFFSET_MASK = 0x1FF
"""IKV_OFFSET_MASK of <inkev/parse.h>: no header starts past it, and the verifier must know a bound."""


class Context:
    """Reads and writes `struct ikv_packet` of one walk."""

    def __init__(self, text: FunctionText, side: Side) -> None:
        self.text = text
        self.side = side
        self.block = ""

    def get(self, field: str) -> str:
        """Return a field of the packet."""
        offset, kind = abi.PACKET[field]
        return self.text.load(kind, PKT, offset)

    def set(self, field: str, value: int | str) -> None:
        """Write a field of the packet."""
        offset, kind = abi.PACKET[field]
        self.text.store(kind, value, PKT, offset)

    def read_bounds(self) -> str:
        """Read the frame's bounds from the hook's context; return its start."""
        data = self._pointer(self.side.data)
        # The kernel makes a whole pointer of what C reads as 32 bits; without this LLVM asks whether these are 0.
        self.text.do(f"call void @llvm.assume(i1 {self.text.let(f'icmp ne ptr {data}, null')})")
        self.set("data", data)
        self.set("end", self._pointer(self.side.end))
        return data

    def _pointer(self, offset: int) -> str:
        raw = self.text.load("i32", CTX, offset)
        return self.text.let(f"inttoptr i64 {self.text.let(f'zext i32 {raw} to i64')} to ptr")

    def forget_headers(self, data: str) -> None:
        """Let whoever asks next parse again.

        l3 and l4 stay pointers into the packet: the verifier refuses a NULL that meets one on a merged path.
        """
        for field in ("l3", "l4"):
            self.set(field, data)
        for field in abi.PARSED_FIELDS:
            self.set(field, 0)

    def kept(self, field: str) -> str:
        """Return a field of what lives in the block."""
        offset, kind = abi.SAVED[field]
        return self.text.load(kind, self.block, self.side.saved + offset)

    def keep(self, field: str, value: int | str) -> None:
        """Write a field of what lives in the block."""
        offset, kind = abi.SAVED[field]
        self.text.store(kind, value, self.block, self.side.saved + offset)

    def begin(self, data: str) -> None:
        """Start with a packet that nobody has looked at."""
        self.forget_headers(data)
        for field in ("mark", "tenant", "hash"):
            self.keep(field, 0)

    def refresh(self) -> None:
        """Read the packet again after code that may have changed anything of it."""
        self.forget_headers(self.read_bounds())
        self.keep("hash", 0)

    def is_carried(self) -> str:
        """Return an i1: the packet has crossed a stitch point, and what was known of it lies in the block."""
        bit = self.text.let(f"and i8 {self.kept('flags')}, {abi.FLAG_CARRIED}")
        return self.text.let(f"icmp ne i8 {bit}, 0")

    def forget_carried(self) -> None:
        """Let the next packet on this CPU be a new one."""
        self.keep("flags", 0)

    def restore(self, data: str) -> None:
        """Take over what the program before the stitch point knew."""
        for field in abi.PARSED_FIELDS:
            self.set(field, self.kept(field))
        self.forget_carried()
        for field in ("l3", "l4"):
            wide = self.text.let(f"zext i16 {self.get(f'{field}_offset')} to i64")
            self.set(field, self.text.within(data, self.text.let(f"and i64 {wide}, {OFFSET_MASK}")))

    def save(self) -> None:
        """Leave behind what is known, for the program behind the stitch point.

        What the parser found it has left in the block itself; where that is no longer true, `flags` says so.
        """
        self.keep("flags", self.text.let(f"or i8 {self.get('flags')}, {abi.FLAG_CARRIED}"))
