"""Driver: graphs in the kernel: hooks, stubs, segments, pins, tables."""
