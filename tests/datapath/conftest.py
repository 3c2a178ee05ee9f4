"""Every test here gives back each BPF descriptor that it took."""

from tests.descriptors import no_descriptor_is_leaked

__all__ = ["no_descriptor_is_leaked"]
