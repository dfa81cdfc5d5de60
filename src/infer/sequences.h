/* sequences: the tokens that a session holds, as a tree of ranges.
 *
 * A sequence is a list of ranges of KV_RANGE tokens, the last one not full, and its length. Sequences that begin alike
 * because one was branched from another have the ranges that they share in both lists, at the same places of them. A
 * range in more than one list is never written: the sequence that goes on in it first gets a range of its own, with a
 * copy of the tokens before. So any sequence may be branched from at any length, fed, cut and dropped, in any order,
 * whoever it came from or went on from it, and a branch costs nothing until it goes on.
 *
 * For a step the ranges of those sequences that are in it are numbered in depth-first order of their tree, which makes
 * the mask the forest's (op/batch.h): a range is seen by the rows of whoever has it. Where it lies is each memory's own
 * (infer/memory.h). A token at position p is always number p mod KV_RANGE of its range, and ranges of a sequence come
 * in order, so a row's bits are those that it has alone. */
#ifndef INFER_SEQUENCES_H
#define INFER_SEQUENCES_H

#include <stdbool.h>
#include <stddef.h>

#include "infer/memory.h"
#include "op/batch.h"

struct sequences {
	int n, n_ctx;                  /* sequences; tokens that one can hold */
	int most, n_ranges;            /* ranges of one; of all: there are always enough */
	int *length, *held;            /* [n] tokens; ranges in its list */
	int32_t *ids;                  /* [n][n_ctx] */
	int *range;                    /* [n][most] its list */
	int *lists;                    /* [n_ranges] how many it is in; 0: free */
	struct memory *memories;       /* [n_memories] borrowed */
	int n_memories;
	int *key;                      /* [n] of those in the last step: the key of position p is key + p */
	int *path;                     /* [most] scratch of sequences_lay */
};

/* The memories' size.n_ranges is sequences_ranges(n, n_ctx). */
int sequences_ranges(int n, int n_ctx);
void sequences_init(struct sequences *q, int n, int n_ctx, struct memory *memories, int n_memories);
void sequences_release(struct sequences *q);

int32_t *sequence_ids(const struct sequences *q, int sequence);
int sequence_range(const struct sequences *q, int sequence, int i);   /* the i-th of its list */
int sequences_held(const struct sequences *q);         /* ranges that are in a list */
/* Ranges that a sequence takes to grow to `length` tokens, a copy of a last one that others have among them. */
int sequence_wants(const struct sequences *q, int sequence, int length);
/* Room for n more tokens: the ranges that they go into are in no other list from now on. */
void sequence_reserve(struct sequences *q, int sequence, int n);
void sequence_append(struct sequences *q, int sequence, const int32_t *ids, int n);
/* `to`, which is empty, begins with the first `length` tokens of `from`, or with as many of them as every memory can go
 * back to: returns how many. */
int sequence_branch(struct sequences *q, int to, int from, int length);
/* Forgets all tokens after the first `length`, or a few more: returns how many are left. */
int sequence_truncate(struct sequences *q, int sequence, int length);
/* `to` becomes what `from` of others is, over memories of the same sizes; what both begin with stays. */
void sequence_copy(struct sequences *q, int to, const struct sequences *others, int from);

/* Numbers the keys of a step of the n given sequences, each with room for what it will be fed: they are put in the
 * order in which their keys ascend; mask and places of the batch, and q->key, are set. */
void sequences_lay(struct sequences *q, struct batch *b, int *sequences, int n);

#endif
