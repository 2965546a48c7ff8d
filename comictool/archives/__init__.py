"""Comic files of every kind: what they are by content, which pages they hold in which order, and bounded reads."""
