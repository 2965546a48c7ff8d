"""Self-supervised learning from several crops of a picture: parts that more than one recipe stands on."""
