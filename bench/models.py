"""BERT-tiny and the small ResNet-18 of alab beside the same networks written plainly in PyTorch, in one run on one thread.

usage: OMP_NUM_THREADS=1 python3 bench/models.py build/release/bench_models [SECONDS]

The peer is what a careful user of the Python frameworks would write: torch.nn modules, batches of 32 padded to their longest text, AdamW,
clipping, predictions under no_grad and sorted by length. Both draw the same lengths: a fixed one, then those of a text set as a long tail.
Programs take turns; a line each: what, alab's rows a second, the peer's, and the ratio."""
import math
import random
import subprocess
import sys
import tempfile
import time

import torch
from torch import nn

torch.set_num_threads(1)
program, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
WIDTH, HEADS, INNER, LAYERS, VOCABULARY, CLASSES, BATCH, ROWS = 128, 2, 512, 2, 20000, 20, 32, 2048


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.wide, self.narrow = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)
        self.drop = nn.Dropout(0.1)

    def forward(self, x, mask):
        n, t, _ = x.shape
        split = lambda y: y.view(n, t, HEADS, WIDTH // HEADS).transpose(1, 2)
        scores = split(self.query(x)) @ split(self.key(x)).transpose(2, 3) / math.sqrt(WIDTH // HEADS)
        p = self.drop(torch.softmax(scores + mask, -1))
        mixed = (p @ split(self.value(x))).transpose(1, 2).reshape(n, t, WIDTH)
        x = self.norm1(x + self.drop(self.out(mixed)))
        return self.norm2(x + self.drop(self.narrow(nn.functional.gelu(self.wide(x)))))


class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.positions, self.types = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(512, WIDTH), nn.Embedding(2, WIDTH)
        self.norm, self.drop = nn.LayerNorm(WIDTH, eps=1e-12), nn.Dropout(0.1)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, ids, lengths):
        t = ids.shape[1]
        mask = torch.where(torch.arange(t)[None, :] < lengths[:, None], 0.0, -1e9)[:, None, None, :]
        x = self.drop(self.norm(self.words(ids) + self.positions(torch.arange(t)) + self.types(torch.zeros_like(ids))))
        for layer in self.layers:
            x = layer(x, mask)
        return self.head(self.drop(x[:, 0]))


class Block(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        stride = 1 if before == after else 2
        self.conv1, self.norm1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.norm2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.short = nn.Identity() if stride == 1 else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x):
        y = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        return (y + self.short(x)).relu()


def resnet(channels, width):
    layers = [nn.Conv2d(channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    for stage in range(4):
        layers += [Block(width << max(stage - 1, 0), width << stage), Block(width << stage, width << stage)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(width << 3, CLASSES))


def timed(step, batches, whole):
    """Rows a second; whole: only full passes count, so that short texts do not stand for all."""
    done, i, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < seconds or (whole and i):
        step(*batches[i])
        done += BATCH
        i = (i + 1) % len(batches)
    return done / (time.perf_counter() - start)


def peer(model, batches, sorted_batches):
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model.train()

    def train(*inputs):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(*inputs), torch.arange(BATCH) % CLASSES).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    def predict(*inputs):
        with torch.no_grad():
            torch.softmax(model(*inputs), -1)

    rates = [timed(train, batches, False)]
    model.eval()
    return rates + [timed(predict, sorted_batches, True)]


def texts(lengths):
    out = []
    for i in range(0, ROWS, BATCH):
        part = torch.tensor(lengths[i : i + BATCH])
        out.append((torch.randint(VOCABULARY, (BATCH, int(part.max()))), part))
    return out


def compare(title, arguments, model, batches, sorted_batches):
    out = subprocess.run([program, *arguments, str(seconds)], check=True, capture_output=True, text=True).stdout.split()
    for what, mine, theirs in zip(("train", "predict"), (float(out[1]), float(out[3])), peer(model, batches, sorted_batches)):
        print("%-34s %-8s alab %8.1f/s   PyTorch %8.1f/s   ratio %5.2f" % (title, what, mine, theirs, mine / theirs), flush=True)


random.seed(1)
compare("BERT-tiny, 128 tokens", ["bert", "128"], Bert(), texts([128] * ROWS), texts([128] * ROWS))
mixed = [max(8, min(128, int(random.lognormvariate(4.2, 0.8)))) for _ in range(ROWS)]
with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    file.write("\n".join(map(str, mixed)))
    file.flush()
    compare("BERT-tiny, 8 to 128 tokens", ["bert", file.name], Bert(), texts(mixed), texts(sorted(mixed)))
for side, channels in (28, 1), (32, 3):
    images = [(torch.randn(BATCH, channels, side, side),) for _ in range(ROWS // BATCH)]
    compare("ResNet-18, width 16, %dx%dx%d" % (side, side, channels), ["resnet", str(side), str(channels), "16"], resnet(channels, 16), images, images)
