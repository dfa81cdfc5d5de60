#!/usr/bin/env python3
"""bounds: the numbers of test/unit/test_ladder.c, from SciPy: intervals of one look and of many.

usage: tools/golden/bounds.py          prints them as rows of C"""
from math import exp, lgamma, log, pi, sqrt

from scipy.optimize import brentq
from scipy.special import beta
from scipy.stats import norm


def wilson(s, n, alpha):
    z, p = norm.isf(alpha), s / n
    middle, half = p + z * z / 2 / n, z * sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def sequence(s, n, alpha):
    def ratio(p):
        return beta(0.5 + s, 0.5 + n - s) / pi / (p ** s * (1 - p) ** (n - s)) - 1 / alpha
    low = brentq(ratio, 1e-9, s / n) if s else 0
    high = brentq(ratio, s / n, 1 - 1e-9) if s < n else 1
    return low, high


def asymptotic(mean, stderr, n, alpha):
    l = -2 * log(alpha)
    rho2 = (l + log(l) + 1) / 100
    half = stderr * sqrt(n) * sqrt(2 * (n * rho2 + 1) / (n * n * rho2) * log(sqrt(n * rho2 + 1) / alpha))
    return mean - half, mean + half


for s, n, alpha in ((114, 120, .05), (3, 10, .05), (0, 7, .05), (9, 9, .1), (37.5, 60, .025)):
    print("wilson", s, n, alpha, *("%.15g" % x for x in wilson(s, n, alpha)))
for s, n, alpha in ((60, 100, .05), (3, 10, .1), (0, 7, .05), (9, 9, .1), (37.5, 60, .025)):
    print("sequence", s, n, alpha, *("%.12g" % x for x in sequence(s, n, alpha)))
for mean, stderr, n, alpha in ((2.5, .1, 100, .05), (0.3, .02, 400, .1)):
    print("mean", mean, stderr, n, alpha, *("%.15g" % x for x in asymptotic(mean, stderr, n, alpha)))
