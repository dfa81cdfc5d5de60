"""Lower bounds of a difference of paired shares (test_bound): the score statistic of Tango 1998 with the likelihood of
the four cells maximized numerically under the difference, not by his closed form. Prints the rows of the test's table.
Run where scipy is: python tools/golden/bound.py"""
from math import log, sqrt

from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm


def statistic(n, gained, lost, delta):
    same = n - gained - lost

    def unlikely(lost_share):
        gained_share = lost_share + delta
        rest = 1 - lost_share - gained_share
        value = 0.0
        for count, share in ((gained, gained_share), (lost, lost_share), (same, rest)):
            if count:
                value -= count * log(share) if share > 0 else -1e9
        return value

    least, most = max(0.0, -delta), (1 - delta) / 2
    q = minimize_scalar(unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-13}).x
    return (gained - lost - n * delta) / sqrt(n * (2 * q + delta - delta * delta))


for n, gained, lost, both, confidence in ((44, 0, 1, 43, 0.975), (100, 12, 5, 60, 0.95), (100, 5, 12, 60, 0.95),
                                          (30, 1, 1, 20, 0.95), (500, 40, 35, 300, 0.99), (12, 8, 0, 2, 0.9)):
    z = norm.ppf(confidence)
    top = (gained - lost) / n
    low = brentq(lambda d: statistic(n, gained, lost, d) - z, -0.999, top - 1e-9, xtol=1e-12)
    print(f"\t\t{{ {n}, {gained}, {lost}, {both}, {confidence}, {low:.9f} }},")
