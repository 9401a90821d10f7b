"""Films: read frame by frame in linear light, and written with all that came with them."""

from burstfix.io.video.clip import BrokenClip, Clip, Picture, open_clip
from burstfix.io.video.encode import Codec, Encoding, choose_encoding
from burstfix.io.video.facts import ClipInfo

__all__ = [
    "BrokenClip",
    "Clip",
    "ClipInfo",
    "Codec",
    "Encoding",
    "Picture",
    "choose_encoding",
    "open_clip",
]
