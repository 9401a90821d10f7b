"""How frames lie to each other: homographies, sharpness, exposure, warping."""
