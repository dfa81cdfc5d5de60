/* fewshot_parts: what fewshot.c and fewshot_select.c share; nobody else includes it. */
#ifndef DATA_FEWSHOT_PARTS_H
#define DATA_FEWSHOT_PARTS_H

#include "base/buf.h"
#include "base/mt19937.h"
#include "data/fewshot.h"
#include "retrieve/bm25.h"

/* A row as it is looked for: what it asks, and what tells it from others. */
struct fewshot_key {
	char *text;                    /* the question, turns apart by line ends */
	char *same;                    /* equal of rows that ask the same, choices too; */
	uint64_t hash;                 /* and of it */
	char *answer;                  /* its class, for balanced; "" where it has none */
};

struct fewshot_pool {
	const struct rows *rows;       /* NULL: none */
	struct fewshot_options o;
	struct fewshot_key *keys;      /* [rows.n] */
	size_t *fixed;                 /* [n_fixed] the order in which all rows take theirs; NULL: each has its own */
	size_t n_fixed;
	size_t *turned;                /* [o.num] which stands where in the order of o.shuffle; NULL: as they come */
	struct mt19937 random;         /* of random-each */
	struct bm25 *words;            /* where it is searched by words */
	float *vectors;                /* [rows.n][width], or NULL */
};

int fewshot_key_make(struct fewshot_key *k, const struct row *row, const struct shape *s, struct err *e);
void fewshot_key_release(struct fewshot_key *k);

int fewshot_pool_begin(struct fewshot_pool *p, struct err *e);
/* The examples of a row, or of any (NULL), into out[o.num], in their order. vector: the row's, or NULL where it is made
 * when it is needed. same: the row is of the file of the examples. */
int fewshot_choose(struct fewshot_pool *p, const struct fewshot_key *key, const float *vector, bool same, size_t *out,
                   struct err *e);
bool fewshot_wants_vectors(const struct fewshot_pool *p);
void fewshot_pool_release(struct fewshot_pool *p);

#endif
