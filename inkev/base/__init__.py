"""Errors, ids, limits and paths: what every layer may use; imports nothing of inkev above it."""
