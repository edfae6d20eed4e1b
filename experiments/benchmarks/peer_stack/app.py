"""The stack that a user would pick instead: PyTorch, Hydra with its basic launcher, MLflow's fluent logging.

Written as the three projects' own documentation suggests. It trains the networks of the default study and logs one
gradient norm a layer every `log_every` steps, and nothing else of what backscope measures. The store is the one that
MLFLOW_TRACKING_URI names.
"""

import hydra
import mlflow
import torch
from omegaconf import DictConfig, OmegaConf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
INITS = {
    "zeros": nn.init.zeros_,
    "constant": lambda weight: nn.init.constant_(weight, 0.01),
    "normal": lambda weight: nn.init.normal_(weight, std=0.01),
    "xavier": nn.init.xavier_normal_,
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def build(cfg: DictConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(cfg.depth):
        layers += [nn.Linear(cfg.width if index else 64, cfg.width), ACTIVATIONS[cfg.activation]()]
    net = nn.Sequential(*layers, nn.Linear(cfg.width, 10))
    for layer in net:
        if isinstance(layer, nn.Linear):
            INITS[cfg.init](layer.weight)
            nn.init.zeros_(layer.bias)
    return net


def load(seed: int) -> list[torch.Tensor]:
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=seed)
    mean, std = x_train.mean(axis=0), x_train.std(axis=0) + 1e-8
    inputs = [torch.tensor((part - mean) / std, dtype=torch.get_default_dtype()) for part in (x_train, x_test)]
    return inputs + [torch.tensor(part) for part in (y_train, y_test)]


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> None:
    torch.set_default_dtype(getattr(torch, cfg.dtype))
    torch.manual_seed(cfg.seed)
    x_train, x_test, y_train, y_test = load(cfg.seed)
    net = build(cfg)
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    optimizer = OPTIMIZERS[cfg.optimizer](net.parameters(), lr=cfg.lr[cfg.optimizer])
    loss_function = nn.CrossEntropyLoss()
    mlflow.set_experiment("peer")
    with mlflow.start_run():
        mlflow.log_params(OmegaConf.to_container(cfg))
        for step in range(cfg.steps):
            rows = torch.randint(len(x_train), (cfg.batch_size,))
            optimizer.zero_grad()
            loss = loss_function(net(x_train[rows]), y_train[rows])
            loss.backward()
            if step % cfg.log_every == 0:
                norms = {f"grad_norm/layer_{k:02d}": each.weight.grad.norm().item() for k, each in enumerate(linear, 1)}
                mlflow.log_metrics({"train/loss": loss.item()} | norms, step=step)
            optimizer.step()
        with torch.no_grad():
            correct = net(x_test).argmax(dim=1) == y_test
        mlflow.log_metric("test/accuracy", correct.float().mean().item())


if __name__ == "__main__":
    main()
