"""inkev: a marketplace and package manager for eBPF network functions, and the engine that stitches them."""

__version__ = "0.1.0"
