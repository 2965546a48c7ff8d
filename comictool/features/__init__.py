"""Frozen features: the vectors that an encoder plugin gives to every panel or character, and how much they hold."""
