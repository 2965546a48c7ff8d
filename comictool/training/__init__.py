"""One engine for every trained model: a readable loop, exact resume, and the parts that recipes share.

A recipe (`comictool.training.recipe`) says what is trained on what; `comictool.training.engine.train` does it.
"""
