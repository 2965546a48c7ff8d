"""The embedding store and querying it."""
