"""Your own videos: any folder of them, with their captions in csv or JSON files."""
