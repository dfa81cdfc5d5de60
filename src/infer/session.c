/* session: see session.h. A forward-only tape whose attention reads a cache: row i of a step is position and key length + i.
 *
 * Tokens go in by chunks of up to CHUNK rows through one plan; a row's bits do not depend on the rows beside it, so feeding one by one or
 * all at once gives the same logits. Logits are computed for the last token alone. The cache is mapped whole and becomes real as it fills. */
#include "infer/session.h"

#include <string.h>

#include "base/mem.h"

enum { CHUNK = 256 };

struct session {
	struct model *model;
	int n_ctx, length;
	struct tape tape;
	struct graph graph;
	uint32_t logits;
	struct plan plan;
	struct run run;
	struct batch batch;
	struct kv_tensors *kv;
	float *cache;                  /* [layers][keys and values][n_ctx][G·D] */
	size_t cache_bytes;
};

static void make_cache_tensors(struct session *s)
{
	const struct config *c = &s->model->config;
	size_t dim[2] = { (size_t)s->n_ctx, (size_t)c->G * (size_t)c->D };

	s->kv = mem_array((size_t)c->n_layers, sizeof(*s->kv));
	for (int i = 0; i < c->n_layers; i++)
		s->kv[i] = (struct kv_tensors){ tape_state(&s->tape, "k_cache", AXIS_FIXED, 2, dim), tape_state(&s->tape, "v_cache", AXIS_FIXED, 2, dim) };
}

static int record(struct session *s, const struct adapter *a, struct err *e)
{
	int32_t rows = MIN(CHUNK, s->n_ctx);
	struct batch_cap cap = { .rows = rows, .targets = 1, .segments = 1, .docs = 1, .keys = s->n_ctx };

	tape_init(&s->tape, &cap, false);
	batch_init(&s->batch, &cap);
	make_cache_tensors(s);
	if (graph_init(&s->graph, &s->tape, s->model, NULL, a, false, e) < 0)
		return -1;
	s->graph.kv = s->kv;
	s->logits = graph_logits(&s->graph, graph_hidden(&s->graph));
	return s->tape.err.msg[0] ? err_set(e, "%s", s->tape.err.msg) : 0;
}

static void bind(struct session *s)
{
	const struct config *c = &s->model->config;
	size_t one = (size_t)s->n_ctx * (size_t)c->G * (size_t)c->D;

	graph_bind(&s->graph, &s->run, NULL);
	for (int i = 0; i < c->n_layers; i++) {
		run_bind(&s->run, s->kv[i].k, s->cache + 2 * (size_t)i * one);
		run_bind(&s->run, s->kv[i].v, s->cache + (2 * (size_t)i + 1) * one);
	}
	for (int j = 0; j < s->n_ctx; j++)
		s->batch.vis_end[j] = s->n_ctx; /* one document: every later row sees a key */
}

static int build(struct session *s, const struct adapter *a, struct pool *pool, const struct kernels *k, struct err *e)
{
	const struct config *c = &s->model->config;
	void *cache;

	if (record(s, a, e) < 0 || plan_make(&s->plan, &s->tape, k, NULL, e) < 0 || run_init(&s->run, &s->plan, k, pool, e) < 0)
		return -1;
	s->cache_bytes = 2 * (size_t)c->n_layers * (size_t)s->n_ctx * (size_t)c->G * (size_t)c->D * sizeof(float);
	if (mem_map(&cache, s->cache_bytes, "keys and values", e) < 0)
		return -1;
	s->cache = cache;
	bind(s);
	return 0;
}

int session_new(struct session **out, struct model *m, const struct adapter *a, struct pool *pool, const struct kernels *k, int n_ctx, struct err *e)
{
	if (n_ctx < 1 || n_ctx > m->config.n_ctx)
		return err_set(e, "a context of %d tokens: the model has %d positions", n_ctx, m->config.n_ctx);
	struct session *s = mem_alloc(sizeof(*s));
	*s = (struct session){ .model = m, .n_ctx = n_ctx };
	if (build(s, a, pool, k, e) < 0) {
		session_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	if (s->cache)
		mem_unmap(s->cache, s->cache_bytes);
	run_release(&s->run);
	plan_release(&s->plan);
	graph_release(&s->graph);
	tape_release(&s->tape);
	batch_release(&s->batch);
	mem_free(s->kv);
	mem_free(s);
}

static void step(struct session *s, const int32_t *ids, int32_t n, bool last)
{
	struct batch *b = &s->batch;

	for (int32_t i = 0; i < n; i++) {
		b->ids[i] = ids[i];
		b->pos[i] = b->key[i] = s->length + i;
	}
	b->n_rows = n;
	b->n_keys = s->length + n;
	b->n_segments = b->n_docs = b->n_trees = 1;
	b->segments[0] = (struct segment){ .len = n, .parent = -1, .pos0 = s->length, .end = n };
	b->tree[0] = 0;
	b->tree[1] = n;
	b->n_targets = last;
	b->target_row[0] = n - 1;
	b->visible = (double)n * (s->length + 0.5 * (n + 1));
	run_step(&s->run, b);
	s->length += n;
}

int session_feed(struct session *s, const int32_t *ids, size_t n, const float **logits, struct err *e)
{
	if (n == 0)
		BUG("no tokens");
	if (n > (size_t)(s->n_ctx - s->length))
		return err_set(e, "the context is full: %d tokens are in it and %zu are to be added, it holds %d", s->length, n, s->n_ctx);
	for (size_t i = 0; i < n; i += CHUNK)
		step(s, ids + i, (int32_t)MIN(n - i, (size_t)CHUNK), n - i <= CHUNK);
	*logits = run_f32(&s->run, s->logits);
	return 0;
}

int session_length(const struct session *s) { return s->length; }

int session_limit(const struct session *s) { return s->n_ctx; }

void session_bytes(const struct session *s, size_t *work, size_t *cache)
{
	size_t rope = s->graph.rope ? (size_t)s->n_ctx * (size_t)s->model->config.D * sizeof(float) : 0;

	*work = s->plan.arena_bytes + s->plan.scratch_bytes * (size_t)pool_threads(s->run.pool) + batch_bytes(&s->batch.cap) + rope;
	*cache = s->cache_bytes;
}

void session_truncate(struct session *s, int length)
{
	if (length < 0 || length > s->length)
		BUG("truncating %d tokens to %d", s->length, length);
	s->length = length;
}
