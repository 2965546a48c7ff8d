"""Finding what is wrong in a corpus (`data verify`)."""
