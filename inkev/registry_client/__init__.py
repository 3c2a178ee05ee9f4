"""Driver: package sources."""
