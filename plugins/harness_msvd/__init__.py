"""MSVD (Chen & Dolan, ACL 2011): text-video retrieval on 1970 short YouTube clips."""
