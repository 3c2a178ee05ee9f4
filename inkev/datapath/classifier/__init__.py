"""Ordered rules of an instance: rows to rules, to trees, to the arena that <inkev/classify.h> searches."""
