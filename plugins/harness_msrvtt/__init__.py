"""MSR-VTT (Xu et al., CVPR 2016): text-video retrieval on 10 000 YouTube clips."""
