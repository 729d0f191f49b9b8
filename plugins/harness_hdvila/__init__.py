"""HD-VILA: clips of videos from the web, each with what is said in it."""
