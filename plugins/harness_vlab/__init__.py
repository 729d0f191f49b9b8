"""VLAB (He et al., IEEE Transactions on Multimedia 2025): video adapters, feature blending, three tasks."""
