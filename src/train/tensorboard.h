/* tensorboard: a run's numbers as an event file that TensorBoard shows: every line of metrics.jsonl becomes an event
 * with its step. Tags are those of transformers: train/loss, train/learning_rate, train/grad_norm, eval/loss. */
#ifndef TRAIN_TENSORBOARD_H
#define TRAIN_TENSORBOARD_H

#include <jansson.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define TENSORBOARD_FILE "events.out.tfevents.kungfu"

struct tensorboard {
	char *path;
	size_t bytes;                      /* of the whole records there */
};

/* The file in folder `dir`: what is there up to `keep` bytes stays, as far as its records are whole; the rest is cut
 * off, so that a resumed run has every step once. A new file begins with its version. */
int tensorboard_open(struct tensorboard *t, const char *dir, size_t keep, struct err *e);
/* Appends one line of metrics.jsonl, in one write. */
int tensorboard_line(struct tensorboard *t, const json_t *line, struct err *e);
void tensorboard_release(struct tensorboard *t);

/* The record alone, appended to out: of the numbers of a line, at a wall time in seconds since 1970. */
void tensorboard_record(struct buf *out, const json_t *line, double wall_seconds);

#endif
