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
        for field in ("ether_type", "vlan", "l3_offset", "l4_offset", "l4_protocol", "flags"):
            self.set(field, 0)

    def begin(self, data: str) -> None:
        """Start with a packet that nobody has looked at."""
        self.forget_headers(data)
        for field in ("out_ifindex", "mark", "tenant", "hash", "hops"):
            self.set(field, 0)

    def refresh(self) -> None:
        """Read the packet again after code that may have changed anything of it."""
        self.forget_headers(self.read_bounds())
        self.set("hash", 0)

    def valid(self) -> str:
        """Return the mark that says whether a context was saved."""
        return self.text.load("i32", self.block, self.side.saved)

    def set_valid(self, value: int) -> None:
        """Write that mark."""
        self.text.store("i32", value, self.block, self.side.saved)

    def restore(self, data: str) -> None:
        """Take over what the program before the stitch point knew."""
        self.set_valid(0)
        for field, (offset, kind) in abi.SAVED.items():
            self.set(field, self.text.load(kind, self.block, self.side.saved + offset))
        for field in ("l3", "l4"):
            offset16 = self.get(f"{field}_offset")
            wide = self.text.let(f"zext i16 {offset16} to i64")
            self.set(field, self.text.at(data, self.text.let(f"and i64 {wide}, {OFFSET_MASK}")))

    def save(self, in_port: int) -> None:
        """Leave behind what is known, for the program behind the stitch point, which enters by `in_port`."""
        hops = self.text.let(f"add i8 {self.get('hops')}, 1")
        for field, (offset, kind) in abi.SAVED.items():
            given: dict[str, int | str] = {"in_port": in_port, "hops": hops}
            value = given[field] if field in given else self.get(field)
            self.text.store(kind, value, self.block, self.side.saved + offset)
        self.set_valid(1)
