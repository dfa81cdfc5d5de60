/* behaviour_ask: many short questions to a model, in forests: all that begin with a context's tokens share them. What
 * comes next is asked, or how likely what is said already was. */
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

enum { CHUNK = 256, ROWS = 1024 };

static uint32_t record(void *ctx, struct graph *g, uint32_t hidden)
{
	(void)ctx;
	return graph_logits(g, hidden);
}

struct asked_rows { struct asked *a; const struct batch *b; const struct document *const *docs; const float *logits; };

static void see_row(void *ctx, size_t i, int thread)
{
	const struct asked_rows *r = ctx;
	const struct kernels *k = r->a->device->kernels;
	const float *z = r->logits + (size_t)r->b->label_target[i] * r->a->V;
	float *p = r->a->work + (size_t)thread * r->a->V, sum;

	k->exp_sum(p, z, k->max(z, r->a->V), r->a->V, &sum);
	k->scale(p, p, 1 / sum, r->a->V);
	r->a->see(r->a->ctx, r->docs[r->b->label_doc[i]]->line, p, thread);
}

static void scored(void *ctx, struct batch *b, const struct document *const *docs, const float *logits)
{
	struct asked_rows r = { ctx, b, docs, logits };

	pool_run(r.a->device->pool, (size_t)b->n_labels, see_row, &r);
}

static size_t longest(const struct behaviour_options *o)
{
	size_t most = MAX(o->alone.n_before + o->alone.n_behind, o->brief.n_before + o->brief.n_behind);

	for (size_t i = 0; i < o->n_neutral; i++)
		most = MAX(most, o->neutral[i].n_before + o->neutral[i].n_behind);
	for (int place = 0; place < o->n_places; place++)
		for (size_t i = 0; i < o->n; i++)
			most = MAX(most, o->contexts[place][i].n_before + o->contexts[place][i].n_behind);
	return most + CUE_MOST + SEQUENCE_MOST + ANSWER_TOKENS;
}

int asked_open(struct asked *a, const struct behaviour_side *s, const struct behaviour_options *o, struct err *e)
{
	struct scorer_options said = { .max_tokens = ROWS, .max_length = (int32_t)longest(o) }, next = said;

	*a = (struct asked){ .device = o->device, .V = (size_t)s->model->config.V };
	next.record = record;
	next.scored = scored;
	next.ctx = a;
	if (scorer_new(&a->next, s->model, s->overlay, o->device, &next, e) < 0 ||
	    scorer_new(&a->said, s->model, s->overlay, o->device, &said, e) < 0)
		return -1;
	a->work = mem_array((size_t)pool_threads(o->device->pool) * a->V, sizeof(float));
	return 0;
}

void asked_close(struct asked *a)
{
	scorer_free(a->next);
	scorer_free(a->said);
	mem_free(a->work);
	*a = (struct asked){ 0 };
}

static size_t add(int32_t *ids, size_t at, const int32_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ids[at + i] = from[i];
	return at + n;
}

/* The question's tokens. */
static int32_t put(int32_t *ids, const struct question *q)
{
	const struct behaviour_context *c = q->context;
	size_t n = add(ids, 0, c->before, c->n_before);

	n = add(ids, n, q->t.id, (size_t)q->t.n);
	n = add(ids, n, c->behind, c->n_behind);
	return (int32_t)add(ids, n, q->said, (size_t)q->n_said);
}

/* logp NULL: what comes next is asked. */
static int run_chunk(struct asked *a, const struct question *q, size_t n, size_t first, size_t room, double *logp,
                     struct err *e)
{
	struct document *docs = mem_array(n, sizeof(*docs));
	const struct document **list = mem_array(n, sizeof(*list));
	int32_t *ids = mem_array(n * room, sizeof(*ids));
	uint8_t *learn = mem_array(n * room, 1);

	for (size_t i = 0; i < n; i++) {
		int32_t learnt = logp ? q[i].n_said : 1;
		docs[i] = (struct document){ .ids = ids + i * room, .learn = learn + i * room, .n_learn = learnt,
			                     .file = "a question", .line = first + i, .choice = -1 };
		docs[i].n = put(docs[i].ids, &q[i]);
		memset(docs[i].learn + docs[i].n - learnt, 1, (size_t)learnt);
		list[i] = &docs[i];
	}
	int status = scorer_run(logp ? a->said : a->next, list, n, false, logp, NULL, NULL, NULL, e);
	mem_free(docs);
	mem_free(list);
	mem_free(ids);
	mem_free(learn);
	return status;
}

static int run(struct asked *a, const struct question *q, size_t n, const struct behaviour_options *o,
               const char *doing, double *logp, struct err *e)
{
	size_t room = longest(o);

	for (size_t i = 0; i < n; i += CHUNK) {
		if (run_chunk(a, q + i, MIN(n - i, (size_t)CHUNK), i, room, logp ? logp + i : NULL, e) < 0)
			return -1;
		if (o->progress && o->progress(o->ctx, doing, MIN(n, i + CHUNK), n))
			return err_set(e, "interrupted while %s", doing);
	}
	return 0;
}

int asked_run(struct asked *a, const struct question *q, size_t n, const struct behaviour_options *o,
              const char *doing, void (*see)(void *ctx, size_t i, const float *p, int thread), void *ctx,
              struct err *e)
{
	a->see = see;
	a->ctx = ctx;
	return run(a, q, n, o, doing, NULL, e);
}

int asked_said(struct asked *a, const struct question *q, size_t n, const struct behaviour_options *o,
               const char *doing, double *logp, struct err *e)
{
	return run(a, q, n, o, doing, logp, e);
}
