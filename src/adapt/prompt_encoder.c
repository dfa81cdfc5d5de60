/* prompt_encoder: see there. Parameters in order: the embedding; of each layer of an LSTM W_ih, W_hh, b_ih, b_hh up,
 * then down; of each linear its matrix and its bias. */
#include "adapt/prompt_encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "kernel/kernels.h"
#include "model/model_pass.h"

enum { LSTM_PARTS = 4, SIDES = 2 };

/* --- parameters --- */

static void add(struct adapter *a, const char *name, int n_dims, size_t rows, size_t columns)
{
	adapter_param(a, name, n_dims, (size_t[]){ rows, columns }, -1, (struct file_layout){ .rows_of = -1 });
}

static void add_lstm(struct adapter *a, const struct prompt_encoder_shape *s, int layer)
{
	static const char *const part[LSTM_PARTS] = { "weight_ih", "weight_hh", "bias_ih", "bias_hh" };
	size_t in = layer ? 2 * s->hidden : s->in;

	for (int side = 0; side < SIDES; side++)
		for (int j = 0; j < LSTM_PARTS; j++)
			add(a, arena_printf(&a->mem, "prompt_encoder.lstm_head.%s_l%d%s", part[j], layer,
			                    side ? "_reverse" : ""),
			    j < 2 ? 2 : 1, 4 * s->hidden, j == 0 ? in : s->hidden);
}

void prompt_encoder_add(struct adapter *a, const struct prompt_encoder_shape *s)
{
	struct prompt_encoder *x = a->own = arena_alloc(&a->mem, sizeof(*x));
	size_t between = (s->lstm ? 2 : 1) * s->hidden, in = s->lstm ? between : s->in;

	*x = (struct prompt_encoder){ .lstm = s->lstm, .dense = s->dense, .f = s->f };
	add(a, "prompt_encoder.embedding.weight", 2, (size_t)a->overlay.virtual_tokens, s->in);
	a->overlay.params.items[0].role = PARAM_EMBEDDING;
	for (int l = 0; l < s->lstm; l++)
		add_lstm(a, s, l);
	for (int l = 0; l < s->dense; l++, in = between) {
		size_t out = l == s->dense - 1 ? s->out : between;
		add(a, arena_printf(&a->mem, "prompt_encoder.%s.%d.weight", s->head, 2 * l), 2, out, in);
		add(a, arena_printf(&a->mem, "prompt_encoder.%s.%d.bias", s->head, 2 * l), 1, out, 0);
	}
	x->n = a->overlay.params.n_items;
}

static void uniform(float *w, const struct param *p, float bound, uint64_t seed)
{
	struct rng_key key = { seed, RNG_INIT };

	for (size_t i = 0; i < p->n; i++)
		w[p->offset + i] = bound * (2 * rng_uniform(key, i, p->site, 0) - 1);
}

void prompt_encoder_begin(struct adapter *a, uint64_t seed)
{
	const struct prompt_encoder *x = a->own;
	const struct params *all = &a->overlay.params;
	const struct param *p = all->items, *dense = p + 1 + x->lstm * SIDES * LSTM_PARTS;
	struct rng_key key = { seed, RNG_INIT };

	for (size_t i = 0; i < p->n; i++)
		all->w[p->offset + i] = rng_normal(key, i, p->site, 0);
	for (size_t i = 1; i < x->n; i++) {
		bool lstm = p + i < dense; /* hidden: a quarter of the gates */
		size_t in = lstm ? p[i].dim[0] / 4 : dense[(p + i - dense) / 2 * 2].dim[1];
		uniform(all->w, &p[i], (float)(1 / sqrt((double)in)), seed);
	}
}

/* --- use --- */

uint32_t prompt_encoder_record(struct graph *g, const struct overlay *o, const struct prompt_encoder *x)
{
	uint32_t y = nn_param(g, o, 0);
	int next = 1;

	for (int l = 0; l < x->lstm; l++) {
		uint32_t part[SIDES * LSTM_PARTS];
		for (size_t j = 0; j < ARRAY_LEN(part); j++)
			part[j] = nn_param(g, o, next++);
		y = op_lstm(g->tape, y, part);
	}
	for (int l = 0; l < x->dense; l++, next += 2)
		y = op_dense(g->tape, y, nn_param(g, o, next), nn_param(g, o, next + 1),
		             l == x->dense - 1 ? DENSE_LINEAR : x->f);
	return y;
}

/* A batch of one row, which nothing of this reads. */
static void put_row(struct batch *b)
{
	b->ids[0] = b->pos[0] = b->key[0] = b->key_pos[0] = b->vis_from[0] = b->type[0] = 0;
	b->vis_end[0] = 1;
	b->segments[0] = (struct segment){ .len = 1, .parent = -1, .end = 1, .adapter = -1 };
	b->n_rows = b->n_keys = b->n_segments = b->n_docs = b->n_trees = b->tree[1] = 1;
	b->tree[0] = 0;
}

static int make_rows(const struct adapter *a, const struct model *m, float *rows, size_t n, struct err *e)
{
	const struct kernels *k = kernels_get(NULL, e);
	struct batch_cap cap = { 1, 1, 1, 1, 1, 1, NULL, 0 };
	struct model_pass p;

	if (!k)
		return -1;
	struct pool *pool = pool_new(0);
	struct device d = device_cpu(k, pool);
	model_pass_begin(&p, &d, &cap, m, &a->overlay, false);
	p.result = prompt_encoder_record(&p.graph, &a->overlay, a->own);
	int status = pass_plan(&p.pass, NULL, e) < 0 || model_pass_start(&p, NULL, e) < 0 ? -1 : 0;
	if (status == 0) {
		put_row(&p.pass.batch);
		status = pass_step(&p.pass) < 0 ? err_set(e, "interrupted while the virtual tokens were made") : 0;
	}
	if (status == 0)
		memcpy(rows, model_pass_result(&p), n * sizeof(*rows));
	model_pass_release(&p);
	pool_free(pool);
	return status;
}

int prompt_encoder_flatten(const struct adapter *a, const struct model *m, enum soft_prompt_kind kind,
                           struct adapter *flat, struct err *e)
{
	adapter_begin(flat, m, a->type);
	flat->config = json_incref(a->config);
	flat->overlay.virtual_tokens = a->overlay.virtual_tokens;
	soft_prompt_param(flat, m, kind);
	const struct params *to = &flat->overlay.params, *from = &a->overlay.params;
	const struct prompt_encoder *x = a->own;
	if (soft_prompt_seal(flat, m, e) == 0 && make_rows(a, m, to->w, to->items[0].n, e) == 0) {
		for (size_t i = 1; i < to->n_items; i++) /* a head that classifies */
			memcpy(to->w + to->items[i].offset, from->w + from->items[x->n + i - 1].offset,
			       to->items[i].n * sizeof(float));
		return 0;
	}
	adapter_release(flat);
	return -1;
}
