"""Theory: what should be measured, each function with its equation and source. NumPy and SciPy only."""
