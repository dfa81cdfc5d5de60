/* gguf_texts: lists of texts in a GGUF's metadata (tokenizer.ggml.*). */
#ifndef TOKEN_GGUF_TEXTS_H
#define TOKEN_GGUF_TEXTS_H

#include "base/err.h"
#include "format/gguf.h"

/* The list, whose items are struct gguf_string; NULL and a sentence. */
const struct gguf_kv *gguf_texts(const struct gguf *g, const char *key, struct err *e);
/* A text of ours: UTF-8 without a zero byte. `what` and i are for the sentence. */
int gguf_check_text(const struct gguf_string *s, const char *what, size_t i, struct err *e);

#endif
