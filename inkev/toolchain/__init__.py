"""Driver: C to bitcode, bitcode to linked segments."""
