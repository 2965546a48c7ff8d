"""Searching vectors: `query` (one path for stores and packs), `nearest` (exact), `text_query`, `duplicates`."""
