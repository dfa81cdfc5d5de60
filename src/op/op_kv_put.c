/* kv_put: the batch's keys or values into a cache (op/kv_cache.h): cache[place of key[i]] = x[i], rounded to how the
 * cache stores numbers.
 *
 *     x (N, G·D)      cache (keys, kv_width) in f32, f16, bf16 or q8_0, bound by the caller
 *
 * The output is the cache tensor itself, so attention recorded on it runs after it (nodes run in the order of the
 * record). It exists only in tapes of sessions: a write into memory that outlives the step has no gradient, and asking
 * for one is refused. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/kv_cache.h"
#include "op/run.h"
#include "quant/quant.h"

enum { ITEM_ROWS = 16 };

struct put_attr { size_t G; bool values; };

static int kv_put_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *cache = tape_tensor(t, n->in[1]);
	const struct put_attr *a = n->attr;
	const struct dtype_info *d = &dtypes[cache->dtype];

	if (tape_wants(t, n->in[0]))
		return err_set(e, "%s goes into a cache, which passes no gradient back", x->name);
	if (x->n_dims != 2 || cache->n_dims != 2 || !a->G || x->dim[1] % a->G)
		return err_set(e, "%s does not have rows of %zu heads", x->name, a->G);
	if (!kv_keeps(cache->dtype))
		return err_set(e, "keys and values cannot be kept in %s", d->name);
	if (d->block > 1 && x->dim[1] / a->G % QUANT_RUN)
		return err_set(e, "keys and values in blocks want heads of a multiple of %d numbers, these have %zu",
		               QUANT_RUN, x->dim[1] / a->G);
	if (cache->role != ROLE_STATE || cache->dim[0] % KV_RANGE ||
	    cache->dim[1] != kv_width(cache->dtype, a->G, x->dim[1] / a->G))
		return err_set(e, "%s has rows of %zu, the cache %s has %zu of %zu", x->name, x->dim[1], cache->name,
		               cache->dim[0], cache->dim[1]);
	n->out[0] = n->in[1];
	return 0;
}

struct put {
	const struct put_attr *attr;
	const struct batch *b;
	const struct tensor *cache;
	const int32_t *place;          /* of ranges of keys, in the cache */
	const float *x;
	char *data;
	size_t C, bytes;
};

/* One head of one row. Numbers go through the dtype by 32, the last padded with zeros where they are blocks. */
static void put_head(const struct put *p, size_t key, size_t g, const float *x, size_t D)
{
	enum dtype t = p->cache->dtype;
	size_t row = p->attr->values ? key : key / PANEL_ROWS * PANEL_ROWS, plain = panel_plain_bytes(t),
	       block = plain ? plain * PANEL_BLOCK : dtypes[t].bytes;
	char *to = p->data + kv_at(row, g, p->attr->G, p->bytes);

	if (p->attr->values && D % dtypes[t].block == 0) {
		dtypes[t].from_float(x, to, D);
		return;
	}
	for (size_t i = 0; i * PANEL_BLOCK < D; i++) {
		size_t n = MIN(D - i * PANEL_BLOCK, (size_t)PANEL_BLOCK);
		float some[PANEL_BLOCK] = { 0 };
		uint8_t stored[PANEL_BLOCK * sizeof(float)];
		if (n < PANEL_BLOCK)
			memcpy(some, x + i * PANEL_BLOCK, n * sizeof(*some));
		dtypes[t].from_float(n < PANEL_BLOCK ? some : x + i * PANEL_BLOCK, stored, PANEL_BLOCK);
		if (p->attr->values)
			memcpy(to + i * block, stored, plain ? n * plain : block);
		else
			panel_put(t, stored, n, key % PANEL_ROWS, (uint8_t *)to + panel_block_at(t, i));
	}
}

static void put_row(const struct put *p, size_t i)
{
	size_t G = p->attr->G, D = p->C / G;

	if (p->b->key[i] < 0 || p->b->key[i] >= p->b->cap.keys)
		BUG("row %zu has key %d of %d", i, p->b->key[i], p->b->cap.keys);
	size_t at = kv_place(p->place, (size_t)p->b->key[i]);
	if (at >= p->cache->dim[0])
		BUG("row %zu goes to %zu, the cache %s has %zu", i, at, p->cache->name, p->cache->dim[0]);
	for (size_t g = 0; g < G; g++)
		put_head(p, at, g, p->x + i * p->C + g * D, D);
}

static void put_item(void *ctx, size_t item, int thread)
{
	const struct put *p = ctx;
	size_t end = MIN((size_t)p->b->n_rows, (item + 1) * ITEM_ROWS);
	(void)thread;

	for (size_t i = item * ITEM_ROWS; i < end; i++)
		put_row(p, i);
}

/* A few rows are written by the caller: waking threads would take longer. */
static void kv_put_forward(struct run *r, const struct node *n)
{
	const struct tensor *x = run_tensor(r, n->in[0]), *cache = run_tensor(r, n->in[1]);
	struct put p = { .attr = n->attr,
		         .b = r->batch,
		         .cache = cache,
		         .place = batch_places(r->batch, cache->memory),
		         .x = run_f32(r, n->in[0]),
		         .data = r->data[n->out[0]],
		         .C = x->dim[1],
		         .bytes = tensor_row_bytes(cache) };
	size_t N = (size_t)r->batch->n_rows;

	if (N > ITEM_ROWS) {
		pool_run(r->pool, (N + ITEM_ROWS - 1) / ITEM_ROWS, put_item, &p);
		return;
	}
	for (size_t i = 0; i < N; i++)
		put_row(&p, i);
}

static void kv_put_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                        double *bytes)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *cache = tape_tensor(t, n->in[1]);

	*flops = 0;
	*bytes = 4 * tensor_live(x, live) + tensor_live(x, live) / (double)x->dim[1] * (double)tensor_row_bytes(cache);
}

const struct op op_row_kv_put = {
	.name = "kv_put", .shape = kv_put_shape, .cost = kv_put_cost, .forward = kv_put_forward
};

static uint32_t put(struct tape *t, uint32_t x, uint32_t cache, int G, bool values)
{
	struct put_attr attr = { G > 0 ? (size_t)G : 0, values };
	return tape_record(t, &op_row_kv_put, (uint32_t[]){ x, cache }, 2, &attr, sizeof(attr));
}

uint32_t op_put_keys(struct tape *t, uint32_t x, uint32_t cache, int G) { return put(t, x, cache, G, false); }
uint32_t op_put_values(struct tape *t, uint32_t x, uint32_t cache, int G) { return put(t, x, cache, G, true); }
