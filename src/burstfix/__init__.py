"""Fuse a burst of hand-held photographs into one sharp, clean picture."""

__version__ = "0.1.0"
