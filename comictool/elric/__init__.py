"""ELRIC: vectors of drawn characters by DINO, with the meaning of the panel around them added before the head."""
