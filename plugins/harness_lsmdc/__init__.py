"""lsmdc: short clips of films, each with a sentence of its audio description or script."""
