"""Sessions whose batches are colour images, sequences or token ids, for the remedies that change those."""

from __future__ import annotations

import torch
from sessions import session_of
from torch import Tensor, nn

from advisor.remedies import Session


def photos(samples: int = 16, side: int = 32) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W) in [0, 1]."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(samples, 3, side, side, generator=generator), torch.arange(samples) % 3


def sequences(samples: int = 24) -> tuple[Tensor, Tensor]:
    """(N, 20 steps, 5 features)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(samples, 20, 5, generator=generator), torch.arange(samples) % 3


def texts(samples: int = 24) -> tuple[Tensor, Tensor]:
    """(N, 12) ids from 3 to 19 between 1 and 2, then padding of 0 to different lengths."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, 20, (samples, 12), generator=generator)
    ids[:, 0] = 1
    for row, length in enumerate(torch.randint(5, 12, (samples,), generator=generator).tolist()):
        ids[row, length - 1] = 2
        ids[row, length:] = 0
    return ids, torch.arange(samples) % 3


class Bag(nn.Module):
    """The mean of embeddings, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(20, 8, padding_idx=0), nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.out(self.embedding(ids).mean(1))
        return logits


def with_photos(epochs: int = 3) -> Session:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    return session_of(model, photos(), epochs=epochs)


def with_sequences(epochs: int = 3) -> Session:
    return session_of(nn.Sequential(nn.Flatten(), nn.Linear(100, 3)), sequences(), epochs=epochs)


def with_texts(epochs: int = 3) -> Session:
    return session_of(Bag(), texts(), epochs=epochs)
