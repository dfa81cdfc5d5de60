"""The golden Llama as llama.cpp splits a model, by gguf-py: test/golden/llama-split-0000N-of-00003.gguf, the same keys
and tensors as llama.gguf.

    python tools/golden/split_gguf.py test/golden
"""
import glob
import os
import sys

import gguf
import numpy as np

OUT = sys.argv[1] if len(sys.argv) > 1 else "test/golden"
PARTS = 3


def main():
    for old in glob.glob(f"{OUT}/llama-split-*.gguf"):
        os.remove(old)
    r = gguf.GGUFReader(f"{OUT}/llama.gguf")
    each = -(-len(r.tensors) // PARTS)
    w = gguf.GGUFWriter(f"{OUT}/llama-split.gguf", "llama", split_max_tensors=each)
    for key, field in r.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        w.add_key_value(key, field.contents(), kind, sub_type=field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    for t in r.tensors:
        w.add_tensor(t.name, np.array(t.data), raw_dtype=t.tensor_type)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    for name in glob.glob(f"{OUT}/llama-split-*.gguf"):
        os.chmod(name, 0o644)


if __name__ == "__main__":
    main()
