"""Learned attention pooling over frames: a plugin in a distribution of its own."""
