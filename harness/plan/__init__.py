"""From recipes to a run plan. Nothing here imports torch."""
