"""TGIF-QA (Jang et al., CVPR 2017): questions about animated GIFs."""
