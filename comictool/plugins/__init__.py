"""The model contract: a model is a directory with a manifest."""
