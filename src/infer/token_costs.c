/* token_costs: a row of numbers for each sequence; what a step brings is computed by all threads, a token each. */
#include "infer/token_costs.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "op/logprob.h"

void token_costs_want(struct token_costs *c, int sequences, size_t n_ctx, size_t V, const struct kernels *k)
{
	size_t n = (size_t)sequences * n_ctx;

	*c = (struct token_costs){ .n_ctx = n_ctx, .V = V, .kernels = k, .cost = mem_array(n, sizeof(float)) };
	for (size_t i = 0; i < n; i++)
		c->cost[i] = NAN;
}

void token_costs_release(struct token_costs *c)
{
	mem_free(c->cost);
	mem_free(c->todo);
	mem_free(c->room);
}

float *token_costs_of(const struct token_costs *c, int sequence) { return c->cost + (size_t)sequence * c->n_ctx; }

void token_costs_begin(struct token_costs *c, int to, int from, size_t n, bool next)
{
	float *out;

	if (!c->cost)
		return;
	out = token_costs_of(c, to);
	n = from < 0 ? 0 : n + next;
	if (n && from != to)
		memcpy(out, token_costs_of(c, from), n * sizeof(*out));
	for (size_t i = n; i < c->n_ctx; i++)
		out[i] = NAN;
}

void token_costs_add(struct token_costs *c, int sequence, size_t at, int32_t id, const float *logits)
{
	if (!c->cost || at >= c->n_ctx)
		return;
	c->todo = mem_grow(c->todo, c->n + 1, sizeof(*c->todo));
	c->todo[c->n++] = (struct token_cost){ logits, id, token_costs_of(c, sequence) + at };
}

static void compute(void *ctx, size_t item, int thread)
{
	const struct token_costs *c = ctx;
	const struct token_cost *one = &c->todo[item];
	float *room = c->room + (size_t)thread * logprob_room(c->V);

	*one->out = -logprob_of_logits(c->kernels, one->logits, c->V, (size_t)one->id, room);
}

void token_costs_compute(struct token_costs *c, struct pool *pool)
{
	if (c->n && c->threads < pool_threads(pool)) {
		c->threads = pool_threads(pool);
		c->room = mem_grow(c->room, (size_t)c->threads * logprob_room(c->V), sizeof(*c->room));
	}
	pool_run(pool, c->n, compute, c);
	c->n = 0;
}
