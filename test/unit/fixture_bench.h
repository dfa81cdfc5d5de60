/* fixture_bench: a tiny model of test/golden with a few documents, and what overlays make of it: log-probabilities and
 * gradients. */
#ifndef FIXTURE_BENCH_H
#define FIXTURE_BENCH_H

#include "../test.h"

#include "base/arena.h"
#include "base/pool.h"
#include "data/document.h"
#include "model/overlay.h"
#include "op/device.h"

enum { DOCS = 4, LENGTH = 24 };

struct bench {
	struct test *t;
	struct model model;
	struct pool *pool;
	struct device device;
	const struct kernels *kernels;
	struct arena mem;
	struct document docs[DOCS];
	const struct document *pointers[DOCS];
};

bool bench_open(struct bench *b, struct test *t, const char *model);
void bench_close(struct bench *b);
bool bench_fine(struct bench *b, int status, const struct err *e); /* fails the case where status is not 0 */
/* The log-probabilities of all tokens with the overlay (or NULL); [DOCS·LENGTH], others 0; until bench_close. */
float *bench_logprobs(struct bench *b, const struct overlay *o);
/* d Σ −log p of the documents by every number of the overlays that are not frozen; n of them, flat. */
float *bench_gradient(struct bench *b, const struct overlay *o, size_t n, const struct document *const *docs,
                      size_t n_docs);
double bench_difference(const float *a, const float *b, size_t n); /* the largest */
double bench_largest(const float *a, size_t n);

#endif
