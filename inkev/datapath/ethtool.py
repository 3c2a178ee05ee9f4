"""Offload settings of an interface, asked by ioctl (include/uapi/linux/ethtool.h)."""

from __future__ import annotations

import array
import fcntl
import socket
from struct import Struct

_SIOCETHTOOL = 0x8946
_REQUEST = Struct("16sQ16x")
_GET_TX_CHECKSUM = 0x16
_GET_GRO = 0x2B


def transmit_checksum(name: str) -> bool:
    """Return whether local senders leave checksums to the device (tx-checksumming)."""
    return _ask(name, _GET_TX_CHECKSUM)


def receive_offload(name: str) -> bool:
    """Return whether generic receive offload is on; a veth then uses NAPI."""
    return _ask(name, _GET_GRO)


def _ask(name: str, command: int) -> bool:
    value = array.array("I", [command, 0])
    request = _REQUEST.pack(name.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        try:
            fcntl.ioctl(control, _SIOCETHTOOL, request)
        except OSError:  # EOPNOTSUPP: the driver has no such setting; ENODEV: it is gone
            return False
    return bool(value[1])
