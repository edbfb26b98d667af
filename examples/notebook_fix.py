"""As in a notebook: a function that trains, handed to `advisor.fix`, without a script or a command line.

# %% marks the cells; run it as a whole with: python examples/notebook_fix.py
"""

# %% the data, once
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import advisor

digits = load_digits()
x_train, x_val, y_train, y_val = train_test_split(
    torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target), random_state=0
)


# %% a training, from the seed to the last epoch, so that it can be run again
def train():
    torch.manual_seed(0)
    train_loader = DataLoader(TensorDataset(x_train, y_train), batch_size=32, shuffle=True)
    val_loader = DataLoader(TensorDataset(x_val, y_val), batch_size=256)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters())  # PyTorch's default lr is 0.001: slow for SGD
    loss_fn = nn.CrossEntropyLoss()
    for _ in advisor.watch(range(10), model, optimizer, loss_fn, train=train_loader, val=val_loader):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss_fn(model(x), y).backward()
            optimizer.step()


# %% diagnose, try, verify
if __name__ == "__main__":
    found = advisor.fix(train, budget=20)

    # %% what was accepted: a plan, to be given to advisor.watch(..., plan=found.plan)
    print(found.plan)
