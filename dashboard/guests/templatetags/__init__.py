"""Template tags of the guests room."""
