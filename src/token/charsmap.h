/* charsmap: SentencePiece's normalization as its files carry it, "Precompiled" in a tokenizer.json: a double-array trie
 * (Yata's darts-clone) from characters to what they become.
 *
 * The map is base64 of: the trie's size in bytes (u32), its units (u32 each), and texts that end with NUL. As in
 * Hugging Face's tokenizers: a cluster of characters (Unicode's grapheme) of fewer than six bytes is looked up whole,
 * then each character by itself; of the keys that it begins with the shortest counts; what has none stays.
 * With "longest", as SentencePiece does it itself: from place to place the longest key, whatever clusters there are. */
#ifndef TOKEN_CHARSMAP_H
#define TOKEN_CHARSMAP_H

#include "token/pretokenize.h"

/* charsmap_make.c: appends SentencePiece's map nfkc, or nmt_nfkc, as its files have it (its keys and texts; the trie
 * may lie otherwise). A quarter of a megabyte, in some tenths of a second. */
void charsmap_make(struct buf *out, bool nmt);

/* struct normalizer_type's three */
int charsmap_parse(const json_t *j, void **own, struct err *e);
int charsmap_run(const void *own, const struct slice *in, struct altered *out, struct err *e);
void charsmap_release(void *own);

#endif
