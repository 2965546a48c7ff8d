"""Comic files and folders into page pictures and page records (`data import`)."""
