"""A map for SentencePiece's "Precompiled" normalizer: a double-array trie as darts-clone lays it out, and base64."""
import base64
import struct


def build(pairs):
    """pairs: {text: what it becomes}. Greedy: every node's children get the first offset where all of them fit."""
    texts, places = b"", {}
    for to in pairs.values():
        places.setdefault(to, len(texts))
        texts += to.encode() + b"\0" if places[to] == len(texts) else b""
    trie = {}
    for key, to in pairs.items():
        node = trie
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[-1] = places[to]
    units, taken = {0: 0}, {0}

    def place(at, node):
        labels = sorted(0 if b < 0 else b for b in node)
        offset = next(o for o in range(1, 1 << 20) if all(at ^ o ^ b not in taken for b in labels))
        taken.update(at ^ offset ^ b for b in labels)
        units[at] |= offset << 10
        for byte, child in node.items():
            to = at ^ offset ^ max(byte, 0)
            if byte < 0:
                units[at] |= 1 << 8
                units[to] = child | 1 << 31
            else:
                units[to] = byte
        for byte, child in node.items():
            if byte >= 0:
                place(at ^ offset ^ byte, child)

    place(0, trie)
    size = max(units) + 256
    blob = struct.pack("<I", 4 * size) + b"".join(struct.pack("<I", units.get(i, 0)) for i in range(size)) + texts
    return base64.b64encode(blob).decode()
