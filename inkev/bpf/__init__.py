"""The kernel's objects: bpf(2), libbpf, maps, programs, links, pins; only datapath and telemetry import it."""
