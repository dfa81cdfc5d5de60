/* kv_put: the batch's keys or values into a cache: cache[key[i]] = x[i].
 *
 *     x (N, G·D)      cache (keys, G·D), bound by the caller
 *
 * The output is the cache tensor itself, so attention recorded on it runs after it (nodes run in the order of the
 * record). It exists only in tapes of sessions: a write into memory that outlives the step has no gradient, and asking
 * for one is refused. */
#include "op/ops.h"

#include <string.h>

#include "op/run.h"

static int kv_put_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]), *cache = tape_tensor(t, n->in[1]);

	if (tape_wants(t, n->in[0]))
		return err_set(e, "%s goes into a cache, which passes no gradient back", x->name);
	if (cache->role != ROLE_STATE || x->n_dims != 2 || cache->n_dims != 2 || x->dim[1] != cache->dim[1])
		return err_set(e, "%s has rows of %zu, the cache %s of %zu", x->name, x->dim[1], cache->name, cache->dim[1]);
	n->out[0] = n->in[1];
	return 0;
}

static void kv_put_forward(struct run *r, const struct node *n)
{
	const struct tensor *cache = run_tensor(r, n->in[1]);
	const struct batch *b = r->batch;
	const float *x = run_f32(r, n->in[0]);
	float *rows = run_f32(r, n->out[0]);
	size_t C = cache->dim[1];

	for (size_t i = 0; i < (size_t)b->n_rows; i++) {
		if (b->key[i] < 0 || (size_t)b->key[i] >= cache->dim[0])
			BUG("row %zu has key %d, the cache %s has %zu", i, b->key[i], cache->name, cache->dim[0]);
		memcpy(rows + (size_t)b->key[i] * C, x + i * C, C * sizeof(float));
	}
}

static void kv_put_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = 0;
	*bytes = 8 * tensor_live(tape_tensor(t, n->in[0]), live);
}

const struct op op_row_kv_put = { .name = "kv_put", .shape = kv_put_shape, .cost = kv_put_cost, .forward = kv_put_forward };

uint32_t op_kv_put(struct tape *t, uint32_t x, uint32_t cache)
{
	return tape_record(t, &op_row_kv_put, (uint32_t[]){ x, cache }, 2, NULL, 0);
}
