"""What theory predicts for a configuration, on its first batch: the arguments of `theory.predict`, from the config."""

from typing import Any

import numpy as np

from backscope.nn.initializers import sigma_w2
from backscope.nn.network import Network
from backscope.theory.profile import predict

Array = np.ndarray


def predicted(config: Any, network: Network, x: Array, y: Array) -> dict[str, Array]:
    """Quantities by layer, (L,), named like the probes, of the initialization on a batch x (B, n_in), y (B, n_out).

    Empty where there is no theory; quantities that are not finite in any layer are left out.
    """
    architecture, init = network.architecture, config.init
    found = predict(
        architecture.activation,
        weight_variances(init, network),
        x.astype(float),
        y.astype(float),
        depth=architecture.depth,
        width=architecture.width,
        sigma_b2=init.get("sigma_b2", init["bias_std"] ** 2),
        normalization=architecture.normalization,
        residual=architecture.residual,
        dropout=architecture.dropout,
        loss=architecture.loss,
        orthogonal=init["name"] in ("orthogonal", "lsuv"),
    )
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def weight_variances(init: Any, network: Network) -> list[float] | None:
    """σw² = n_in Var(W) of every layer; None for LSUV, whose scale depends on data."""
    if init["name"] == "lsuv":
        return None
    drawn = [sigma_w2(layer.n_out, layer.n_in, **init) for layer in network.layers]
    return [0.0 if index in init["zero_layers"] else value for index, value in enumerate(drawn, start=1)]
