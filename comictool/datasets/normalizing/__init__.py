"""Giving comics names that are safe everywhere, over folders and annotations alike, and taking them back."""
