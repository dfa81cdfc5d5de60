"""The grids of the IQ1, IQ2 and IQ3 block types as words, from the Python package gguf: writes src/quant/grids.c.

A grid is a list of points of 8 (IQ1, IQ2) or 4 (IQ3) numbers of a few values; a point is one word here, the place of its
number i among the values at bits 2i (of three values) or 3i (of eight).

    tools/golden/quant_grids.py > src/quant/grids.c
"""
import numpy as np
from gguf import quants

GRIDS = [("iq1", quants.IQ1_S), ("iq2_xxs", quants.IQ2_XXS), ("iq2_xs", quants.IQ2_XS), ("iq2_s", quants.IQ2_S),
         ("iq3_xxs", quants.IQ3_XXS), ("iq3_s", quants.IQ3_S)]
WIDTH = 118


def words(cls):
    cls.init_grid()
    points = cls.grid.reshape(cls.grid_shape)
    values = np.array(cls.grid_map, dtype=np.float32)
    step = 2 if len(values) == 3 else 3
    place = (points[..., None] == values).argmax(-1)
    assert (values[place] == points).all()
    return (place << (step * np.arange(points.shape[1]))).sum(-1)


print("""/* grids: the points of IQ1, IQ2 and IQ3, see grids.h. Written by tools/golden/quant_grids.py from the tables of the
 * Python package gguf, which are those of ggml. */
#include "quant/grids.h"
""")
for name, cls in GRIDS:
    w = words(cls)
    print(f"const uint16_t grid_{name}[{len(w)}] = {{")
    line = ""
    for x in w:
        piece = f"{x},"
        if 8 + len(line) + len(piece) > WIDTH:
            print("\t" + line)
            line = ""
        line += piece
    print("\t" + line)
    print("};")
