"""Plug-in points and the pluggy host."""
