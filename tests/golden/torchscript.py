# Writes tests/golden/torchscript/*.pt and torchscript.json: TorchScript modules, what PyTorch computes with them, and what a plain PyTorch
# loop makes of them in a few optimiser steps. Run with PyTorch 1.13 (Debian's python3-torch): python3 tests/golden/torchscript.py
import json
import os
import zipfile

import torch
from torch import nn

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torchscript")
VOCABULARY, CLASSES = 60, 3
torch.set_num_threads(1)


class Text(nn.Module):
    """Tied weights, a recurrent layer, a frozen parameter, an integer buffer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 12)
        self.again = nn.Embedding(VOCABULARY, 12)
        self.again.weight = self.embedding.weight
        self.recurrent = nn.LSTM(12, 12, batch_first=True)
        self.scale = nn.Parameter(torch.full((12,), 0.5), requires_grad=False)
        self.gain = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("positions", torch.arange(16))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        keep = mask.unsqueeze(2).float()
        x = self.embedding(ids) * keep + torch.sin(self.positions[: ids.size(1)].float()).unsqueeze(1)
        y, _ = self.recurrent(x)
        return self.gain * ((y + self.again(ids)) * keep * self.scale).sum(1) / keep.sum(1)


class Image(nn.Module):
    """Batch norm with a running and a cumulative average, which divides by its integer counter."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 6, 3, stride=2, bias=False), nn.Conv2d(6, 8, 3, bias=False)
        self.norm_a, self.norm_b = nn.BatchNorm2d(6), nn.BatchNorm2d(8, momentum=None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm_a(self.a(x)))
        return torch.relu(self.norm_b(self.b(x))).mean((2, 3))


class Dropped(nn.Module):
    """Dropout of two kinds, of which a stochastic prediction switches on one: the other is no layer. A buffer that training assigns to."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(30, 10), nn.Tanh(), nn.Dropout(0.4))
        self.register_buffer("average", torch.zeros(10))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.dropout(self.layers(x), 0.2, self.training)
        if self.training:
            self.calls += 1
            self.average = 0.9 * self.average + 0.1 * h.detach().mean(0)
        return h + self.average


def save(script, name):
    """Without the entries that say where the sources lay."""
    path = os.path.join(FOLDER, name + ".pt")
    script.save(path)
    with zipfile.ZipFile(path) as archive:
        entries = [(e, archive.read(e)) for e in archive.namelist() if not e.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(zipfile.ZipInfo(entry), content)


def numbers(t):
    return [float("%.9g" % x) for x in t.detach().flatten().tolist()]


def case(name, module, given, labels, optimiser, rates):
    torch.manual_seed(7)
    script = torch.jit.script(module)
    save(script, name)
    script.eval()
    h = script(*given)
    head = nn.Linear(h.size(1), CLASSES)
    out = {"h": numbers(h), "width": h.size(1), "head": [numbers(head.weight), numbers(head.bias)]}
    everything = [p for p in list(script.parameters()) + list(head.parameters()) if p.requires_grad]
    groups = [{"params": [p for p in everything if p.dim() > 1], "weight_decay": 0.01},
              {"params": [p for p in everything if p.dim() <= 1], "weight_decay": 0.0}]
    step = torch.optim.AdamW(groups, lr=1.0) if optimiser == "adamw" else torch.optim.SGD(groups, lr=1.0, momentum=0.9)
    losses = []
    script.train()
    for rate in rates:
        for group in step.param_groups:
            group["lr"] = rate
        step.zero_grad()
        loss = nn.functional.cross_entropy(head(script(*given)), torch.tensor(labels))
        loss.backward()
        nn.utils.clip_grad_norm_(everything, 1.0)
        step.step()
        losses.append(float(loss))
    script.eval()
    out.update(optimiser=optimiser, rates=rates, labels=labels, losses=losses, h_after=numbers(script(*given)))
    out["tensors"] = {key: numbers(t) for key, t in script.state_dict().items() if t.dtype == torch.float32}
    out["tensors"].update({"(head).weight": numbers(head.weight), "(head).bias": numbers(head.bias)})
    return out


if __name__ == "__main__":
    torch.manual_seed(5)
    lengths = [3, 16, 7, 2, 11]
    texts = [torch.randint(1, VOCABULARY, (n,)) for n in lengths]
    ids = nn.utils.rnn.pad_sequence(texts, batch_first=True)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    pixels = torch.randint(0, 256, (6, 2, 9, 11), dtype=torch.uint8)
    cases = {"text": case("text", Text(), (ids, mask), [0, 2, 1, 0, 2], "sgd", [0.05, 0.1, 0.1, 0.02]),
             "image": case("image", Image(), ((pixels.float() / 255 - 0.5) / 0.5,), [0, 1, 2, 0, 1, 2], "adamw", [0.01, 0.02, 0.02, 0.005])}
    save(torch.jit.script(Dropped()), "dropped")
    cases["texts"] = [[int(i) for i in text] for text in texts]
    cases["pixels"] = [int(p) for p in pixels.flatten()]
    with open(FOLDER + ".json", "w") as out:
        json.dump(cases, out)
        out.write("\n")
