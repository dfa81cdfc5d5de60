/* grounding: one document a prompt, its answer learnt, scored together. See grounding.h. */
#include "eval/grounding.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { SEED = 1979 };

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct estimate bootstrap_sum(const double *x, size_t n)
{
	struct rng_stream r = { SEED };
	double *sum = mem_array(GROUNDING_DRAWS, sizeof(*sum)), mean = 0, square = 0;
	struct estimate out = { .n = n };

	for (size_t i = 0; i < n; i++)
		out.mean += x[i];
	for (size_t k = 0; k < GROUNDING_DRAWS; k++) {
		for (size_t i = 0; i < n; i++)
			sum[k] += x[rng_below(&r, (uint32_t)n)];
		mean += sum[k] / GROUNDING_DRAWS;
	}
	for (size_t k = 0; k < GROUNDING_DRAWS; k++)
		square += (sum[k] - mean) * (sum[k] - mean) / (GROUNDING_DRAWS - 1);
	qsort(sum, GROUNDING_DRAWS, sizeof(*sum), ascending);
	out.stderr_ = sqrt(square);
	out.low = sum[GROUNDING_DRAWS / 40];
	out.high = sum[GROUNDING_DRAWS - 1 - GROUNDING_DRAWS / 40];
	mem_free(sum);
	return out;
}

/* The prompt, then the answer, which is learnt. */
static void make_document(struct document *d, struct arena *mem, const struct tokens *prompt,
                          const struct tokens *answer, size_t number)
{
	size_t n = prompt->n + answer->n;

	*d = (struct document){ .n = (int32_t)n, .n_learn = (int32_t)answer->n, .file = "source", .line = number,
		                .choice = -1, .adapter = -1 };
	d->ids = arena_array(mem, n, sizeof(*d->ids));
	d->learn = arena_array(mem, n, 1);
	memcpy(d->ids, prompt->id, prompt->n * sizeof(*d->ids));
	memcpy(d->ids + prompt->n, answer->id, answer->n * sizeof(*d->ids));
	memset(d->learn + prompt->n, 1, answer->n);
}

struct documents_of {
	struct arena mem;
	struct document *items;        /* [n] */
	const struct document **docs;
	float **each;
	double *sum;
	int32_t longest, tokens;
	size_t n;
};

static void make_documents(struct documents_of *x, const struct tokens *prompts, size_t n, const struct tokens *answer)
{
	*x = (struct documents_of){ .n = n, .longest = 1 };
	x->items = arena_array(&x->mem, n, sizeof(*x->items));
	x->docs = arena_array(&x->mem, n, sizeof(*x->docs));
	x->each = arena_array(&x->mem, n, sizeof(*x->each));
	x->sum = arena_array(&x->mem, n, sizeof(*x->sum));
	for (size_t i = 0; i < n; i++) {
		struct document *d = &x->items[i];
		make_document(d, &x->mem, &prompts[i], answer, i);
		x->docs[i] = d;
		x->each[i] = arena_array(&x->mem, (size_t)d->n, sizeof(**x->each));
		x->longest = MAX(x->longest, d->n);
		x->tokens += d->n;
	}
}

/* One micro-batch for all of them. */
static int open_scorer(struct scorer **s, const struct documents_of *x, struct model *m, const struct overlay *o,
                       struct device *d, struct err *e)
{
	const struct scorer_options so = { .max_length = x->longest, .max_tokens = x->tokens };

	return scorer_new(s, m, o, d, &so, e);
}

static void compare(struct grounding *g, const struct tokens *prompts, size_t n_answer, float *const *each)
{
	double *x = mem_array(n_answer, sizeof(*x));

	for (size_t i = 0; i < g->n; i++) {
		for (size_t k = 0; k < n_answer; k++)
			x[k] = (double)each[0][prompts[0].n + k] - (double)each[i + 1][prompts[i + 1].n + k];
		g->support[i] = bootstrap_sum(x, n_answer);
	}
	mem_free(x);
}

int grounding_measure(struct grounding *g, struct model *m, const struct overlay *o, struct device *d,
                      const struct tokens *prompts, size_t n, const struct tokens *answer, struct err *e)
{
	struct documents_of x;
	struct scorer *s;

	*g = (struct grounding){ .n = n, .support = mem_array(n + 1, sizeof(*g->support)) };
	make_documents(&x, prompts, n + 1, answer);
	int status = open_scorer(&s, &x, m, o, d, e);
	if (status == 0) {
		status = scorer_run(s, x.docs, x.n, false, x.sum, x.each, NULL, NULL, e);
		g->flops = scorer_flops(s);
		g->int_ops = scorer_int_ops(s);
		g->computed_tokens = scorer_computed_tokens(s);
		scorer_free(s);
	}
	if (status == 0)
		compare(g, prompts, answer->n, x.each);
	arena_release(&x.mem);
	return status;
}

int grounding_forecast(struct scorer_forecast *f, struct model *m, const struct overlay *o, struct device *d,
                       const struct tokens *prompts, size_t n, size_t n_answer, struct err *e)
{
	struct tokens answer = { 0 };
	struct documents_of x;
	struct scorer *s;

	for (size_t i = 0; i < n_answer; i++)
		tokens_add(&answer, prompts[0].id[i % prompts[0].n]);
	make_documents(&x, prompts, n + 1, &answer);
	int status = open_scorer(&s, &x, m, o, d, e);
	if (status == 0) {
		status = scorer_forecast(s, x.docs, x.n, false, f, e);
		scorer_free(s);
	}
	tokens_release(&answer);
	arena_release(&x.mem);
	return status;
}
