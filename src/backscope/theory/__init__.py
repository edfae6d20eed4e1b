"""Theory: what should be measured, each function with its equation and source. NumPy and SciPy only.

For a whole configuration `profile.predict` says every layer's gradients and signals, with `forward` and `backward`
kernels. The rest are laws by themselves: `mean_field` (order, chaos, depth scales), `gains`, `finite_width`,
`jacobian`, `normalization`, `residual`, `shattering`, `dead_relu`, `constant_predictor` and `cost`.
"""
