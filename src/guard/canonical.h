/* canonical: a text as it is and as it was meant: cleaned and folded (guard/fold.h), and everything that is written in
 * it by some encoding (encoding.h), undone, and what is in that, to a depth. Bounded: depth, texts, their bytes, and
 * steps of work are capped, in proportion to the text; what is reached first is told. Whoever wants to know what a text
 * says reads all the texts; each byte of them knows the original bytes that it comes from. */
#ifndef GUARD_CANONICAL_H
#define GUARD_CANONICAL_H

#include "guard/encoding.h"
#include "guard/fold.h"

struct canonical_limits {
	int depth;                 /* encodings in encodings; 0: none is undone */
	size_t texts;              /* in all */
	size_t bytes;              /* of all texts that are undone, per byte of the original; 64 KiB are free */
	uint64_t work;             /* steps per byte of the original; 1 Mi are free */
};
extern const struct canonical_limits canonical_usual;

enum { CANONICAL_BYTES_MAX = 1 << 28 };        /* of an original */

struct canonical_text {
	const struct encoding *by; /* NULL: the original */
	int parent;                /* of texts; −1 */
	int depth;
	size_t begin, end;         /* in the original bytes */
	double confidence;         /* that somebody wrote a text so, 0 to 1 */
	bool hidden;               /* it reads as a language, and nobody needed to write it so */
	struct mapped clean, folded;
	struct sign signs[SIGNS];
};

struct canonical {
	struct canonical_text *texts; /* [n] the original first, each behind what it was found in */
	size_t n, cap;
	const char *capped;        /* NULL, or what was reached: "depth", "texts", "bytes", "work" */
	uint64_t work;             /* steps taken */
	size_t bytes;              /* of what was undone */
	/* Room: texts that are made already, the original with what nobody sees, what is being undone, words. */
	size_t n_made;
	struct mapped raw, put;
	struct words words[WORDS];
};

/* n at most CANONICAL_BYTES_MAX. Any bytes. c: all zero at first, then what was made before, whose memory is used
 * again; released by the caller. l: NULL: canonical_usual. */
void canonical_make(struct canonical *c, const char *text, size_t n, const struct canonical_limits *l);
/* "base64 in rot13": how text i is written, outermost last; appends nothing for the original. */
void canonical_path(const struct canonical *c, size_t i, struct buf *out);
void canonical_release(struct canonical *c);

#endif
