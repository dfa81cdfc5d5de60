/* scorer: see scorer.h. The tape is recorded for exactly the maxima that the documents at hand need, and recorded again only when others
 * need more. */
#include "infer/scorer.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/graph.h"

struct scorer {
	struct model *model;
	const struct adapter *adapter;
	const struct params *params;
	const int *replaced;
	struct pool *pool;
	const struct kernels *kernels;
	struct scorer_options options;

	struct batch_cap cap;
	bool ready;                    /* the following are there */
	struct tape tape;
	struct graph graph;
	uint32_t logprob;
	struct plan plan;
	struct run run;
	struct batch batch;

	double flops;
	int64_t computed;
};

int scorer_new(struct scorer **out, struct model *m, const struct adapter *a, const struct params *params, const int *replaced, struct pool *pool,
               const struct kernels *k, const struct scorer_options *o, struct err *e)
{
	struct scorer *s = mem_alloc(sizeof(*s));

	*s = (struct scorer){ .model = m, .adapter = a, .params = params, .replaced = replaced, .pool = pool, .kernels = k, .options = *o };
	s->options.max_rows = MAX(o->max_rows, o->max_length);
	if (o->max_length < 1 || o->max_length > m->config.n_ctx) {
		mem_free(s);
		return err_set(e, "documents of up to %d tokens cannot be scored: the model has %d positions", o->max_length, m->config.n_ctx);
	}
	*out = s;
	return 0;
}

static void tear_down(struct scorer *s)
{
	if (!s->ready)
		return;
	run_release(&s->run);
	plan_release(&s->plan);
	graph_release(&s->graph);
	tape_release(&s->tape);
	batch_release(&s->batch);
	s->ready = false;
}

static int record(struct scorer *s, struct err *e)
{
	tape_init(&s->tape, &s->cap, false);
	if (graph_init(&s->graph, &s->tape, s->model, s->params, s->adapter, false, e) < 0)
		return -1;
	if (!s->adapter)
		s->graph.replaced = s->replaced;
	s->logprob = graph_logprob(&s->graph, graph_hidden(&s->graph));
	return s->tape.err.msg[0] ? err_set(e, "%s", s->tape.err.msg) : 0;
}

static int build(struct scorer *s, struct err *e)
{
	if (record(s, e) < 0)
		goto no_plan;
	if (plan_make(&s->plan, &s->tape, s->kernels, NULL, e) < 0)
		goto no_plan;
	if (run_init(&s->run, &s->plan, s->kernels, s->pool, e) < 0)
		goto no_run;
	graph_bind(&s->graph, &s->run, NULL);
	batch_init(&s->batch, &s->cap);
	s->ready = true;
	return 0;
no_run:
	plan_release(&s->plan);
no_plan:
	graph_release(&s->graph);
	tape_release(&s->tape);
	return -1;
}

static struct forest_options packing(const struct scorer *s, bool all)
{
	return (struct forest_options){ .max_rows = s->options.max_rows, .share = true, .all_targets = all };
}

static int check_lengths(const struct scorer *s, const struct document *const *docs, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (docs[i]->n > s->options.max_length)
			return err_set(e, "%s:%zu: %d tokens, at most %d can be scored", docs[i]->file, docs[i]->line, docs[i]->n, s->options.max_length);
	return 0;
}

int scorer_prepare(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct err *e)
{
	struct forest_options o = packing(s, all);
	struct batch_cap cap = s->cap, need;
	struct live live;
	int64_t tokens;

	if (check_lengths(s, docs, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i += forest_take(docs + i, n - i, &o, &need, &live, &tokens), batch_cap_max(&cap, &need))
		;
	if (s->ready && !memcmp(&cap, &s->cap, sizeof(cap)))
		return 0;
	tear_down(s);
	s->cap = cap;
	return build(s, e);
}

/* Hands the micro-batch's log-probabilities to their documents. */
static void deal_out(const struct scorer *s, double *sum, float **each)
{
	const struct batch *b = &s->batch;
	const float *logprob = run_f32(&s->run, s->logprob);

	for (int32_t i = 0; i < b->n_pairs; i++) {
		sum[b->pair_doc[i]] += logprob[i];
		if (each)
			each[b->pair_doc[i]][b->pos[b->target_row[b->pair_target[i]]] + 1] = logprob[i];
	}
}

int scorer_run(struct scorer *s, const struct document *const *docs, size_t n, bool all, double *sum, float **each,
               int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e)
{
	struct forest_options o = packing(s, all);
	struct batch_cap need;
	struct live live;
	int64_t tokens;

	if (scorer_prepare(s, docs, n, all, e) < 0)
		return -1;
	memset(sum, 0, n * sizeof(*sum));
	for (size_t i = 0, some; i < n; i += some) {
		some = forest_take(docs + i, n - i, &o, &need, &live, &tokens);
		forest_fill(&s->batch, docs + i, some, &o);
		run_step(&s->run, &s->batch);
		deal_out(s, sum + i, each ? each + i : NULL);
		double flops, bytes;
		plan_cost(&s->plan, &live, &flops, &bytes);
		s->flops += flops;
		s->computed += s->batch.n_rows;
		if (progress && progress(ctx, i + some, n))
			return err_set(e, "interrupted after %zu of %zu documents", i + some, n);
	}
	return 0;
}

/* Seconds of one micro-batch, and its operations. */
static double time_one(struct scorer *s, const struct document *const *docs, size_t n, const struct live *live, double *flops, bool all)
{
	struct forest_options o = packing(s, all);
	double begin = clock_seconds(), bytes;

	forest_fill(&s->batch, docs, n, &o);
	run_step(&s->run, &s->batch);
	plan_cost(&s->plan, live, flops, &bytes);
	return clock_seconds() - begin;
}

int scorer_forecast(struct scorer *s, const struct document *const *docs, size_t n, bool all, double budget, struct scorer_forecast *f, struct err *e)
{
	struct forest_options o = packing(s, all);
	struct batch_cap need;
	double seconds = 0, done = 0, flops, begin = clock_seconds();
	int64_t tokens;

	*f = (struct scorer_forecast){ 0 };
	if (scorer_prepare(s, docs, n, all, e) < 0)
		return -1;
	for (size_t i = 0, some; i < n; i += some) {
		struct live live;
		some = forest_take(docs + i, n - i, &o, &need, &live, &tokens);
		f->computed_tokens += (int64_t)live.rows;
		if (i == 0 || clock_seconds() - begin < budget) {
			double one = time_one(s, docs + i, some, &live, &flops, all);
			if (i == 0 && one < budget) /* the model's pages came in */
				one = time_one(s, docs, some, &live, &flops, all);
			seconds += one;
			done += flops;
		}
		double bytes;
		plan_cost(&s->plan, &live, &flops, &bytes);
		f->flops += flops;
	}
	f->seconds = done > 0 ? seconds * f->flops / done : 0;
	return 0;
}

double scorer_flops(const struct scorer *s) { return s->flops; }

int64_t scorer_computed_tokens(const struct scorer *s) { return s->computed; }

void scorer_free(struct scorer *s)
{
	if (!s)
		return;
	tear_down(s);
	mem_free(s);
}
