/* past_keys: one forward of one document, of which each layer's keys and values are kept. See past_keys.h. */
#include "model/past_keys.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "model/model_pass.h"

/* What each layer's attention is given. */
struct seen { uint32_t *k, *v; int n; };

static size_t width(const struct model *m) { return (size_t)m->config.G * (size_t)m->config.D; }

size_t past_keys_numbers(const struct model *m, int32_t n)
{
	return 2 * (size_t)m->config.n_layers * (size_t)n * width(m);
}

struct past_keys past_keys_at(const struct model *m, int32_t n, float *at)
{
	return (struct past_keys){ n, at, (size_t)n * width(m), width(m) };
}

static void look(struct graph *g, const struct overlay *o, uint32_t *k, uint32_t *v)
{
	struct seen *seen = (struct seen *)(uintptr_t)o->ctx;

	seen->k[seen->n] = *k;
	seen->v[seen->n++] = *v;
	tape_keep(g->tape, *k);
	tape_keep(g->tape, *v);
}

/* One document of n tokens. */
static void put_document(struct batch *b, const int32_t *ids, int32_t n)
{
	for (int32_t i = 0; i < n; i++) {
		b->ids[i] = ids[i];
		b->pos[i] = b->key[i] = b->key_pos[i] = i;
		b->vis_end[i] = n;
		b->vis_from[i] = b->type[i] = 0;
	}
	b->segments[0] = (struct segment){ .len = n, .parent = -1, .end = n, .adapter = -1 };
	b->n_rows = b->n_keys = b->tree[1] = n;
	b->n_segments = b->n_docs = b->n_trees = 1;
	b->tree[0] = 0;
	batch_see(b, 1, n);
}

static void copy_half(const struct run *r, uint32_t x, const struct past_keys *to, size_t half)
{
	size_t W = run_tensor(r, x)->dim[1];
	const float *from = run_read(r, x);

	for (size_t i = 0; i < (size_t)to->n; i++)
		memcpy(to->at + half * to->half + i * to->row, from + i * W, W * sizeof(*from));
}

static int run_tokens(struct model_pass *p, const struct seen *seen, const struct past_keys *to, const int32_t *ids,
                      struct err *e)
{
	if (model_pass_start(p, NULL, e) < 0)
		return -1;
	put_document(&p->pass.batch, ids, to->n);
	if (pass_step(&p->pass) < 0)
		return err_set(e, "interrupted while keys and values of %d tokens were computed", to->n);
	for (int l = 0; l < seen->n; l++) {
		copy_half(&p->pass.run, seen->k[l], to, 2 * (size_t)l);
		copy_half(&p->pass.run, seen->v[l], to, 2 * (size_t)l + 1);
	}
	return 0;
}

/* ids NULL: layers are counted alone, and bytes what the pass would take. How many layers, or −1. */
static int look_at(const struct past_keys *to, const struct model *m, const struct overlay *under, struct device *d,
                   const int32_t *ids, bool as_trained, size_t *bytes, struct err *e)
{
	static const struct overlay_hooks hooks = { .attention = look };
	size_t layers = (size_t)m->config.n_layers;
	struct seen seen = { mem_array(layers, sizeof(uint32_t)), mem_array(layers, sizeof(uint32_t)), 0 };
	struct batch_cap cap = { to->n, 1, 1, 1, 1, to->n, NULL, 0 };
	struct model_pass p;
	struct overlay o;
	int status = 0;

	overlay_init(&o, m);
	o.hooks = &hooks;
	o.ctx = &seen;
	o.under = under;
	model_pass_begin(&p, d, &cap, m, &o, false);
	p.graph.as_trained = as_trained;
	p.result = graph_hidden(&p.graph);
	if (seen.n == (int)layers)
		status = pass_plan(&p.pass, NULL, e);
	if (seen.n == (int)layers && status == 0)
		*bytes = pass_bytes(&p.pass);
	if (seen.n == (int)layers && status == 0 && ids)
		status = run_tokens(&p, &seen, to, ids, e);
	model_pass_release(&p);
	overlay_release(&o);
	mem_free(seen.k);
	mem_free(seen.v);
	return status < 0 ? -1 : seen.n;
}

int past_keys_layers(const struct model *m, struct err *e)
{
	struct past_keys one = { .n = 1 };
	size_t bytes;
	const struct kernels *k = kernels_get(NULL, e);
	struct pool *pool = k ? pool_new(1) : NULL;
	struct device d = device_cpu(k, pool);
	int n = k ? look_at(&one, m, NULL, &d, NULL, false, &bytes, e) : -1;

	pool_free(pool);
	return n;
}

int past_keys_make(const struct past_keys *to, const struct model *m, const struct overlay *under, struct device *d,
                   const int32_t *ids, bool as_trained, struct err *e)
{
	size_t bytes;
	int n = look_at(to, m, under, d, ids, as_trained, &bytes, e);

	if (n >= 0 && n != m->config.n_layers)
		BUG("keys of %d of %d layers", n, m->config.n_layers);
	return MIN(n, 0);
}

size_t past_keys_bytes(const struct past_keys *to, const struct model *m, const struct overlay *under, struct device *d)
{
	struct err ignored = ERR_INIT;
	size_t bytes = 0;

	return look_at(to, m, under, d, NULL, true, &bytes, &ignored) < 0 ? 0 : bytes;
}

/* --- in a graph --- */

static uint32_t before(struct graph *g, int half, uint32_t x)
{
	size_t dim[2] = { (size_t)g->past->n, g->past->row };
	uint32_t past = tape_weight(g->tape, half ? "past_values" : "past_keys", DTYPE_F32, 2, dim);

	g->past_tensor[2 * g->layer + half] = past;
	return op_past_keys(g->tape, past, x);
}

void past_keys_record(struct graph *g, uint32_t *k, uint32_t *v)
{
	if (!g->past)
		return;
	*k = before(g, 0, *k);
	*v = before(g, 1, *v);
}

void past_keys_bind(const struct graph *g, struct run *r)
{
	for (size_t i = 0; g->past && i < 2 * (size_t)g->model->config.n_layers; i++)
		if (g->past_tensor[i])
			run_bind_host(r, g->past_tensor[i], g->past->at + i * g->past->half);
}
