"""The kernel's own objects: libbpf, bpf(2), links, maps, programs; only datapath and telemetry import it."""
