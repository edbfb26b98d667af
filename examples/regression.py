"""A regression on scikit-learn's diabetes data: mean squared error, R², and a number of one's own.

python examples/regression.py
advisor fix examples/regression.py --time 5m
"""

import argparse

import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=40)
arguments = parser.parse_args()

torch.manual_seed(0)
x, y = load_diabetes(return_X_y=True)
x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, random_state=0)
inputs, targets = StandardScaler().fit(x_train), StandardScaler().fit(y_train[:, None])


def dataset(x, y):
    columns = inputs.transform(x), targets.transform(y[:, None])
    return TensorDataset(*(torch.tensor(column, dtype=torch.float32) for column in columns))


train_loader = DataLoader(dataset(x_train, y_train), batch_size=32, shuffle=True)
val_loader = DataLoader(dataset(x_val, y_val), batch_size=256)

model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
loss_fn = nn.MSELoss()

watch = advisor.watch(range(arguments.epochs), model, optimizer, loss_fn, train=train_loader, val=val_loader)
for _ in watch:
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    model.eval()
    errors = []
    with torch.no_grad():
        for x, y in val_loader:
            output = model(x)
            loss_fn(output, y)
            errors.append((output - y).abs())
    watch.log(mae=torch.cat(errors).mean().item() * targets.scale_[0])  # in the units of the data
