"""Values for stats_summary.c, by SciPy 1.10 and NumPy 1.24 (Debian 12). Run: python3 tests/golden/stats_summary.py"""
import numpy as np
from scipy import optimize, stats

d = np.array([0.021, -0.013, 0.034, 0.008, 0.027, 0.015, -0.002, 0.041, 0.019, 0.011])
t = stats.ttest_1samp(d, 0)
half = stats.t.ppf(0.975, 9) * d.std(ddof=1) / np.sqrt(10)
print("mean %.17g low %.17g high %.17g p %.17g" % (d.mean(), d.mean() - half, d.mean() + half, t.pvalue))
print("wilcoxon", repr(stats.wilcoxon(d, mode="exact").pvalue))


def power(delta, n, alpha):
    c = stats.t.ppf(1 - alpha / 2, n - 1)
    ncp = delta * np.sqrt(n)
    return stats.nct.sf(c, n - 1, ncp) + stats.nct.cdf(-c, n - 1, ncp)


for n, alpha in ((10, 0.05), (5, 0.01), (30, 0.05 / 7)):
    print("detectable", n, alpha, repr(optimize.brentq(lambda x: power(x, n, alpha) - 0.8, 0.01, 20)))
