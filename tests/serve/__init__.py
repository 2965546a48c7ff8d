"""The server: pages, JSON, and what it refuses."""
