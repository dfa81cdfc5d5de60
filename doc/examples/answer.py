#!/usr/bin/env python3
"""answer: one question from Python, through the shared library and ctypes alone: nothing to install.

    python3 answer.py MODEL "QUESTION" [LIBRARY]

The structs are those of kungfu.h; what is not used here (reserved fields too) still has its place.
"""
import ctypes as c
import sys


class Error(c.Structure):
    _fields_ = [("status", c.c_int32), ("message", c.c_char * 1024)]


class Message(c.Structure):
    _fields_ = [("role", c.c_char_p), ("content", c.c_char_p)]


class Sampling(c.Structure):
    _fields_ = [(name, c.c_double) for name in ("temperature", "top_p", "min_p", "typical_p", "repetition_penalty",
                                                "frequency_penalty", "presence_penalty")] + [
        ("top_k", c.c_int32), ("repeat_last_n", c.c_int32), ("bias", c.c_void_p), ("n_bias", c.c_size_t),
        ("seed", c.c_uint64), ("reserved", c.c_uint64 * 6)]


ON_TEXT = c.CFUNCTYPE(c.c_int, c.c_void_p, c.POINTER(c.c_char), c.c_size_t)


class Options(c.Structure):
    _fields_ = [("max_new_tokens", c.c_size_t), ("stop", c.POINTER(c.c_char_p)), ("n_stop", c.c_size_t), ("sampling", Sampling),
                ("on_text", ON_TEXT), ("ctx", c.c_void_p), ("reserved", c.c_uint64 * 4)]


class Generation(c.Structure):
    _fields_ = [("text", c.POINTER(c.c_char)), ("length", c.c_size_t), ("ids", c.POINTER(c.c_int32)), ("logprobs", c.POINTER(c.c_float)),
                ("n", c.c_size_t), ("finish", c.c_int32), ("context_full", c.c_bool), ("prompt_seconds", c.c_double),
                ("seconds", c.c_double), ("reserved", c.c_uint64 * 4)]


class Kungfu:
    """The library; a call that fails raises RuntimeError with the library's sentence."""

    def __init__(self, path):
        self.lib = c.CDLL(path)
        if self.lib.kf_abi() != 1:
            raise RuntimeError("this is written for KF_ABI 1, the library has %d" % self.lib.kf_abi())
        for free in ("kf_free", "kf_model_free", "kf_session_free"):
            getattr(self.lib, free).argtypes = [c.c_void_p]
            getattr(self.lib, free).restype = None

    def __getattr__(self, name):
        def call(*args):
            error = Error()
            status = getattr(self.lib, name)(*args, c.byref(error))
            if status < 0:
                raise RuntimeError(error.message.decode())
            return status
        return call


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: answer.py MODEL QUESTION [LIBRARY]")
    kf = Kungfu(sys.argv[3] if len(sys.argv) == 4 else "libkungfu.so.1")
    model, session = c.c_void_p(), c.c_void_p()
    ids, n = c.POINTER(c.c_int32)(), c.c_size_t()
    try:
        kf.kf_model_open(c.byref(model), sys.argv[1].encode())
        kf.kf_session_new(c.byref(session), model, None, 0, None)
        message = Message(b"user", sys.argv[2].encode())
        kf.kf_chat(model, c.byref(message), c.c_size_t(1), c.byref(ids), c.byref(n))
        answer = Generation()
        kf.kf_session_generate(session, ids, n, c.byref(Options(max_new_tokens=32)), c.byref(answer))
        print(answer.text[:answer.length].decode())
        print("%d tokens, log-probability %.4f" % (answer.n, sum(answer.logprobs[:answer.n])), file=sys.stderr)
    except RuntimeError as e:
        sys.exit("answer.py: %s" % e)
    finally:
        kf.lib.kf_free(ids)
        kf.lib.kf_session_free(session)
        kf.lib.kf_model_free(model)


if __name__ == "__main__":
    main()
