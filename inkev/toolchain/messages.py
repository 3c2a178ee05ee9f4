"""What the linker and its worker say to each other over pipes: length-prefixed MessagePack, both ends bounded."""

from __future__ import annotations

import struct

import msgspec

from inkev.base.errors import Fault
from inkev.host.linking import LinkedObject, LinkRequest

LENGTH = struct.Struct("<Q")
MESSAGE_BYTES = 512 << 20


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Link this."""

    request: LinkRequest
    digest: str
    pipeline: str


class PlainFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault as it crosses the pipe."""

    code: str
    message: str
    where: str = ""
    why: str = ""
    hint: str = ""

    @classmethod
    def of(cls, fault: Fault) -> PlainFault:
        """Return the fault in this form."""
        return cls(code=fault.code, message=fault.message, where=fault.where, why=fault.why, hint=fault.hint)

    def fault(self) -> Fault:
        """Return it as the error tree knows it."""
        return Fault(self.code, self.message, self.where, self.why, self.hint)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The object, or what is wrong with the order."""

    linked: LinkedObject | None = None
    faults: tuple[PlainFault, ...] = ()


def describe_request(request: LinkRequest) -> str:
    """Return the segment as error texts name it: by its instances, for its key is not always given to the linker."""
    names = ", ".join(dict.fromkeys(member.instance for member in request.members))
    return f"the segment of {names}" if names else "a segment without instances"


def frame(message: Order | Answer) -> bytes:
    """Return a message as it goes over the pipe."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body
