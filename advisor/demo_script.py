"""Handwritten digits, a small network, plain SGD: it learns, but after 15 epochs it is wrong about every second digit.

Written by `advisor demo`. Nothing in here knows that: it is a script like any other. Change it and try again:

    advisor run train.py
    advisor fix train.py
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

torch.manual_seed(0)
torch.set_num_threads(1)

digits = load_digits()  # 1,797 real images of 8 × 8 pixels
x = torch.tensor(digits.data, dtype=torch.float32) / 16
y = torch.tensor(digits.target)
x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
train_loader = DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True)
val_loader = DataLoader(TensorDataset(x_val, y_val), batch_size=450)

model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
loss_fn = nn.CrossEntropyLoss()

for _ in advisor.watch(range(15), model, optimizer, loss_fn, train=train_loader, val=val_loader):
    model.train()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss_fn(model(x), y).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for x, y in val_loader:
            loss_fn(model(x), y)
