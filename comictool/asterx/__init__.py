"""ASTERX: a panel's meaning from the panels around it, learnt by finding hidden panels and the direction of time.

Panels are frozen feature vectors here; what a window is stands in `windows`, what is learnt in `objective`.
"""
