/* postings: which chunks have which words, as bytes that are written once and read where they lie (a segment).
 *
 *     head       struct postings_head
 *     length     u32 [chunks]       words of each chunk
 *     begin      u32 [words + 1]    where a word's bytes begin; words ascend by their bytes
 *     first      u32 [words + 1]    where a word's postings begin
 *     chunk      u32 [postings]     ascending, from 0 in the segment
 *     count      u16 [postings]     how often, at most 65,535
 *     text       the words' bytes
 *
 * each from the next multiple of 8 bytes on, numbers as this machine has them (the head tells another's apart). Words
 * are those of bm25.h. */
#ifndef RETRIEVE_POSTINGS_H
#define RETRIEVE_POSTINGS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { POSTINGS_TEXTS = 1 << 30 };      /* of a segment at most, postings too */

struct postings_head {
	char magic[8];
	uint64_t bytes;                 /* of the segment, a multiple of 8 */
	uint32_t chunks, words, postings, text_bytes;
};

struct postings {                       /* a segment as it is read */
	struct postings_head head;
	const uint32_t *length, *begin, *first, *chunk;
	const uint16_t *count;
	const char *text;
};

struct postings_maker;
struct postings_maker *postings_begin(void);
void postings_add(struct postings_maker *m, const char *text, size_t n);
size_t postings_room(const struct postings_maker *m);   /* postings so far */
void postings_write(const struct postings_maker *m, struct buf *out);  /* appends the segment */
void postings_free(struct postings_maker *m);

/* Of bytes that hold at least one segment; −1: they do not, or are damaged. */
int postings_read(struct postings *p, const void *data, size_t size, const char *where, struct err *e);
/* The number of a word, −1: no chunk has it. */
int64_t postings_find(const struct postings *p, const char *word, size_t n);

#endif
