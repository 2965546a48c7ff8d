"""What a comic is on disk: archives, page records, panels, reading order, drawn pages."""
