"""Ordered rules in a running instance: rows to rules, rules to trees, trees to the arena that <inkev/classify.h> searches."""
