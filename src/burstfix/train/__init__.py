"""Training: recipes, degraded data, one loop, and the evaluation of what came out."""
