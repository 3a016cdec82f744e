"""The page's WebSocket: topics, permissions, sequence."""
