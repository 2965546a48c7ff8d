"""The main path end to end: from comic files to a searchable library, and the demo of it."""
