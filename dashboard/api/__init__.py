"""The REST face, assembled from the rooms."""
