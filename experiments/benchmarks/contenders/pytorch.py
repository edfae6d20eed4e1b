"""PyTorch as its tutorials write it; `fused` takes the fused CPU optimizer, `compiled` torch.compile."""

from collections.abc import Callable

import torch
from torch import nn

from ..cases import Case, batches, weights

torch.set_num_threads(1)
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}


class StackedLinear(nn.Module):
    """R independent linear layers in one batched product: (R, B, n_in) -> (R, B, n_out)."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(len(weight), 1, weight.shape[1], dtype=weight.dtype))

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, a, self.weight.mT)


def linear(weight: torch.Tensor, *, bias: bool) -> nn.Module:
    if len(weight) > 1:
        return StackedLinear(weight)
    layer = nn.Linear(weight.shape[2], weight.shape[1], bias=bias, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight[0])
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def network(case: Case) -> nn.Sequential:
    if case.normalization != "none" and case.replicas > 1:
        raise NotImplementedError("batch norm over stacked replicas")
    *hidden, head = [torch.from_numpy(w) for w in weights(case)]
    modules: list[nn.Module] = []
    for weight in hidden:
        modules.append(linear(weight, bias=case.normalization == "none"))
        if case.normalization == "batch_norm":
            modules.append(nn.BatchNorm1d(case.width, dtype=weight.dtype))
        modules.append(ACTIVATIONS[case.activation]())
    return nn.Sequential(*modules, linear(head, bias=True))


def make(case: Case, *, norms: bool, fused: bool = False, compiled: bool = False) -> Callable[[], None]:
    net = network(case)
    matrices = [m.weight for m in net if isinstance(m, nn.Linear | StackedLinear)]
    kind = torch.optim.Adam if case.optimizer == "adam" else torch.optim.SGD
    optimizer = kind(net.parameters(), lr=case.lr, fused=fused or None)
    x, y = (torch.from_numpy(array) for array in batches(case))
    if case.replicas == 1:
        x, y = x.squeeze(1), y.squeeze(1)
    trace = torch.empty(case.steps, len(matrices), case.replicas, dtype=x.dtype)

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return case.replicas * nn.functional.cross_entropy(net(x).flatten(0, -2), y.flatten())

    update = optimizer.step
    if compiled:
        torch._dynamo.reset()
        loss, update = torch.compile(loss), torch.compile(optimizer.step)

    def block() -> None:
        for step in range(case.steps):
            optimizer.zero_grad()
            loss(x[step], y[step]).backward()
            if norms:
                grads = [w.grad.view(case.replicas, -1) for w in matrices]
                trace[step] = torch.stack([torch.linalg.vector_norm(g, dim=1) for g in grads])
            update()

    return block
