"""X-Pool (Gorti et al., CVPR 2022, arXiv 2203.15086): a method in a distribution of its own."""
