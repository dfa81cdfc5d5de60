/* windows: what a step learns from where the data are token shards (corpus/shards.h), which no memory holds whole.
 *
 * A window is `length` tokens of a source's stream. Its pieces, cut where documents end, are documents that stand
 * alone, joined to one group: no piece sees another, positions begin anew in each, and nothing parts a window. Every
 * token of a piece but its first is learnt; where tokens are hidden, as many as of any text (data/masking.h).
 *
 * Which windows come at a position is the mixture's (corpus/mixture.h): a function of the position, without a list. A
 * step takes the positions after those of the step before, over the end of a pass too, so the number of steps done is
 * all that a run has to know. The documents of one step at a time are made, in memory that windows_room took.
 *
 * Evaluated is the shards' held-out split: windows at equal distances, at most so many tokens, held in memory. A split
 * that is shorter than a window is one. */
#ifndef TRAIN_WINDOWS_H
#define TRAIN_WINDOWS_H

#include "corpus/mixture.h"
#include "corpus/shards.h"
#include "data/document.h"
#include "op/batch.h"

struct windows_options {
	int32_t length;                /* of a window */
	uint64_t seed;                 /* of their order */
	double masked;                 /* share of tokens that are hidden; 0: next tokens are learnt */
	const struct tokenizer *tokenizer;
};

struct windows {
	struct windows_options o;
	struct shards shards;
	struct mixture mixture;
	int32_t most_pieces;           /* of a window that is learnt from */
	struct live live;              /* of one, in the mean: exact up to a thousand of a source, else of a thousand */
	double bytes_per_token;        /* of text, in the mean over the mixture */
	/* Of the step that was asked for last. */
	struct document *documents;    /* [room · most_pieces] */
	int32_t *ids, *piece;          /* [room · length]; [a window's pieces] */
	uint8_t *learn;                /* [room · length] */
	size_t room;                   /* windows */
};

int windows_open(struct windows *w, const char *dir, const struct windows_options *o, struct err *e);
void windows_close(struct windows *w);
void windows_room(struct windows *w, size_t windows);       /* of a step at most; once */
/* The documents at positions [at, at + n), n ≤ room, into docs and as many, valid until the next call. */
int windows_take(struct windows *w, uint64_t at, size_t n, const struct document **docs, size_t *n_docs,
                 struct err *e);
/* What is held out, of at most so many tokens, into d, which was empty and stays so where nothing is; *bytes_per_token
 * of it. */
int windows_held_out(struct windows *w, size_t tokens, struct documents *d, double *bytes_per_token, struct err *e);

#endif
