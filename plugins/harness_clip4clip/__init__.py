"""CLIP4Clip (Luo et al., arXiv 2104.08860): parameter-free and transformer heads over CLIP frames."""
