"""Learned Fourier burst accumulation after Wieschollek, Schölkopf, Lensch and Hirsch (2016)."""

from burstfix.backends.base import Backend
from burstfix.backends.wieschollek.config import Config
from burstfix.backends.wieschollek.network import WieschollekNetwork

BACKEND = Backend(
    "wieschollek",
    Config,
    WieschollekNetwork,
    "learned Fourier burst accumulation (Wieschollek et al. 2016)",
)
