"""Degraded bursts with known truth, to train on and to measure with."""
