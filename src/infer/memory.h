/* memory: what the layers of a session keep of the tokens that went through them, from one step to the next.
 *
 * Tokens are held by ranges of KV_RANGE (infer/sequences.h): range number r has tokens i·KV_RANGE … of one sequence,
 * or of several that begin alike, which share it. A range that is shared is never written: who wants to go on in it
 * gets a copy of its first tokens. So a memory knows nothing of branches, only of ranges: it takes one, copies the
 * beginning of one, drops one, and says how far back a sequence can go.
 *
 * Three kinds of memory fit:
 *
 *     kv       keys and values of every token: a sequence can go back to any length
 *     window   the same, of the last tokens alone, for layers that see no more: a range whose tokens nobody will see
 *              again is given back, and a sequence can go back as far as the window before that length is there
 *     state    a recurrent state: a place holds the state after the last token of its range so far. A step's rows
 *              begin with the state of the place before theirs and leave theirs at each range's end (op/state.h);
 *              `copy` copies the state, and a sequence can go back to where one is: to its end, or to a multiple of
 *              KV_RANGE not long before
 *
 * A session has as many memories as its layers want; the places of a memory are one table of the batch
 * (op/batch.h). What a memory holds makes no bit of a logit different, only what must be computed again. */
#ifndef INFER_MEMORY_H
#define INFER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "tensor/dtype.h"

struct device;
struct sequences;
struct memory_type;

struct cache_types { enum dtype k, v; };   /* how keys and values are kept: F32 (the default), F16, BF16 or Q8_0 */

struct memory_size {
	int n_layers;                  /* that keep their tokens here */
	size_t G, D;                   /* heads of a key, numbers of a head */
	struct cache_types types;
	int n_ranges;                  /* of all sequences */
	int n_sequences, rows;         /* most sequences; most tokens of a step */
	int window;                    /* tokens that a row sees, itself included; 0: all */
	size_t state;                  /* numbers of a state, where that is what is kept; 0: keys and values are */
};

struct memory {
	const struct memory_type *type;
	struct memory_size size;
	int n_places;                  /* ranges that there is room for */
	int *place;                    /* [size.n_ranges] of a range, −1: none */
	int *written;                  /* [n_places] its first tokens that may not be zeros */
	bool *used;                    /* [n_places] */
	struct device *device;
	char *data;                    /* the device's, taken whole, real as it fills */
	size_t bytes;
};

struct memory_type {
	const char *name;
	/* Ranges that such a memory has room for; it never needs more. */
	int (*places)(const struct memory_size *size);
	/* Bytes of one range in one layer. */
	size_t (*range_bytes)(const struct memory_size *size);
	/* A range begins: all zeros. */
	void (*take)(struct memory *m, const struct sequences *q, int range);
	void (*drop)(struct memory *m, int range);
	/* Its first n tokens become those of a range of `from`, which is of the same type and size of a token. */
	void (*copy)(struct memory *m, int range, const struct memory *from, int from_range, int n);
	/* Tokens were added to a sequence, whose last are in the ranges from number `first` on. */
	void (*append)(struct memory *m, const struct sequences *q, int sequence, int first);
	/* The largest number of tokens, `length` at most, after which the sequence can go on. */
	int (*reach)(const struct memory *m, const struct sequences *q, int sequence, int length);
	/* What it has of a range's first n tokens, as pieces in order; the i-th, NULL: there are no more. */
	void *(*piece)(const struct memory *m, int range, int n, size_t i, size_t *bytes);
	/* memory_resident's. */
	size_t (*resident)(const struct memory *m, int n, int partial, int tokens);
	/* Does it have states, of which a range's first tokens say nothing? */
	bool states;
};

extern const struct memory_type memory_kv, memory_window, memory_state;

/* Takes it on a device, which is borrowed; memory_keys has said before how many keys the layers' caches have. */
int memory_init(struct memory *m, struct device *d, const struct memory_type *type, const struct memory_size *size,
                struct err *e);
void memory_release(struct memory *m);
size_t memory_keys(const struct memory_type *type, const struct memory_size *size); /* of each layer's caches */
/* Where a layer's (of n_layers) keys or values begin; bytes of one, of all heads. */
char *memory_rows(const struct memory *m, int layer, bool values, size_t *row_bytes);
float *memory_states(const struct memory *m, int layer);  /* [n_places][size.state] */
/* What becomes resident once ranges in the first n places have `tokens` each, the last `partial` of them fewer. */
size_t memory_resident(const struct memory *m, int n, int partial, int tokens);

/* Ranges get and leave their places: the lowest free one. */
int memory_take(struct memory *m, int range);            /* which it is */
void memory_drop(struct memory *m, int range);

/* Where no place is free: those of ranges before the first that a sequence of `length` tokens still needs are, but
 * (with_0) for the range that it begins with. */
void memory_make_room(struct memory *m, const struct sequences *q,
                      int (*first)(const struct memory *m, int length), bool with_0);

/* For types whose ranges are keys and values. */
size_t memory_keys_bytes(const struct memory_size *size);
void memory_keys_take(struct memory *m, const struct sequences *q, int range);
void memory_keys_copy(struct memory *m, int range, const struct memory *from, int from_range, int n);
void memory_keys_append(struct memory *m, const struct sequences *q, int sequence, int first);
void *memory_keys_piece(const struct memory *m, int range, int n, size_t i, size_t *bytes);
size_t memory_keys_resident(const struct memory *m, int n, int partial, int tokens);
/* Of [from, to) of its bytes those that become resident, all before `end` being so; *end moves on. */
size_t memory_pages(const struct memory *m, size_t from, size_t to, size_t *end);

#endif
