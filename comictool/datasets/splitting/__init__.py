"""Train, val and test: who goes where, and the folders that follow (`data split`)."""
