"""VATEX (Wang et al., ICCV 2019): text-video retrieval on ten-second clips, ten English sentences each."""
