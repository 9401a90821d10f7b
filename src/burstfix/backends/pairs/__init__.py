"""What the networks of Zhang, Zhen and Stevenson (2019) for noisy and blurry pairs are made of."""
