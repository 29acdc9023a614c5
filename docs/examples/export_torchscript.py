# Two networks for `{name: torchscript}`: python3 export_torchscript.py FOLDER writes text.pt and image.pt.
# forward gives h, one row of float32 numbers an item; alab puts its own dropout and last layer behind it.
import sys

import torch
from torch import nn


class TextNet(nn.Module):
    """A convolution over WordPiece embeddings, averaged over the tokens that there are."""

    def __init__(self, width: int = 32, vocabulary: int = 30522):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.convolution = nn.Conv1d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # both n x T, int64
        keep = mask.unsqueeze(2).float()
        x = self.dropout(self.embedding(ids)) * keep
        y = x + torch.relu(self.convolution(x.transpose(1, 2))).transpose(1, 2)
        return (y * keep).sum(1) / keep.sum(1)


class ConvNet(nn.Module):
    """Two convolutions with batch norm, averaged over the image."""

    def __init__(self, channels: int = 1, width: int = 16):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.Dropout2d(0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # n x channels x height x width, -1 (black) to 1
        return self.layers(x).mean((2, 3))


if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    torch.manual_seed(1)
    torch.jit.script(TextNet()).save(folder + "/text.pt")
    torch.jit.script(ConvNet()).save(folder + "/image.pt")
