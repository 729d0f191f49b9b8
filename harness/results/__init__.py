"""Ranks, statistics, records and the tables made from them. Nothing here imports torch."""
