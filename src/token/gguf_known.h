/* gguf_known: tokens that llama.cpp knows by their text, whatever a GGUF's metadata says of them: which end an answer
 * (its end-of-generation tokens), and which are special though their type says otherwise. Source: llama.cpp's
 * llama-vocab.cpp, llama_vocab::impl::load. */
#ifndef TOKEN_GGUF_KNOWN_H
#define TOKEN_GGUF_KNOWN_H

#include "format/gguf.h"
#include "token/tokenizer.h"

enum gguf_known { GGUF_KNOWN_NOT, GGUF_KNOWN_CONTROL, GGUF_KNOWN_USER_DEFINED };
/* What a token of this text is in any file. */
enum gguf_known gguf_known(const char *text, size_t n);
/* Tokens that end an answer: those of metadata (eos, eot, eom; fill-in-the-middle's padding, repository and file
 * separator), and those by text. Ids outside of the vocabulary are none. Appends, each once, in the order of ids. */
void gguf_ends(const struct gguf *g, struct tokens *out);

bool gguf_is_end(const char *text, size_t n);   /* a text that ends an answer in any file */

#endif
