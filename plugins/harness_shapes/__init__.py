"""shapes: an embedded data set of moving shapes that only the order of frames tells apart."""
