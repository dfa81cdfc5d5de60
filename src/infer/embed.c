/* embed: pools what a scorer computes of each row. See embed.h. */
#include "infer/embed.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/enclosed.h"

const char *const pooling_names[POOLINGS] = {
	[POOLING_MEAN] = "mean", [POOLING_CLS] = "cls", [POOLING_LAST] = "last", [POOLING_MAX] = "max"
};

struct embedder {
	struct embed_options options;
	struct scorer *scorer;
	size_t width;
	double *sum;               /* [width] of the document that is being pooled */
	float *out;                /* of the documents that come next */
};

int pooling_find(const char *name)
{
	for (int i = 0; i < POOLINGS; i++)
		if (!strcmp(pooling_names[i], name))
			return i;
	return -1;
}

/* --- pooling --- */

static void take_row(struct embedder *x, const float *state, bool first)
{
	for (size_t i = 0; i < x->width; i++)
		x->sum[i] = first                                ? (double)state[i] :
		            x->options.pooling == POOLING_MAX ? fmax(x->sum[i], (double)state[i]) :
		                                                x->sum[i] + (double)state[i];
}

/* The rows of the document that ends in row `last`, from there back to its first. */
static void pool_rows(struct embedder *x, const struct batch *b, int32_t last, const float *states)
{
	bool first = true, one = x->options.pooling == POOLING_LAST;
	int32_t row = last, n = b->pos[last] + 1;

	for (int32_t g = batch_segment_of(b, last); g >= 0; g = b->segments[g].parent) {
		for (; row >= b->segments[g].start; row--) {
			bool wanted = x->options.pooling == POOLING_CLS ? b->pos[row] == 0 : !one || row == last;
			if (!wanted)
				continue;
			take_row(x, states + (size_t)row * x->width, first);
			first = false;
		}
		if (b->segments[g].parent >= 0)
			row = b->segments[b->segments[g].parent].start + b->segments[b->segments[g].parent].len - 1;
	}
	for (size_t i = 0; x->options.pooling == POOLING_MEAN && i < x->width; i++)
		x->sum[i] /= n;
}

static void put(const struct embedder *x, float *out)
{
	double length = 0;

	for (size_t i = 0; x->options.normalize && i < x->width; i++)
		length += x->sum[i] * x->sum[i];
	double by = x->options.normalize ? 1 / fmax(sqrt(length), 1e-12) : 1;
	for (size_t i = 0; i < x->width; i++)
		out[i] = (float)(x->sum[i] * by);
}

static void pooled(void *ctx, struct batch *b, const struct document *const *docs, const float *states)
{
	struct embedder *x = ctx;
	(void)docs;

	for (int32_t i = 0; i < b->n_labels; i++) {
		pool_rows(x, b, b->target_row[b->label_target[i]], states);
		put(x, x->out + (size_t)b->label_doc[i] * x->width);
	}
	x->out += (size_t)b->n_docs * x->width;
}

/* --- the whole --- */

int embedder_new(struct embedder **out, struct model *m, const struct overlay *o, struct device *d,
                 const struct embed_options *options, struct err *e)
{
	if (overlays_virtual(o))
		return err_set(e, "an adapter with virtual tokens: no vectors of texts are made with one");
	struct embedder *x = mem_alloc(sizeof(*x));
	struct scorer_options so = { .max_tokens = options->max_tokens, .max_length = options->max_length,
		                     .states = true, .scored = pooled, .ctx = x };

	*x = (struct embedder){ .options = *options, .width = (size_t)m->config.C };
	x->sum = mem_array(x->width, sizeof(*x->sum));
	if (scorer_new(&x->scorer, m, o, d, &so, e) < 0) {
		embedder_free(x);
		return -1;
	}
	*out = x;
	return 0;
}

int embedder_run(struct embedder *x, const struct document *const *docs, size_t n, float *out,
                 int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e)
{
	x->out = out;
	return scorer_run(x->scorer, docs, n, false, NULL, NULL, progress, ctx, e);
}

size_t embedder_width(const struct embedder *x) { return x->width; }

struct scorer *embedder_scorer(struct embedder *x) { return x->scorer; }

void embedder_free(struct embedder *x)
{
	if (!x)
		return;
	scorer_free(x->scorer);
	mem_free(x->sum);
	mem_free(x);
}

/* --- documents --- */

int embed_document(struct document *d, struct arena *mem, const struct tokenizer *t, const char *text, size_t n,
                   int32_t max_length, size_t *cut, struct err *e)
{
	struct enclosed x = { .text = text, .n = n };
	int status = enclose(&x, t, (size_t)max_length, e);

	*cut = x.cut;
	if (status == 0)
		enclosed_document(d, mem, &x, false);
	tokens_release(&x.ids);
	return status;
}
