"""The network and how it learns: forward, backward, initializers, optimizers. NumPy only, one idea a file."""
