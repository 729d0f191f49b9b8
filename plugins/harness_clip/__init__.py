"""Image-text towers: CLIP and its relatives through open_clip, ViT and EVA through timm, tiny ones.

Importing this package imports no torch; :mod:`harness_clip.plugin` says what it offers.
"""
