"""WebVid (Bain et al., ICCV 2021): stock videos with the text of their page, a training source."""
