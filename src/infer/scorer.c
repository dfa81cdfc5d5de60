/* scorer: see scorer.h. The tape is recorded for exactly the maxima that the documents at hand need, and recorded again
 * only when others need more. */
#include "infer/scorer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/graph.h"
#include "op/timing.h"

#define FORECAST_SECONDS 0.05      /* of repetitions when it is asked how long a micro-batch takes */

struct scorer {
	struct model *model;
	const struct adapter *adapter;
	const struct params *params;
	const int *replaced;
	struct pool *pool;
	const struct kernels *kernels;
	struct scorer_options options;

	struct batch_cap cap;
	bool planned;                  /* the following are there */
	struct tape tape;
	struct graph graph;
	uint32_t logprob;
	struct plan plan;
	bool ready;                    /* and these: memory is taken */
	struct run run;
	struct batch batch;

	double flops, int_ops;
	int64_t computed;
};

int scorer_new(struct scorer **out, struct model *m, const struct adapter *a, const struct params *params,
               const int *replaced, struct pool *pool, const struct kernels *k, const struct scorer_options *o,
               struct err *e)
{
	struct scorer *s = mem_alloc(sizeof(*s));

	*s = (struct scorer){ .model = m,
		              .adapter = a,
		              .params = params,
		              .replaced = replaced,
		              .pool = pool,
		              .kernels = k,
		              .options = *o };
	s->options.max_tokens = MAX(o->max_tokens, o->max_length);
	if (o->max_length < 1 || o->max_length > m->config.n_ctx) {
		mem_free(s);
		return err_set(e, "documents of up to %d tokens cannot be scored: the model has %d positions",
		               o->max_length, m->config.n_ctx);
	}
	*out = s;
	return 0;
}

static void tear_down(struct scorer *s)
{
	if (s->ready) {
		run_release(&s->run);
		batch_release(&s->batch);
	}
	if (s->planned) {
		plan_release(&s->plan);
		graph_release(&s->graph);
		tape_release(&s->tape);
	}
	s->ready = s->planned = false;
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

static int make_plan(struct scorer *s, struct err *e)
{
	if (record(s, e) == 0 && plan_make(&s->plan, &s->tape, s->kernels, NULL, e) == 0) {
		s->planned = true;
		return 0;
	}
	graph_release(&s->graph);
	tape_release(&s->tape);
	return -1;
}

static int take(struct scorer *s, struct err *e)
{
	if (s->ready)
		return 0;
	if (run_init(&s->run, &s->plan, s->kernels, s->pool, e) < 0)
		return -1;
	graph_bind(&s->graph, &s->run, NULL);
	batch_init(&s->batch, &s->cap);
	s->ready = true;
	return 0;
}

static struct forest_options packing(const struct scorer *s, bool all)
{
	return (struct forest_options){ .max_tokens = s->options.max_tokens, .share = true, .all_targets = all };
}

static int check_lengths(const struct scorer *s, const struct document *const *docs, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (docs[i]->n > s->options.max_length)
			return err_set(e, "%s:%zu: %d tokens, at most %d can be scored", docs[i]->file, docs[i]->line,
			               docs[i]->n, s->options.max_length);
	return 0;
}

/* What the documents need is recorded and planned, no memory is taken yet. */
static int plan_for(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct err *e)
{
	struct forest_options o = packing(s, all);
	struct batch_cap cap = s->cap, need;
	struct live live;
	int64_t tokens;

	if (check_lengths(s, docs, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n;
	     i += forest_take(docs + i, n - i, &o, &need, &live, &tokens), batch_cap_max(&cap, &need))
		;
	if (s->planned && !memcmp(&cap, &s->cap, sizeof(cap)))
		return 0;
	tear_down(s);
	s->cap = cap;
	return make_plan(s, e);
}

int scorer_prepare(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct err *e)
{
	return plan_for(s, docs, n, all, e) < 0 ? -1 : take(s, e);
}

/* Hands the micro-batch's log-probabilities to their documents. */
static void distribute(const struct scorer *s, double *sum, float **each)
{
	const struct batch *b = &s->batch;
	const float *logprob = run_f32(&s->run, s->logprob);

	for (int32_t i = 0; i < b->n_labels; i++) {
		sum[b->label_doc[i]] += logprob[i];
		if (each)
			each[b->label_doc[i]][b->pos[b->target_row[b->label_target[i]]] + 1] = logprob[i];
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
		distribute(s, sum + i, each ? each + i : NULL);
		double flops, bytes;
		plan_cost(&s->plan, &live, &flops, &bytes);
		s->flops += flops;
		s->int_ops += plan_int_ops(&s->plan, &live);
		s->computed += s->batch.n_rows;
		if (progress && progress(ctx, i + some, n))
			return err_set(e, "interrupted after %zu of %zu documents", i + some, n);
	}
	return 0;
}

/* --- what it would take --- */

/* A walk over all micro-batches: their sums, and the one whose rows are nearest to the mean. */
struct walk {
	struct live live;
	double n;
	size_t first, count;
	struct batch_cap cap;          /* of that one */
};

static void walk(const struct scorer *s, const struct document *const *docs, size_t n, bool all, double mean,
                 struct walk *w)
{
	struct forest_options o = packing(s, all);
	double nearest = INFINITY;

	*w = (struct walk){ 0 };
	for (size_t i = 0, some; i < n; i += some) {
		struct batch_cap cap = { 0 };
		struct live live;
		int64_t tokens;
		some = forest_take(docs + i, n - i, &o, &cap, &live, &tokens);
		w->live = (struct live){ w->live.rows + live.rows, w->live.targets + live.targets,
			                 w->live.labels + live.labels, w->live.visible + live.visible };
		w->n++;
		if (fabs(live.rows - mean) < nearest) {
			nearest = fabs(live.rows - mean);
			w->first = i;
			w->count = some;
			w->cap = cap;
		}
	}
}

static void bind_weights(void *ctx, struct run *r) { graph_bind(ctx, r, NULL); }

static int time_typical(struct scorer *s, const struct document *const *docs, bool all, const struct walk *w,
                        struct timing *out, struct err *e)
{
	struct forest_options o = packing(s, all);
	struct live mean = { w->live.rows / w->n, w->live.targets / w->n, w->live.labels / w->n,
		             w->live.visible / w->n };
	struct batch batch;

	batch_init(&batch, &w->cap);
	forest_fill(&batch, docs + w->first, w->count, &o);
	struct timing_options how = {
		.batch = &batch, .mean = mean, .bind = bind_weights, .ctx = &s->graph, .budget = FORECAST_SECONDS
	};
	int status = plan_time(out, &s->plan, s->kernels, s->pool, &how, e);
	batch_release(&batch);
	return status;
}

int scorer_forecast(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct scorer_forecast *f,
                    struct err *e)
{
	struct timing pass;
	struct walk w;
	double bytes;

	*f = (struct scorer_forecast){ 0 };
	if (plan_for(s, docs, n, all, e) < 0)
		return -1;
	walk(s, docs, n, all, 0, &w);
	walk(s, docs, n, all, w.live.rows / w.n, &w);
	if (time_typical(s, docs, all, &w, &pass, e) < 0)
		return -1;
	f->computed_tokens = (int64_t)w.live.rows;
	f->seconds = w.n * pass.seconds;
	f->touch_rate = timing_touch_rate(pass.touched_bytes, pass.touch_seconds);
	plan_cost(&s->plan, &w.live, &f->flops, &bytes);
	f->bytes = s->plan.arena_bytes + s->plan.scratch_bytes * (size_t)pool_threads(s->pool) + batch_bytes(&s->cap);
	return 0;
}

double scorer_flops(const struct scorer *s) { return s->flops; }

double scorer_int_ops(const struct scorer *s) { return s->int_ops; }

int64_t scorer_computed_tokens(const struct scorer *s) { return s->computed; }

void scorer_free(struct scorer *s)
{
	if (!s)
		return;
	tear_down(s);
	mem_free(s);
}
