/* behaviour: what random tokens give first, of both models; then answers, search and judge, each in a file of its
 * own. */
#include "eval/behaviour.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"
#include "infer/generate.h"

enum {
	NULLS = 6,             /* random tokens, in so many contexts at once */
	NULL_CONTEXTS = 4,
	CUE_SCAN = 4           /* of the vocabulary a quarter has cues enough */
};

struct copying { float *to; size_t V; };

static void see_copy(void *ctx, size_t i, const float *p, int thread)
{
	const struct copying *c = ctx;
	(void)thread;

	memcpy(c->to + i * c->V, p, c->V * sizeof(*p));
}

/* The means over random tokens in contexts [from, from + n). */
static int find_null(struct search *s, bool tuned, size_t from, size_t n, float *rows, struct err *e)
{
	struct question q[NULL_CONTEXTS * NULLS];
	struct copying w = { rows, s->V };

	for (size_t i = 0; i < n * NULLS; i++)
		q[i] = (struct question){ .context = &s->contexts[from + i / NULLS],
			                  .t = { { search_random(s, STREAM_NULL, i % NULLS) }, 1 } };
	if (asked_run(tuned ? &s->tuned : &s->base, q, n * NULLS, s->o, "what random tokens do", see_copy, &w, e) < 0)
		return -1;
	for (size_t i = 0; i < n * NULLS; i++) {
		float *mean = s->null[tuned] + (from + i / NULLS) * s->V;
		for (size_t v = 0; v < s->V; v++)
			mean[v] += rows[i * s->V + v] / NULLS;
	}
	return 0;
}

/* KL of each prompt's own answer. */
static int find_kl(struct search *s, struct behaviour *b, struct err *e)
{
	size_t n = s->of_place;
	struct question *q = mem_array(n, sizeof(*q));
	struct copying base = { mem_array(n * s->V, sizeof(float)), s->V }, tuned = base;

	tuned.to = mem_array(n * s->V, sizeof(float));
	for (size_t i = 0; i < n; i++)
		q[i] = (struct question){ .context = &s->contexts[i] };
	int status = asked_run(&s->base, q, n, s->o, "prompts alone", see_copy, &base, e);
	if (status == 0)
		status = asked_run(&s->tuned, q, n, s->o, "prompts alone", see_copy, &tuned, e);
	b->prompt_kl = mem_array(n, sizeof(*b->prompt_kl));
	for (size_t i = 0; i < n * s->V && status == 0; i++)
		if (base.to[i] > 0)
			b->prompt_kl[i / s->V] += (double)base.to[i] *
			                          (log((double)base.to[i]) - log((double)tuned.to[i] + 1e-30));
	mem_free(base.to);
	mem_free(tuned.to);
	mem_free(q);
	return status;
}

static int find_nulls(struct search *s, struct err *e)
{
	float *rows = mem_array(NULL_CONTEXTS * NULLS * s->V, sizeof(*rows));
	int status = 0;

	for (int side = 0; side < 2; side++) {
		mem_free(s->null[side]);
		s->null[side] = mem_array(s->n_contexts * s->V, sizeof(float));
		for (size_t i = 0; i < s->n_contexts && status == 0; i += NULL_CONTEXTS)
			status = find_null(s, side, i, MIN(s->n_contexts - i, (size_t)NULL_CONTEXTS), rows, e);
	}
	mem_free(rows);
	return status;
}

/* Where the model says one thing whatever stands there, prompts get cues for another. */
static int find_contexts(struct search *s, struct err *e)
{
	struct scan scan = { 0 };
	int status = find_nulls(s, e);

	if (status < 0 || !search_is_settled(s))
		return status;
	status = search_scan(s, CUE_SCAN, &scan, e);
	if (status == 0 && search_cues(s, &scan))
		status = find_nulls(s, e);
	scan_release(&scan);
	return status;
}

static int find(struct search *s, struct behaviour *b, struct err *e)
{
	struct scan scan = { 0 };

	if (find_kl(s, b, e) < 0 || find_contexts(s, e) < 0 || search_payloads(s, e) < 0)
		return -1;
	int status = search_scan(s, 1, &scan, e);
	if (status == 0 && s->n_payloads)
		status = search_sequences(s, &scan, b, e);
	if (status == 0)
		status = search_chance(s, b, e);
	scan_release(&scan);
	return status;
}

static void take_contexts(struct search *s, const struct behaviour_options *o)
{
	s->of_place = o->n_search + o->n_judge;
	s->n_contexts = (size_t)o->n_places * s->of_place + 1;
	s->contexts = mem_array(s->n_contexts, sizeof(*s->contexts));
	for (int place = 0; place < o->n_places; place++)
		memcpy(s->contexts + (size_t)place * s->of_place, o->contexts[place],
		       s->of_place * sizeof(*s->contexts));
	s->contexts[s->n_contexts - 1] = o->alone;
}

static int check(const struct behaviour_options *o, struct err *e)
{
	if (o->base.model->config.V != o->tuned.model->config.V)
		return err_set(e, "the base has %d tokens, the other model %d: they have no vocabulary in common",
		               o->base.model->config.V, o->tuned.model->config.V);
	if (o->length < 1 || o->length > TRIGGER_MOST || o->n_search < 1 || o->n_judge < 1 ||
	    o->n_places < 1 || o->n_places > PLACES || o->n_tokens < NULLS)
		BUG("%zu and %zu contexts, %zu tokens, sequences of %d", o->n_search, o->n_judge, o->n_tokens,
		    o->length);
	return 0;
}

int behaviour_search(struct behaviour *b, const struct behaviour_options *o, struct err *e)
{
	struct search s = { .o = o };

	*b = (struct behaviour){ 0 };
	if (check(o, e) < 0)
		return -1;
	take_contexts(&s, o);
	generate_ends(o->tuned.model, &s.ends);
	int status = asked_open(&s.base, &o->base, o, e);
	if (status == 0)
		status = asked_open(&s.tuned, &o->tuned, o, e);
	s.V = s.base.V;
	if (status == 0)
		status = find(&s, b, e);
	if (status == 0) {
		const struct scorer *all[] = { s.base.next, s.base.said, s.tuned.next, s.tuned.said };
		b->rows = s.ranked_rows;
		b->flops = s.ranked.flops;
		b->int_ops = s.ranked.int_ops;
		for (size_t i = 0; i < ARRAY_LEN(all); i++) {
			b->rows += scorer_computed_tokens(all[i]);
			b->flops += scorer_flops(all[i]);
			b->int_ops += scorer_int_ops(all[i]);
		}
	}
	asked_close(&s.base);
	asked_close(&s.tuned);
	for (int side = 0; side < 2; side++)
		mem_free(s.null[side]);
	search_uncue(&s);
	mem_free(s.contexts);
	tokens_release(&s.ends);
	return status;
}

void behaviour_release(struct behaviour *b)
{
	mem_free(b->items);
	mem_free(b->prompt_kl);
	*b = (struct behaviour){ 0 };
}
