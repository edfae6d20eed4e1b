"""Backpropagation itself as one self-contained HTML page: a run's δ flowing back, layer by layer and step by step."""
