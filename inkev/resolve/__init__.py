"""Versions and dependency resolution; pure."""
