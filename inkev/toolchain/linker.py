"""The linker as the host sees it: digests, the cache of objects, and a worker for what is not in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from inkev.host.linking import LinkedObject, LinkRequest
from inkev.toolchain.cache import ObjectCache
from inkev.toolchain.messages import Order
from inkev.toolchain.process import Worker

LINKER_VERSION = 5
"""Part of every digest: raised with any change that makes other objects of equal requests."""


class BitcodeLinker:
    """Implements `inkev.host.linking.Linker` with llvmlite in a sandboxed process.

    Args:
        cache: a folder for linked objects; None keeps none.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = ObjectCache(cache) if cache is not None else None
        self._worker = Worker()

    def digest(self, request: LinkRequest, pipeline: str = "light-v3") -> str:
        """Return the digest the object would have, without linking."""
        digest = hashlib.sha256(f"inkev linker {LINKER_VERSION} {pipeline}\n".encode())
        for member in request.members:
            digest.update(hashlib.sha256(member.bitcode).digest())
        # The graph's name and the packages' folders change nothing of the object.
        members = tuple(msgspec.structs.replace(member, bitcode=b"", source_root="") for member in request.members)
        rest = msgspec.structs.replace(request, graph="", members=members)
        digest.update(msgspec.json.encode(msgspec.to_builtins(rest, str_keys=True), order="sorted"))
        return digest.hexdigest()

    def link(self, request: LinkRequest, pipeline: str = "light-v3") -> LinkedObject:
        """Return the object, from the cache where it is there.

        Raises:
            UserError: the bitcode cannot be linked; `linker-died` where LLVM ended its process.
        """
        digest = self.digest(request, pipeline)
        if self._cache is not None and (known := self._cache.find(digest)) is not None:
            return known
        linked = self._worker.link(Order(request=request, digest=digest, pipeline=pipeline))
        if self._cache is not None:
            self._cache.put(linked)
        return linked

    def warm(self) -> None:
        """Start the worker in the background."""
        self._worker.start()

    def close(self) -> None:
        """End the worker."""
        self._worker.stop()
