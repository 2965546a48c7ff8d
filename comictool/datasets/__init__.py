"""Training sets out of a corpus: crops, splits, packs, filters, safe names, checks and counts (`data ...`)."""
