"""didemo: one paragraph for each unedited video from Flickr."""
