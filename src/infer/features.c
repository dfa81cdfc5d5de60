/* features: a scorer whose blocks are watched (op/watch.h): as a layer's states come along, those that are wanted of a
 * document go to their place. Nothing of them is kept but what is wanted. See features.h. */
#include "infer/features.h"

#include <string.h>

#include "base/mem.h"
#include "op/watch.h"

struct seen_layer {
	struct features *features;
	size_t place;
};

struct features {
	struct features_options options;
	struct scorer *scorer;
	size_t width;
	int last;                  /* the number of the last layer */
	struct seen_layer *seen;   /* [n_layers] */
	float *out;                /* of the documents that come next; NULL: they are timed */
};

/* The document whose label is number i. */
struct pooling_work {
	const struct features *x;
	const struct watched *w;
	size_t place;
};

/* Mean of the rows from `last` back to the document's first, summed from the end. */
static void put_mean(const struct batch *b, const float *states, size_t width, int32_t last, float *out)
{
	int32_t row = last;
	float n = (float)(b->pos[last] + 1);

	memset(out, 0, width * sizeof(*out));
	for (int32_t g = batch_segment_of(b, last); g >= 0; g = b->segments[g].parent) {
		for (; row >= b->segments[g].start; row--)
			for (size_t i = 0; i < width; i++)
				out[i] += states[(size_t)row * width + i];
		if (b->segments[g].parent >= 0)
			row = b->segments[b->segments[g].parent].start + b->segments[b->segments[g].parent].len - 1;
	}
	for (size_t i = 0; i < width; i++)
		out[i] /= n;
}

/* The last row of an encoder's document, whose learnt one is its first. */
static int32_t last_of(const struct batch *b, int32_t row)
{
	const struct segment *s = &b->segments[batch_segment_of(b, row)];

	return s->start + s->len - 1;
}

static void pool_document(void *ctx, size_t item, int thread)
{
	const struct pooling_work *p = ctx;
	const struct features *x = p->x;
	const struct batch *b = p->w->batch;
	int32_t row = b->target_row[b->label_target[item]];
	float *out = x->out + ((size_t)b->label_doc[item] * x->options.n_layers + p->place) * x->width;
	(void)thread;

	if (x->options.pooling == FEATURES_LAST)
		memcpy(out, p->w->x + (size_t)row * x->width, x->width * sizeof(*out));
	else
		put_mean(b, p->w->x, x->width, b->pos[row] ? row : last_of(b, row), out);
}

static void see(void *ctx, struct pool *pool, const struct watched *w)
{
	const struct seen_layer *s = ctx;
	struct pooling_work p = { s->features, w, s->place };

	if (s->features->out)
		pool_run(pool, (size_t)w->batch->n_labels, pool_document, &p);
}

static void look(struct features *x, struct graph *g, int layer, uint32_t states)
{
	for (size_t i = 0; i < x->options.n_layers; i++)
		if (x->options.layers[i] == layer)
			op_watch(g->tape, states, TENSOR_NONE, TENSOR_NONE, x->width,
			         &(struct watch){ see, &x->seen[i] });
}

static void layered(void *ctx, struct graph *g, int layer, uint32_t states) { look(ctx, g, layer, states); }

static uint32_t record(void *ctx, struct graph *g, uint32_t hidden)
{
	struct features *x = ctx;
	uint32_t states = graph_states(g, hidden);

	look(x, g, x->last, states);
	return states;
}

static void done(void *ctx, struct batch *b, const struct document *const *docs, const float *states)
{
	struct features *x = ctx;
	(void)docs;
	(void)states;

	x->out += (size_t)b->n_docs * x->options.n_layers * x->width;
}

int features_layers(const struct model *m) { return m->config.n_layers + 1; }

int features_new(struct features **out, struct model *m, const struct overlay *o, struct device *d,
                 const struct features_options *options, struct err *e)
{
	for (size_t i = 0; i < options->n_layers; i++)
		if (options->layers[i] < 0 || options->layers[i] >= features_layers(m))
			return err_set(e, "layer %d was wanted, the model has 0 (the embeddings) to %d",
			               options->layers[i], m->config.n_layers);
	struct features *x = mem_alloc(sizeof(*x));
	struct scorer_options so = { .max_tokens = options->max_tokens, .max_length = options->max_length,
		                     .record = record, .layered = layered, .scored = done, .ctx = x };

	*x = (struct features){ .options = *options, .width = (size_t)m->config.C, .last = m->config.n_layers };
	x->seen = mem_array(options->n_layers + 1, sizeof(*x->seen));
	for (size_t i = 0; i < options->n_layers; i++)
		x->seen[i] = (struct seen_layer){ x, i };
	if (scorer_new(&x->scorer, m, o, d, &so, e) < 0) {
		features_free(x);
		return -1;
	}
	*out = x;
	return 0;
}

int features_run(struct features *x, const struct document *const *docs, size_t n, float *out,
                 int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e)
{
	x->out = out;
	int status = scorer_run(x->scorer, docs, n, false, NULL, NULL, progress, ctx, e);
	x->out = NULL;
	return status;
}

size_t features_width(const struct features *x) { return x->width; }

struct scorer *features_scorer(struct features *x) { return x->scorer; }

void features_free(struct features *x)
{
	if (!x)
		return;
	scorer_free(x->scorer);
	mem_free(x->seen);
	mem_free(x);
}
