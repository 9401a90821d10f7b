"""Files in and out: the only place with uint8, HWC, BGR, codecs and clipping."""
