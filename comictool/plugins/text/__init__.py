"""Encoders of texts that are built in."""
