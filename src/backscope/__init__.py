"""backscope: see what backpropagation does to a gradient on its way down a network."""

__version__ = "0.1.0"
