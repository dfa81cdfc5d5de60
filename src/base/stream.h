/* stream: a file's bytes from its beginning to its end in pieces, inflated where it is gzip (all members), so that a
 * file of any size is read in the memory of a piece. */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct stream;

/* Of a regular file: what reads by pieces goes on where it was stopped. */
int stream_open(struct stream **s, const char *path, struct err *e);
/* Bytes into data, at most n: fewer only at the end; 0: there are no more. −1: the disk's error. Where gzip data are
 * damaged or cut short is the end, and stream_damaged says so. */
int64_t stream_read(struct stream *s, void *data, size_t n, struct err *e);
bool stream_damaged(const struct stream *s);
/* How far it is in the file as it lies there, deflated or not. */
uint64_t stream_at(struct stream *s);
void stream_close(struct stream *s);    /* NULL is taken */

#endif
