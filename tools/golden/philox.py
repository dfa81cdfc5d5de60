"""base/rng.c's random words: Philox4x32-10 (Salmon et al. 2011), keyed by a seed and a purpose."""
SHUFFLE, INIT, DROPOUT, SAMPLE, TEST, NOISE, MASK, FIM = range(1, 9)
W32, W64 = 2**32 - 1, 2**64 - 1


def _mix(x):
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & W64
    x = (x ^ x >> 27) * 0x94d049bb133111eb & W64
    return x ^ x >> 31


def units(seed, purpose, a, b, c):
    """The four words of a counter, each as a number of [0, 1)."""
    key = seed ^ _mix(purpose)
    k0, k1 = key & W32, key >> 32
    x = [a & W32, a >> 32, b, c]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [(p1 >> 32) ^ x[1] ^ k0, p1 & W32, (p0 >> 32) ^ x[3] ^ k1, p0 & W32]
        k0, k1 = (k0 + 0x9E3779B9) & W32, (k1 + 0xBB67AE85) & W32
    return [w / 2**32 for w in x]
