"""Identities over a panel, a chapter or a whole book: clusters of character instances under what is known of them,
names from a gallery, and the published protocols that measure how well instances are told apart.
"""
