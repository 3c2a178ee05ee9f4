"""The composition root and, later, the long-running service."""
