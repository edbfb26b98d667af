"""A plain network on scikit-learn's digits, with the loop that every tutorial has. One line of it is advisor's.

python examples/mlp.py
advisor run examples/mlp.py -- --epochs 20
advisor fix examples/mlp.py --time 5m
"""

import argparse

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--lr", type=float, default=1e-3)
arguments = parser.parse_args()

torch.manual_seed(0)
digits = load_digits()
x = torch.tensor(digits.data, dtype=torch.float32) / 16  # pixels are 0 to 16
y = torch.tensor(digits.target)
x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
train_loader = DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True)
val_loader = DataLoader(TensorDataset(x_val, y_val), batch_size=256)

model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=arguments.lr)
loss_fn = nn.CrossEntropyLoss()

for epoch in advisor.watch(range(arguments.epochs), model, optimizer, loss_fn, train=train_loader, val=val_loader):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    model.eval()
    right = 0
    with torch.no_grad():
        for x, y in val_loader:
            output = model(x)
            loss_fn(output, y)
            right += (output.argmax(1) == y).sum().item()
    print(f"epoch {epoch}: {right} of {len(x_val)} right")
