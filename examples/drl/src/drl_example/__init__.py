"""DRL's weighted token-wise interaction (Wang et al., arXiv 2203.07111), in a distribution of its own."""
