"""Frozen features as the methods read them (`backbone`), and how much they hold (`probing`)."""
