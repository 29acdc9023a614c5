#!/usr/bin/env python3
"""BERT-tiny and ResNet-18 of alab beside plain PyTorch loops: the same rows, weights and batches, one thread each, one run, taking turns.

usage: python3 bench/models.py build/release/bench_models [--only TEXT] [--rounds N] [--check]      (datasets fetched, in the project's root)

alab reads and tokenises a dataset, draws weights, and writes both to a folder; the peers load exactly these. The plain peer is what the public
active-learning frameworks run: torch.nn modules under Hugging Face's and torchvision's names, the whole vocabulary, every sequence padded to 128,
batches of 32, AdamW over all of it, clipping, predictions under no_grad. The careful one is the same network as a careful user runs it: batches
padded to their longest, predictions sorted by length and under inference_mode, AdamW's multi-tensor form; images in channels_last. Before anything is
timed the outputs are compared, and so are weights and losses after a few training steps without dropout: a difference beyond 1e-4 ends the run with
an error. Turns last about a second and alternate; training turns of all three take the same batches. Seconds are the processor's, so that other
work on the machine counts little. A ratio is alab's rows a second over the peer's in the same round: least / median / largest. GFLOP/s are of the
products that each side's own network asks for (three times a prediction's for a training step), beside the speed of a large square product of the
same OpenBLAS in the same rounds. --check compares the outputs on 64 random rows and times nothing; it needs no data."""
import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})  # before NumPy and PyTorch are loaded

import numpy as np
import torch
from torch import nn
from torch.nn import functional

torch.set_num_threads(1)
ROWS, BATCH, LONGEST, STEPS, RATE, TOLERANCE = 2048, 32, 128, 5, 2e-5, 1e-4


# ---- the networks ----


def bert(classes, width=128, heads=2, inner=512, layers=2, dropout=0.1, pooling="cls", vocabulary=30522):
    """Under the names of Hugging Face's modules, without the pooler, which neither side uses here."""

    def module(**parts):
        out = nn.Module()
        for name, part in parts.items():
            out.add_module(name, part)
        return out

    def norm():
        return nn.LayerNorm(width, eps=1e-12)

    def layer():
        attention = module(self=module(query=nn.Linear(width, width), key=nn.Linear(width, width), value=nn.Linear(width, width)),
                           output=module(dense=nn.Linear(width, width), LayerNorm=norm()))
        return module(attention=attention, intermediate=module(dense=nn.Linear(width, inner)), output=module(dense=nn.Linear(inner, width), LayerNorm=norm()))

    class Bert(nn.Module):
        def __init__(self):
            super().__init__()
            self.embeddings = module(word_embeddings=nn.Embedding(vocabulary, width), position_embeddings=nn.Embedding(512, width),
                                     token_type_embeddings=nn.Embedding(2, width), LayerNorm=norm())
            self.encoder = module(layer=nn.ModuleList(layer() for _ in range(layers)))
            self.classifier = nn.Linear(width, classes)
            self.drop = nn.Dropout(dropout)

        def attend(self, layer, x, mask):
            n, t, _ = x.shape
            parts = layer.attention._modules["self"]
            q, k, v = (part(x).view(n, t, heads, -1).transpose(1, 2) for part in (parts.query, parts.key, parts.value))
            p = torch.softmax(q @ k.transpose(2, 3) / (width // heads) ** 0.5 + mask, -1)
            return layer.attention.output.dense((self.drop(p) @ v).transpose(1, 2).reshape(n, t, width))

        def embed(self, ids, attended):
            e = self.embeddings
            mask = (1.0 - attended)[:, None, None, :] * -1e9
            x = e.word_embeddings(ids) + e.token_type_embeddings(torch.zeros_like(ids)) + e.position_embeddings(torch.arange(ids.shape[1]))
            x = self.drop(e.LayerNorm(x))
            for layer in self.encoder.layer:
                x = layer.attention.output.LayerNorm(x + self.drop(self.attend(layer, x, mask)))
                inner = functional.gelu(layer.intermediate.dense(x))
                x = layer.output.LayerNorm(x + self.drop(layer.output.dense(inner)))
            if pooling == "mean":
                return (x * attended[:, :, None]).sum(1) / attended.sum(1, keepdim=True)
            return x[:, 0]

        def forward(self, *inputs):
            return self.classifier(self.drop(self.embed(*inputs)))

    return Bert()


def resnet(classes, channels, width, stages, stem, dropout=0.2):
    """ResNet-18 under torchvision's names, of any width and number of stages, dropout before the head."""

    class Block(nn.Module):
        def __init__(self, before, after, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
            self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
            self.downsample = None
            if before != after:
                self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

        def forward(self, x):
            y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
            y = self.bn2(self.conv2(y))
            y += x if self.downsample is None else self.downsample(x)
            return functional.relu(y, inplace=True)

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            kernel, stride, padding = {"imagenet": (7, 2, 3), "3x3s2": (3, 2, 1), "3x3s1": (3, 1, 1)}[stem]
            self.conv1, self.bn1 = nn.Conv2d(channels, width, kernel, stride, padding, bias=False), nn.BatchNorm2d(width)
            self.stages, before = [], width
            for s in range(stages):
                after = width << s
                stage = nn.Sequential(Block(before, after, 2 if s else 1), Block(after, after, 1))
                self.add_module("layer%d" % (s + 1), stage)
                self.stages.append(stage)
                before = after
            self.fc, self.drop = nn.Linear(before, classes), nn.Dropout(dropout)

        def embed(self, x):
            x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
            if stem == "imagenet":
                x = functional.max_pool2d(x, 3, 2, 1)
            for stage in self.stages:
                x = stage(x)
            return x.mean((2, 3))

        def forward(self, x):
            return self.fc(self.drop(self.embed(x)))

    return ResNet()


# ---- floating-point operations of the products ----


def bert_flops(lengths, pooling, classes=0, width=128, inner=512, layers=2):
    """Of one pass over rows of these lengths; pooling "all": as a plain loop has it, every token through every layer."""
    total, lengths = 0, np.asarray(lengths, dtype=np.int64)
    n, tokens, pairs = len(lengths), int(lengths.sum()), int((lengths**2).sum())
    for layer in range(layers):
        few = pooling == "cls" and layer + 1 == layers  # keys and values of all tokens, the rest of one
        rows, scores = (n, tokens) if few else (tokens, pairs)
        total += 2 * tokens * 2 * width * width + 2 * rows * (2 * width * width + 2 * width * inner) + 2 * 2 * scores * width
    return total + 2 * n * width * classes


def resnet_flops(model, images):
    """Of one pass over `images`, an image."""
    total = [0]

    def add(module, inputs, output):
        total[0] += 2 * output.numel() * module.weight[0].numel()

    hooks = [m.register_forward_hook(add) for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return total[0] / len(images)


# ---- the sides ----


def read_safetensors(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(size)), file.read()
    out = {}
    for name, facts in header.items():
        if name == "__metadata__":
            continue
        begin, end = facts["data_offsets"]
        out[name] = np.frombuffer(data[begin:end], {"F32": "<f4", "I32": "<i4"}[facts["dtype"]]).reshape(facts["shape"])
    return out


class Alab:
    def __init__(self, program, arguments, rows, folder):
        self.child = subprocess.Popen([program, *arguments, str(rows), folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.read()

    def read(self):
        line = self.child.stdout.readline()
        if not line:
            sys.exit("models: the program ended")
        return line.split()

    def ask(self, command):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        return [float(v) for v in self.read() if v != "written"]

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def optimiser_of(model, rate, **more):
    """Weight decay of matrices alone, as BERT's authors have it."""
    groups = [{"params": [p for p in model.parameters() if (p.dim() > 1) == matrix], "weight_decay": 0.01 * matrix} for matrix in (True, False)]
    return torch.optim.AdamW(groups, lr=rate, **more)


class Peer:
    """One model and the inputs of all rows. careful: see above."""

    def __init__(self, make, rows, careful, dropping=True, rate=1e-5):
        self.rows, self.careful = rows, careful
        self.model = make(**({} if dropping else {"dropout": 0.0}))
        self.model.load_state_dict(rows.weights, strict=True)
        if careful and rows.images:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.optimiser = optimiser_of(self.model, rate, **({"foreach": True} if careful else {}))

    def batch(self, which):
        inputs = self.rows.inputs(which, self.careful)
        return [x.contiguous(memory_format=torch.channels_last) for x in inputs] if self.careful and self.rows.images else inputs

    def train(self, first, count):
        self.model.train()
        losses, begin = [], time.process_time()
        for b in range(first, first + count):
            which = np.arange(BATCH) + b * BATCH % len(self.rows)
            self.optimiser.zero_grad()
            loss = functional.cross_entropy(self.model(*self.batch(which)), self.rows.labels[which])
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimiser.step()
            losses.append(loss.item())
        return time.process_time() - begin, losses

    def predict(self, first, count):
        """Probabilities and h of `count` rows from `first` on."""
        self.model.eval()
        begin, n = time.process_time(), len(self.rows)
        order = np.argsort(self.rows.lengths, kind="stable") if self.careful else np.arange(n)
        order = order[(first + np.arange(count)) % n]
        probs, h = [], []
        with torch.inference_mode() if self.careful else torch.no_grad():
            for i in range(0, count, BATCH):
                state = self.model.embed(*self.batch(order[i : i + BATCH]))
                head = self.model.classifier if hasattr(self.model, "classifier") else self.model.fc
                probs.append(torch.softmax(head(state), -1))
                h.append(state)
            probs, h = torch.cat(probs).numpy(), torch.cat(h).numpy()
        return time.process_time() - begin, probs, h


class Rows:
    """What the program wrote."""

    def __init__(self, folder):
        self.folder = folder
        load = lambda name: np.load("%s/%s.npy" % (folder, name))
        self.labels = torch.from_numpy(load("labels").astype(np.int64))
        self.images = os.path.exists(folder + "/pixels.npy")
        weights = {k: torch.from_numpy(v.copy()) for k, v in read_safetensors(folder + "/weights.safetensors").items() if not k.startswith("pooler.")}
        if self.images:
            pixels = torch.from_numpy(load("pixels"))
            self.pixels = (pixels.float() / 255 - 0.5) / 0.5
            self.lengths = np.zeros(len(self.labels), int)
            for name in [k for k in weights if k.endswith("running_var")]:
                weights[name.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
        else:
            ids, begin = load("ids"), load("begin")
            self.lengths = np.diff(begin)
            self.ids = torch.zeros(len(self.lengths), LONGEST, dtype=torch.int64)  # [PAD]
            self.attended = torch.zeros(len(self.lengths), LONGEST)
            for i, length in enumerate(self.lengths):
                self.ids[i, :length] = torch.from_numpy(ids[begin[i] : begin[i + 1]].astype(np.int64))
                self.attended[i, :length] = 1
        self.weights = weights

    def __len__(self):
        return len(self.labels)

    def inputs(self, which, careful):
        if self.images:
            return [self.pixels[which]]
        longest = int(self.lengths[which].max()) if careful else LONGEST
        return [self.ids[which, :longest], self.attended[which, :longest]]


# ---- equal outputs ----


def compare(alab, plain, make, rows):
    """Worst differences of probabilities, h, and after training steps of losses and weights; ends the run beyond the tolerance."""
    alab.ask("outputs")
    _, probs, h = plain.predict(0, len(rows))
    p_gap = np.abs(probs - np.load(rows.folder + "/probs.npy")).max()
    h_gap = np.abs(h - np.load(rows.folder + "/h.npy")).max()
    mine = np.array(alab.ask("steps %d %g" % (STEPS, RATE)))
    peer = Peer(make, rows, False, dropping=False, rate=RATE)
    _, theirs = peer.train(0, STEPS)
    trained, gap, moved, worst = read_safetensors(rows.folder + "/trained.safetensors"), 0.0, 0.0, ("", 0.0)
    kept = trained.pop("alab.token_ids", None)
    state = peer.model.state_dict()
    for name, values in trained.items():
        if name.startswith("pooler.") or name.endswith("self.key.bias"):  # a key's bias shifts all scores alike: its gradient is rounding alone
            continue
        start, end = rows.weights[name].numpy(), state[name].numpy()
        if name == "embeddings.word_embeddings.weight":
            start, end = start[kept], end[kept]
        gap += float(((values - end) ** 2).sum())
        moved += float(((end - start) ** 2).sum())
        worst = max(worst, (name, float(np.abs(values - end).max())), key=lambda w: w[1])
    loss_gap, drift = np.abs(mine - np.array(theirs)).max(), (gap / moved) ** 0.5
    print("    outputs   probabilities (%.3f to %.3f) within %.1e, h (largest %.1f) within %.1e" % (probs.min(), probs.max(), p_gap, np.abs(h).max(), h_gap))
    print("    %d steps   losses (%.3f to %.3f) within %.1e, weights within %.1e (%s), %.1e of the way they went"
          % (STEPS, theirs[0], theirs[-1], loss_gap, worst[1], worst[0], drift))
    if not (max(p_gap, h_gap, loss_gap, worst[1]) <= TOLERANCE and drift <= 1e-2):
        sys.exit("models: the two sides differ by more than %g, or trained weights by more than a hundredth of their way" % TOLERANCE)


# ---- turns ----


def spread(values, form="%.2f"):
    return " / ".join(form % v for v in (min(values), statistics.median(values), max(values)))


def turns_of(seconds, unit):
    return max(1, round(1.0 / max(seconds / unit, 1e-9)))


def run(program, title, arguments, make_of, rounds, asked):
    """rounds 0: nothing is timed."""
    with tempfile.TemporaryDirectory(prefix="alab-bench-") as folder:
        alab = Alab(program, arguments, ROWS if rounds else 2 * BATCH, folder)
        rows = Rows(folder)
        classes = int(read_safetensors(folder + "/weights.safetensors")["fc.bias" if arguments[0] == "resnet" else "classifier.bias"].size)
        make = lambda **more: make_of(rows, classes, **more)
        n, plain, careful = len(rows), Peer(make, rows, False), Peer(make, rows, True)
        used = "" if rows.images else ", %.1f tokens a row" % rows.lengths.mean()
        print("%s: %d%s rows%s" % (title, n, "" if rounds else " random", used))
        compare(alab, plain, make, rows)
        if not rounds:
            alab.close()
            return
        if rows.images:
            mine = theirs = n * resnet_flops(plain.model.eval(), rows.pixels[:BATCH])
        else:
            mine = bert_flops(rows.lengths, arguments[1], classes)
            theirs = bert_flops([LONGEST] * n, "all", classes)
        # no side's first turn counts; every batch once on alab's, so that its optimiser has all token rows to move
        alab.ask("train 0 %d" % (n // BATCH))
        quick = alab.ask("predict 1")[0]
        plain.train(0, 1), careful.train(0, 1)
        batches = min(n // BATCH, turns_of(plain.train(1, 2)[0], 2))
        count = min(n, BATCH * turns_of(plain.predict(0, 4 * BATCH)[0], 4))
        times = turns_of(quick, 1)
        careful.predict(0, BATCH)
        repeat = max(1, round(0.7 / alab.ask("train 0 %d" % batches)[0]))
        rates = {}
        for r in range(rounds):
            first = r * batches % (n // BATCH)
            keep = lambda key, value: rates.setdefault(key, []).append(value)
            keep("peak", alab.ask("sgemm 0 0 2048 2048 2048")[0])
            keep(("train", "alab"), repeat * batches * BATCH / sum(alab.ask("train %d %d" % (first, batches))[0] for _ in range(repeat)))
            keep(("train", "plain"), batches * BATCH / plain.train(first, batches)[0])
            keep(("train", "careful"), batches * BATCH / careful.train(first, batches)[0])
            keep(("predict", "alab"), times * n / alab.ask("predict %d" % times)[0])
            keep(("predict", "plain"), count / plain.predict(r * count, count)[0])
            keep(("predict", "careful"), n / careful.predict(0, n)[0])
        alab.close()
        peak = statistics.median(rates["peak"])
        print("    sgemm     %s GFLOP/s, 2048 x 2048 x 2048" % spread(rates["peak"], "%.1f"))
        for what, passes in ("predict", 1), ("train", 3):
            own, median = rates[what, "alab"], {side: statistics.median(rates[what, side]) for side in ("alab", "plain", "careful")}
            speed = {"alab": 1e-9 * passes * mine / n * median["alab"], "plain": 1e-9 * passes * theirs / n * median["plain"]}
            print("    %-9s alab %8.1f rows/s, %5.1f GFLOP/s (%.0f %% of sgemm); plain %8.1f rows/s, %5.1f GFLOP/s (%.0f %%)"
                  % (what, median["alab"], speed["alab"], 100 * speed["alab"] / peak, median["plain"], speed["plain"], 100 * speed["plain"] / peak))
            for side in "plain", "careful":
                ratios = [a / b for a, b in zip(own, rates[what, side])]
                print("              of %-7s %s%s" % (side, spread(ratios), "   asked %s" % asked[what] if side == "plain" and what in asked else ""))
        sys.stdout.flush()


def shapes(program):
    """sgemm of the very products of BERT-tiny on 32 rows of 128 tokens."""
    with tempfile.TemporaryDirectory(prefix="alab-bench-") as folder:
        alab = Alab(program, ["bert", "cls", "2", "random"], BATCH, folder)
        print("sgemm of BERT-tiny's products, GFLOP/s, each alone")
        for what, shape in (
            ("a large square, 2048", "0 0 2048 2048 2048"),
            ("query, key, value: 4096 x 384 x 128", "0 1 4096 384 128"),
            ("its weights' gradient: 384 x 128 x 4096", "1 0 384 128 4096"),
            ("attention's output: 4096 x 128 x 128", "0 1 4096 128 128"),
            ("wide, a block of rows: 256 x 512 x 128", "0 1 256 512 128"),
            ("narrow, a block of rows: 256 x 128 x 512", "0 1 256 128 512"),
            ("wide's gradient: 512 x 128 x 4096", "1 0 512 128 4096"),
            ("gradient of wide's input: 4096 x 128 x 512", "0 0 4096 128 512"),
            ("scores of a text and head: 128 x 128 x 64", "0 1 128 128 64"),
            ("their mix of values: 128 x 64 x 128", "0 0 128 64 128"),
            ("gradient of keys: 128 x 64 x 128", "1 0 128 64 128"),
            ("scores of one token: 1 x 128 x 64", "0 1 1 128 64"),
        ):
            print("    %-45s %s" % (what, spread([alab.ask("sgemm " + shape)[0] for _ in range(3)], "%.1f")))
        alab.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--only", default="", help="cases whose title holds this text")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="compare outputs on random rows, without data and timing")
    args = parser.parse_args()
    rounds = 0 if args.check else args.rounds
    given = lambda **spec: "random" if args.check else json.dumps(spec)
    for title, dataset, pooling, least, predict, train in (
        ("full documents: 20 Newsgroups, body, rows that fill the 128 tokens", {"name": "20newsgroups", "parts": "body"}, "cls", 128, "1.7", "1.6"),
        ("20 Newsgroups, body", {"name": "20newsgroups", "parts": "body"}, "cls", 2, "1.85, aim 2.1", "1.65, aim 1.8"),
        ("20 Newsgroups, body, mean pooling", {"name": "20newsgroups", "parts": "body"}, "mean", 2, "1.3", "1.15"),
        ("TREC", {"name": "trec"}, "cls", 2, "17, aim 20", "8, aim 10"),
        ("SUBJ", {"name": "subj"}, "cls", 2, "7.7, aim 9", "4, aim 5"),
    ):
        title = "BERT-tiny, " + title
        make = lambda rows, classes, pooling=pooling, **more: bert(classes, pooling=pooling, **more)
        if args.only in title:
            run(args.program, title, ["bert", pooling, str(least), given(**dataset)], make, rounds, {"predict": predict, "train": train})
    for title, dataset, width, stages, stem in (
        ("ResNet-18, width 16, stem 3x3s2: Fashion-MNIST, 28 x 28 x 1", "fashion-mnist", 16, 4, "3x3s2"),
        ("ResNet-18, width 16, stem 3x3s2: CIFAR-10, 32 x 32 x 3", "cifar-10", 16, 4, "3x3s2"),
        ("ResNet-18, width 64, three stages, stem imagenet: CIFAR-10", "cifar-10", 64, 3, "imagenet"),
    ):
        make = lambda rows, classes, width=width, stages=stages, stem=stem, **more: resnet(classes, rows.pixels.shape[1], width, stages, stem, **more)
        if args.only in title:
            run(args.program, title, ["resnet", str(width), str(stages), stem, given(name=dataset)], make, rounds, {"predict": "1", "train": "1"})
    if rounds and args.only in "sgemm of BERT-tiny's products":
        shapes(args.program)


main()
