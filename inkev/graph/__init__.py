"""The pure model of graphs: read, validate, partition, diff; no I/O."""
