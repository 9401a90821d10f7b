"""Our network: any number of frames meet at every scale, and a deep trunk finishes the picture.

Each frame runs through a small U-Net whose blocks exchange their maximum and mean over the
frames. From its features come softmax weights over the frames, per pixel, scale and head, which
fuse the frames' Laplacian pyramids in linear light (a Fourier burst accumulation that varies over
the picture and is learned) and the features. A deep U-Net, which runs once, corrects the result.
"""

from burstfix.backends.set.config import Config
from burstfix.backends.set.network import BACKEND, SetNetwork

__all__ = ["BACKEND", "Config", "SetNetwork"]
