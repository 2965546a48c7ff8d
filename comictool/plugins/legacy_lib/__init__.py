"""Stands in for the package `lib` that plugins of the older character tool import from (only they see it)."""
