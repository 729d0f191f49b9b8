"""`harness new plugin`: a distribution to start from, that passes its own tests at once."""
