"""One vector of a panel from its picture, its words and its layout: Closure Lite as published, and objectives that
learn what the three have to do with each other.
"""
