/* kv_put: the batch's keys or values into a cache: cache[key[i]] = x[i], rounded to how the cache stores numbers.
 *
 *     x (N, G·D)      cache (keys, G·D) of any dtype that can be written, bound by the caller
 *
 * The output is the cache tensor itself, so attention recorded on it runs after it (nodes run in the order of the
 * record). It exists only in tapes of sessions: a write into memory that outlives the step has no gradient, and asking
 * for one is refused. */
#include "op/ops.h"

#include "base/mem.h"
#include "op/run.h"

enum { ITEM_ROWS = 16 };

static int kv_put_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *cache = tape_tensor(t, n->in[1]);
	const struct dtype_info *d = &dtypes[cache->dtype];

	if (tape_wants(t, n->in[0]))
		return err_set(e, "%s goes into a cache, which passes no gradient back", x->name);
	if (cache->role != ROLE_STATE || x->n_dims != 2 || cache->n_dims != 2 || x->dim[1] != cache->dim[1])
		return err_set(e, "%s has rows of %zu, the cache %s of %zu", x->name, x->dim[1], cache->name, cache->dim[1]);
	if (cache->dim[1] % d->block || !d->from_float)
		return err_set(e, "rows of %zu numbers cannot be kept in %s%s", cache->dim[1], d->name, d->from_float ? ", whose blocks are larger" : "");
	n->out[0] = n->in[1];
	return 0;
}

struct put { const struct batch *b; const struct tensor *cache; const float *x; char *rows; size_t bytes; };

static void put_row(const struct put *p, size_t i)
{
	size_t C = p->cache->dim[1];

	if (p->b->key[i] < 0 || (size_t)p->b->key[i] >= p->cache->dim[0])
		BUG("row %zu has key %d, the cache %s has %zu", i, p->b->key[i], p->cache->name, p->cache->dim[0]);
	dtypes[p->cache->dtype].from_float(p->x + i * C, p->rows + (size_t)p->b->key[i] * p->bytes, C);
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
	struct put p = { r->batch, run_tensor(r, n->in[1]), run_f32(r, n->in[0]), r->data[n->out[0]], tensor_row_bytes(run_tensor(r, n->in[1])) };
	size_t N = (size_t)r->batch->n_rows;

	if (N > ITEM_ROWS) {
		pool_run(r->pool, (N + ITEM_ROWS - 1) / ITEM_ROWS, put_item, &p);
		return;
	}
	for (size_t i = 0; i < N; i++)
		put_row(&p, i);
}

static void kv_put_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *cache = tape_tensor(t, n->in[1]);

	*flops = 0;
	*bytes = 4 * tensor_live(x, live) + tensor_live(x, live) / (double)cache->dim[1] * (double)tensor_row_bytes(cache);
}

const struct op op_row_kv_put = { .name = "kv_put", .shape = kv_put_shape, .cost = kv_put_cost, .forward = kv_put_forward };

uint32_t op_kv_put(struct tape *t, uint32_t x, uint32_t cache)
{
	return tape_record(t, &op_row_kv_put, (uint32_t[]){ x, cache }, 2, NULL, 0);
}
