"""Formats: manifest, archive, typed columns, BTF, layouts; pure, no kernel."""
