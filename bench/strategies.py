#!/usr/bin/env python3
"""alab's strategies beside NumPy, SciPy and scikit-learn peers: one thread each, one run, taking turns.

usage: python3 bench/strategies.py build/release/bench_strategies [--only TEXT] [--rounds N] [--large]

Each case draws its arrays from a fixed seed, runs alab and the peer in turn and prints the median of the processor seconds of each, the ratio's
least, median and largest over the rounds, and what the issue asks for. Beside them stands the time that reading the embeddings once a pick takes
(bytes over the bandwidth measured in the same rounds), and the agreement of the picks: alab's picks are replayed in double precision, and the
worst shortfall from the best available is printed, relative to the range of what was available. Sampling strategies are replayed on the uniforms
that alab drew: each pick must hold the cumulated weight that the uniform points to, within 1e-6.

The peers are written here after the public implementations that the cases name; none of them is imported. Two kinds of rows: `clusters`, twenty
Gaussian classes as a trained network's last layer has them, and `sphere`, unit vectors without any structure, where nothing is near anything and
whoever would skip work by bounds has the least to go by. Memory is the peak of the whole process, arrays included."""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
os.environ.update(THREADS)  # before NumPy is loaded

import numpy as np
import scipy.stats
from sklearn.metrics.pairwise import cosine_similarity, pairwise_distances_argmin_min

POOL, WIDTH, CLASSES, LABELLED, BATCH = 50_000, 128, 20, 100, 100


# ---- arrays ----


def make_rows(kind, n, width=WIDTH, seed=3):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, width), dtype=np.float32)
    if kind == "clusters":
        rows += 2 * rng.standard_normal((CLASSES, width), dtype=np.float32)[rng.integers(CLASSES, size=n)]
    if kind == "sphere":
        rows *= np.float32(np.sqrt(width)) / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def make_probs(rows, seed=4):
    """A linear model's answers on the rows; half of them are near one class, the rest unsure."""
    rng = np.random.default_rng(seed)
    logits = rows @ (0.35 * rng.standard_normal((rows.shape[1], CLASSES), dtype=np.float32))
    p = np.exp(logits - logits.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


class Arrays:
    """rows (L first), labels of L, probs of U; saved where the C program reads them."""

    def __init__(self, folder, kind=None, n=POOL, labelled=LABELLED, probs=True, mc=None):
        self.folder, self.labelled, self.n = folder, labelled, n
        os.makedirs(folder)
        if kind:
            self.rows = make_rows(kind, n + labelled)
            np.save(folder + "/rows.npy", self.rows)
            np.save(folder + "/labels.npy", np.arange(labelled, dtype=np.int32) % CLASSES)
        if probs and kind:
            self.probs = make_probs(self.rows[labelled:])
            np.save(folder + "/probs.npy", self.probs)
        elif probs:
            self.probs = make_probs(make_rows("gaussian", n, 16))
            np.save(folder + "/probs.npy", self.probs)
        if mc is not None:
            self.mc = mc
            np.save(folder + "/mc.npy", mc)

    def bytes(self):
        return self.rows.nbytes if hasattr(self, "rows") else 0

    @property
    def pool(self):
        return self.rows[self.labelled :]

    @property
    def known(self):
        return self.rows[: self.labelled]


# ---- the peers ----


def k_center(x, k):
    """scikit-activeml's form: the distances to the newest centre by scikit-learn, the minimum with what was, a pick."""
    _, least = pairwise_distances_argmin_min(x.pool, x.known)
    picks = []
    for _ in range(k):
        picks.append(int(np.argmax(least)))
        _, distance = pairwise_distances_argmin_min(x.pool, x.pool[picks[-1:]])
        least = np.minimum(least, distance)
        least[picks] = -1
    return picks


def k_center_expanded(x, k):
    """The fastest that we could write in NumPy: norms once, one matrix-vector product a pick, float32."""
    norms = np.einsum("ij,ij->i", x.pool, x.pool)
    least = (norms[:, None] + np.einsum("ij,ij->i", x.known, x.known) - 2 * x.pool @ x.known.T).min(1)
    picks = []
    for _ in range(k):
        picks.append(int(np.argmax(least)))
        centre = picks[-1]
        np.minimum(least, norms + norms[centre] - 2 * (x.pool @ x.pool[centre]), out=least)
        least[picks] = -1
    return picks


def residuals(probs):
    a = probs.copy()
    a[np.arange(len(a)), a.argmax(1)] -= 1
    return a


def badge(x, draws):
    """The factored form that the later public implementations share: distances from a.a' and h.h', D^2 over Python's sum, and a discrete
    distribution of SciPy made anew for every draw (here asked for a given uniform)."""
    a, h = residuals(x.probs), x.pool
    own_a, own_h = np.sum(a**2, axis=1), np.sum(h**2, axis=1)
    picks, least = [int(draws[0])], None
    for u in draws[1:-1]:
        i = picks[-1]
        distance = own_a * own_h + own_a[i] * own_h[i] - 2 * (a @ a[i]) * (h @ h[i])
        distance = np.sqrt(np.clip(distance, 0, None)).astype(float)
        least = distance if least is None else np.minimum(least, distance)
        least[picks] = 0
        weight = least**2 / sum(least**2)
        picks.append(int(scipy.stats.rv_discrete(values=(np.arange(len(weight)), weight)).ppf(u)))
    return picks


def badge_searchsorted(x, draws):
    """The fastest that we could write in NumPy: the same products, then a cumulated sum and a binary search."""
    a, h = residuals(x.probs), x.pool
    own = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", h, h)
    picks, least = [int(draws[0])], None
    for u in draws[1:-1]:
        i = picks[-1]
        distance = np.clip(own + own[i] - 2 * (a @ a[i]) * (h @ h[i]), 0, None).astype(float)
        least = distance if least is None else np.minimum(least, distance)
        least[picks] = 0
        weight = np.cumsum(least)
        picks.append(int(np.searchsorted(weight, u * weight[-1], side="right")))
    return picks


def ranked_batch(x, k):
    """modAL's form: at each pick the distances of what is left to all that is labelled or picked."""
    uncertainty = 1 - x.probs.max(1)
    labelled, mask, picks = x.known, np.ones(len(x.pool), bool), []
    for _ in range(k):
        left = x.pool[mask]
        alpha = len(left) / (len(left) + len(labelled))
        _, distance = pairwise_distances_argmin_min(left, labelled, metric="euclidean")
        score = alpha * (1 - 1 / (1 + distance)) + (1 - alpha) * uncertainty[mask]
        pick = [i for i in range(len(mask)) if mask[i]][int(np.argmax(score))]
        mask[pick] = False
        labelled = np.vstack((labelled, x.pool[[pick]]))
        picks.append(pick)
    return picks


def density(x, k):
    """The N x N similarity matrix and its row means."""
    score = scipy.stats.entropy(x.probs, axis=1) * ((1 + cosine_similarity(x.pool)) / 2).mean(1)
    return np.argsort(-score, kind="stable")[:k].tolist()


def entropy(x, k):
    """modAL's and scikit-activeml's form: scipy.stats.entropy a row, then a partial sort."""
    score = scipy.stats.entropy(x.probs, axis=1)
    best = np.argpartition(-score, k)[:k]
    return best[np.argsort(-score[best], kind="stable")].tolist()


def batch_bald(x, k, samples=10_000, chunk=64):
    """batchbald_redux's form in NumPy (the public one needs torch): the joint entropy with every candidate at every pick from an explicit
    (chunk, M, C) tensor, exact while C^m <= samples, sampled after."""
    p = np.ascontiguousarray(x.mc.transpose(1, 0, 2)).astype(float)  # N x K x C
    n, passes, classes = p.shape
    conditional = -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=(1, 2)) / passes
    joint, weight, picks, scores, rng = np.ones((1, passes)), None, [], [], np.random.default_rng(0)
    for m in range(k):
        if m and classes**m <= samples:
            joint = (joint[:, None, :] * p[picks[-1]].T[None]).reshape(-1, passes)
        elif m:
            per = samples // passes
            log = np.zeros((passes, passes, per))
            for i in picks:  # for each pass its own draws, judged under every pass
                choice = np.stack([rng.choice(classes, per, p=p[i, t] / p[i, t].sum()) for t in range(passes)])
                log += np.log(np.maximum(p[i], 1e-300))[:, choice]
            joint = np.exp(log).reshape(passes, -1).T
            weight = joint.mean(1)[None, :, None] * len(joint)
        score = np.empty(n)
        for first in range(0, n, chunk):
            q = (joint @ p[first : first + chunk]) / passes  # chunk x M x C
            q *= np.log(np.maximum(q, 1e-300)) if weight is None else np.log(np.maximum(q, 1e-300)) / weight
            score[first : first + chunk] = -q.sum((1, 2))
        score -= conditional + conditional[picks].sum()
        score[picks] = -np.inf
        picks.append(int(np.argmax(score)))
        scores.append(float(score[picks[-1]]))
    return picks


# ---- agreement ----


def replay(picks, k, advance, score):
    """Worst shortfall of a pick from the best available, over the range of what was available."""
    worst, taken = 0.0, []
    for pick in picks[:k]:
        s = score()
        left = np.delete(s, taken) if taken else s
        worst = max(worst, (left.max() - s[pick]) / max(left.max() - left.min(), 1e-300))
        taken.append(pick)
        advance(pick)
    return "worst shortfall %.1e of the range" % worst


class Distances:
    def __init__(self, x):
        self.x, self.pool = x, x.pool.astype(float)
        self.norms = np.einsum("ij,ij->i", self.pool, self.pool)
        self.least = np.full(len(self.pool), np.inf)
        for row in x.known.astype(float):
            self.against(row)

    def against(self, row):
        np.minimum(self.least, self.norms + row @ row - 2 * self.pool @ row, out=self.least)

    def add(self, pick):
        self.against(self.pool[pick])

    def get(self):
        return np.sqrt(np.maximum(self.least, 0))


def agree_k_center(x, picks, scores, draws):
    d = Distances(x)
    return replay(picks, len(picks), d.add, d.get)


def agree_ranked(x, picks, scores, draws):
    d, taken = Distances(x), [0]
    uncertainty = 1 - x.probs.max(1).astype(float)

    def score():
        alpha = (len(x.pool) - taken[0]) / (len(x.pool) + x.labelled)
        return alpha * (1 - 1 / (1 + d.get())) + (1 - alpha) * uncertainty

    def advance(pick):
        taken[0] += 1
        d.add(pick)

    return replay(picks, len(picks), advance, score)


def agree_badge(x, picks, scores, draws):
    a, h, worst = residuals(x.probs).astype(float), x.pool.astype(float), 0.0
    own = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", h, h)
    least = np.full(len(a), np.inf)
    same = picks[0] == int(draws[0])
    for n in range(1, len(picks)):
        i = picks[n - 1]
        least = np.minimum(least, np.maximum(own + own[i] - 2 * (a @ a[i]) * (h @ h[i]), 0))
        least[i] = 0
        weight = np.cumsum(least) / least.sum()
        before = weight[picks[n] - 1] if picks[n] else 0.0
        worst = max(worst, before - draws[n], draws[n] - weight[picks[n]])
    return "first pick %s, worst miss of a uniform %.1e" % ("the same" if same else "DIFFERS", worst)


def agree_static(score):
    def agree(x, picks, scores, draws):
        s = score(x)
        return replay(picks, len(picks), lambda pick: None, lambda: s)

    return agree


def entropy_scores(x):
    p = x.probs.astype(float)
    p /= p.sum(1, keepdims=True)
    return -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=1)


def density_scores(x):
    unit = x.pool.astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return entropy_scores(x) * (1 + unit @ unit.mean(0)) / 2


def agree_batch_bald(x, picks, scores, draws):
    """The first picks are exact on both sides; the last one is sampled on each, so only the exact joint information of it is compared."""
    peer = batch_bald(x, len(picks) - 1)
    return "exact picks %s" % ("the same" if peer == picks[: len(peer)] else "%s, peer %s" % (picks[: len(peer)], peer))


# ---- running ----


class Alab:
    def __init__(self, program, strategy, k, params, folder):
        self.child = subprocess.Popen([program, strategy, str(k), json.dumps(params), folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True, env={**os.environ, **THREADS})
        self.k = k

    def ask(self, command, lines=1):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        out = [self.child.stdout.readline().split() for _ in range(lines)]
        if not out[-1]:
            sys.exit("strategies: the program ended")
        return out

    def seconds(self, command):
        return float(self.ask(command)[0][0])

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def spread(values, form="%.2f"):
    return " / ".join(form % v for v in (min(values), statistics.median(values), max(values)))


def run(program, title, strategy, k, x, rounds, peer=None, agree=None, params=None, target="", passes=0):
    alab = Alab(program, strategy, k, params or {}, x.folder)
    if rounds > 1:
        alab.seconds("select")  # neither side's first run counts
    draws = [float(v) for v in alab.ask("draws")[0]]
    if peer and rounds > 1:
        peer(x, draws if peer in (badge, badge_searchsorted) else k)
    mine, theirs, streams, ratios = [], [], [], []
    for _ in range(rounds):
        mine.append(alab.seconds("select"))
        if x.bytes():
            streams.append(alab.seconds("stream 4") / 4)
        if peer:
            start = time.process_time()
            peer(x, draws if peer in (badge, badge_searchsorted) else k)
            theirs.append(time.process_time() - start)
            ratios.append(theirs[-1] / mine[-1])
    found = alab.ask("picks", k)
    picks, scores = [int(p) for p, _ in found], [float(s) for _, s in found]
    memory = int(alab.ask("memory")[0][0])
    alab.close()
    print(title)
    print("    alab      %s s" % spread(mine, "%.4f"))
    if peer:
        print("    peer      %s s" % spread(theirs, "%.4f"))
        print("    ratio     %s" % spread(ratios))
    if streams:
        one = statistics.median(streams)
        text = "    stream    %.1f GB/s; %s once: %.4f s" % (x.bytes() / one / 1e9, "%.1f MB" % (x.bytes() / 1e6), one)
        if passes:
            text += "; once a pick: %.3f s, alab takes %s of it" % (passes * one, spread([m / (passes * s) for m, s in zip(mine, streams)]))
        print(text)
    print("    memory    %.0f MB" % (memory / 1e6))
    if target:
        print("    asked     %s" % target)
    if agree:
        print("    picks     %s" % agree(x, picks, scores, draws))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--only", default="", help="cases whose title holds this text")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="the 1,000,000 x 128 cases too (2 GB of disk, minutes)")
    args = parser.parse_args()
    names = {s for s in subprocess.run([args.program, "--list"], capture_output=True, text=True, check=True).stdout.split()}
    here = tempfile.mkdtemp(prefix="alab-bench-")
    made = {}

    def arrays(name, **given):
        if name not in made:
            for old in list(made):  # one at a time
                shutil.rmtree(made.pop(old).folder)
            made[name] = Arrays(os.path.join(here, name), **given)
        return made[name]

    def case(title, strategy, k, make, **more):
        if args.only in title and strategy in names:
            run(args.program, title, strategy, k, make(), more.pop("rounds", args.rounds), **more)

    try:
        for kind in ("clusters", "sphere"):
            make = lambda: arrays(kind, kind=kind)
            size = "%s rows, %s x %d, %d classes, %d labelled, batch %d" % (kind, format(POOL, ","), WIDTH, CLASSES, LABELLED, BATCH)
            case("k-center: " + size, "k-center", BATCH, make, peer=k_center, agree=agree_k_center, passes=BATCH,
                 target="ratio >= 6 (peer: one scikit-learn distance update a pick)")
            case("k-center beside the fastest NumPy: " + size, "k-center", BATCH, make, peer=k_center_expanded, passes=BATCH)
            case("badge: " + size, "badge", BATCH, make, peer=badge, agree=agree_badge, passes=BATCH, target="ratio >= 6 (peer: factored NumPy)")
            case("badge beside the fastest NumPy: " + size, "badge", BATCH, make, peer=badge_searchsorted, passes=BATCH)
            case("ranked-batch: " + size, "ranked-batch", BATCH, make, peer=ranked_batch, agree=agree_ranked, passes=BATCH,
                 target="ratio >= 20 (peer: modAL's form)", rounds=min(3, args.rounds))
        case("density: clusters, 10,000 x 128", "density", BATCH, lambda: arrays("density", kind="clusters", n=10_000), peer=density,
             agree=agree_static(density_scores), target="ratio >= 100 (peer: N x N cosine matrix)")
        case("entropy: 1,000,000 x 20", "entropy", BATCH, lambda: arrays("entropy", n=1_000_000, labelled=0), peer=entropy,
             agree=agree_static(entropy_scores), target="under 0.05 s")
        rng = np.random.default_rng(6)
        mc = lambda: rng.dirichlet(np.full(20, 0.3), size=(20, 2000)).astype(np.float32)
        case("batch-bald: N 2,000, K 20, C 20, batch 5", "batch-bald", 5, lambda: arrays("batch-bald", n=2000, labelled=0, probs=False, mc=mc()),
             peer=batch_bald, agree=agree_batch_bald, target="under 2 s and 200 MB (four picks exact in under 1 s)", rounds=min(2, args.rounds))
        case("batch-bald, the exact picks alone: N 2,000, K 20, C 20, batch 4", "batch-bald", 4, lambda: arrays("batch-bald", n=2000, labelled=0, probs=False, mc=mc()),
             target="under 1 s")
        if args.large:
            for kind in ("clusters", "sphere"):
                make = lambda: arrays("large-" + kind, kind=kind, n=1_000_000, probs=False)
                size = "%s rows, 1,000,000 x 128, 100 labelled, batch 100" % kind
                case("k-center: " + size, "k-center", BATCH, make, passes=BATCH, rounds=min(3, args.rounds), target="within 2 times the stream; under 4 GiB")
                case("typiclust: " + size, "typiclust", BATCH, make, rounds=1, target="under 300 s; under 4 GiB")
                case("probcover: " + size, "probcover", BATCH, make, rounds=1, params={"classes": CLASSES}, target="its candidate rule; under 4 GiB")
    finally:
        shutil.rmtree(here, ignore_errors=True)


main()
