"""GPT-2 as GGUF: its four matrices of a block are [out][in] there, [in][out] in Hugging Face's files."""
import gguf

GGUF = gguf.MODEL_ARCH.GPT2
GGUF_READ = False  # their reader turns the names of attention's biases into others
GGUF_PRE = "gpt-2"


def gguf_config(w, c):
    w.add_layer_norm_eps(c.layer_norm_epsilon)


def is_turned(name, x):
    return x.ndim == 2 and ".c_" in name


def gguf_from(name, x, c):
    return x.T if is_turned(name, x) else x


gguf_back = gguf_from
