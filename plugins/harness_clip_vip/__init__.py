"""CLIP-ViP (Xue et al., ICLR 2023, arXiv 2209.06430): video proxies inside CLIP's visual tower."""
