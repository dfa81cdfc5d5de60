/* scorer: log-probabilities of documents, packed as forests. The tape is recorded for exactly the maxima that the
 * documents at hand need, and recorded again only when others need more. */
#include "infer/scorer.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/stop.h"
#include "infer/typical.h"

#define FORECAST_SECONDS 0.05      /* of repetitions when it is asked how long a micro-batch takes */
#define NEARLY 1e-6                /* log-probabilities that are nearer than this are equal */

struct scorer {
	struct model *model;
	const struct overlay *overlay;
	struct device *device;
	struct scorer_options options;
	int32_t virtual_tokens;       /* before every document */

	struct batch_cap cap;
	struct model_pass net;        /* for `cap` */

	struct work work;
	int64_t computed;
};

int scorer_new(struct scorer **out, struct model *m, const struct overlay *o, struct device *d,
               const struct scorer_options *options, struct err *e)
{
	if (!options->states && !options->record && !options->own_tokens && model_want_causal(m, e) < 0)
		return -1;
	struct scorer *s = mem_alloc(sizeof(*s));

	*s = (struct scorer){ .model = m, .overlay = o, .device = d, .options = *options };
	s->virtual_tokens = overlays_virtual(o);
	s->options.max_tokens = MAX(options->max_tokens, options->max_length + s->virtual_tokens);
	s->cap.columns = options->columns;
	if (options->max_length < 1 || options->max_length > overlays_context(o, m)) {
		int32_t virtual = s->virtual_tokens;
		mem_free(s);
		return virtual ? err_set(e, "documents of up to %d tokens after the adapter's %d virtual ones cannot "
		                            "be scored: the model has %d positions",
		                         options->max_length, virtual, m->config.n_ctx) :
		                 err_set(e, "documents of up to %d tokens cannot be scored: the model has %d positions",
		                         options->max_length, m->config.n_ctx);
	}
	if (s->options.max_tokens > FOREST_MAX_ROWS) {
		int32_t most = s->options.max_tokens;
		mem_free(s);
		return err_set(e, "documents or micro-batches of %d tokens cannot be scored, at most %d can", most,
		               FOREST_MAX_ROWS);
	}
	*out = s;
	return 0;
}

static int make_plan(struct scorer *s, struct err *e)
{
	struct model_pass *p = &s->net;

	model_pass_begin(p, s->device, &s->cap, s->model, s->overlay, false);
	p->pass.shared = s->options.memory;
	p->graph.as_trained = s->options.as_trained;
	p->graph.layered = s->options.layered;
	p->graph.layered_ctx = s->options.ctx;
	/* the op keeps m and L of a row (logprob.h) where a z-loss wants them: of this one there is no gradient */
	p->graph.z_loss = s->options.greedy ? FLT_MIN : 0;
	uint32_t hidden = graph_hidden(&p->graph);
	p->result = s->options.record ? s->options.record(s->options.ctx, &p->graph, hidden) :
	            s->options.states ? graph_states(&p->graph, hidden) : graph_logprob(&p->graph, hidden);
	if (s->options.greedy)
		tape_keep(p->graph.tape, p->graph.logprob_stat);
	return pass_plan(&p->pass, NULL, e);
}

/* What is computed is not a log-probability a label. */
static bool has_own_form(const struct scorer *s) { return s->options.states || s->options.record; }

static struct forest_options packing(const struct scorer *s, bool all)
{
	bool encoder = s->model->config.arch->encoder;

	return (struct forest_options){ .max_tokens = s->options.max_tokens, .share = !s->options.unshared && !encoder,
		                        .all_targets = all,
		                        .own_rows = encoder || (has_own_form(s) && !s->options.next_tokens),
		                        .virtual_tokens = s->virtual_tokens, .first_virtual = s->model->config.V,
		                        .invoked = overlays_invocations(s->overlay) ? overlays_invoked : NULL,
		                        .ctx = s->overlay };
}

static int check_lengths(const struct scorer *s, const struct document *const *docs, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (docs[i]->n > s->options.max_length)
			return err_set(e, "%s:%zu: %d tokens, at most %d can be scored", docs[i]->file, docs[i]->line,
			               docs[i]->n, s->options.max_length);
	return 0;
}

/* The micro-batches of all documents. */
struct packed {
	struct live live;              /* sums */
	double batches;
};

/* What the documents need is recorded and planned, no memory is taken yet. */
static int plan_for(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct packed *sum,
                    struct err *e)
{
	struct forest_options o = packing(s, all);
	struct batch_cap cap = s->cap, need;
	struct live live;
	int64_t tokens;

	*sum = (struct packed){ 0 };
	if (check_lengths(s, docs, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; sum->batches++) {
		if (stop_look(e, "documents were packed") < 0)
			return -1;
		i += forest_take(docs + i, n - i, &o, &need, &live, &tokens);
		batch_cap_max(&cap, &need);
		live_add(&sum->live, &live, 1);
	}
	if (s->net.pass.planned && !memcmp(&cap, &s->cap, sizeof(cap)))
		return 0;
	model_pass_release(&s->net);
	s->cap = cap;
	return make_plan(s, e);
}

size_t scorer_take(const struct scorer *s, const struct document *const *docs, size_t n)
{
	struct forest_options o = packing(s, false);
	struct batch_cap need;
	struct live live;
	int64_t tokens;

	return forest_take(docs, n, &o, &need, &live, &tokens);
}

void scorer_reserve(struct scorer *s, const struct batch_cap *cap)
{
	const struct batch_column *columns = s->cap.columns;

	if (s->net.pass.planned)
		BUG("room reserved in a scorer that has its plan");
	batch_cap_max(&s->cap, cap);
	s->cap.columns = columns;
}

const struct batch_cap *scorer_cap(const struct scorer *s) { return &s->cap; }

int scorer_prepare(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct err *e)
{
	struct packed sum;

	if (plan_for(s, docs, n, all, &sum, e) < 0)
		return -1;
	return s->net.pass.started ? 0 : model_pass_start(&s->net, NULL, e);
}

/* Hands the micro-batch's log-probabilities to their documents. */
static void distribute(const struct scorer *s, double *sum, float **each)
{
	const struct batch *b = &s->net.pass.batch;
	const float *logprob = model_pass_result(&s->net);
	int first = !s->model->config.arch->encoder - s->virtual_tokens;

	for (int32_t i = 0; i < b->n_labels; i++) {
		sum[b->label_doc[i]] += logprob[i];
		if (each)
			each[b->label_doc[i]][b->pos[b->target_row[b->label_target[i]]] + first] = logprob[i];
	}
}

/* log p ≤ −log L of the row, and equal where the token's logit is the largest. */
static void find_greedy(const struct scorer *s, uint8_t *greedy)
{
	const struct batch *b = &s->net.pass.batch;
	const float *logprob = model_pass_result(&s->net),
	            *stat = run_read(&s->net.pass.run, s->net.graph.logprob_stat);

	for (int32_t i = 0; i < b->n_labels; i++)
		if ((double)logprob[i] < -log((double)stat[2 * (size_t)b->label_target[i] + 1]) - NEARLY)
			greedy[b->label_doc[i]] = 0;
}

int scorer_run(struct scorer *s, const struct document *const *docs, size_t n, bool all, double *sum, float **each,
               int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e)
{
	struct forest_options o = packing(s, all);
	struct pass *p = &s->net.pass;
	struct batch_cap need;
	struct live live;
	int64_t tokens;

	if (scorer_prepare(s, docs, n, all, e) < 0)
		return -1;
	if (!sum && !has_own_form(s))
		BUG("no place for the sums");
	if (sum)
		memset(sum, 0, n * sizeof(*sum));
	if (s->options.greedy)
		memset(s->options.greedy, 1, n);
	for (size_t i = 0, some; i < n; i += some) {
		some = forest_take(docs + i, n - i, &o, &need, &live, &tokens);
		forest_fill(&p->batch, docs + i, some, &o);
		if (pass_step(p) < 0)
			return err_set(e, "interrupted while document %zu of %zu was scored", i + 1, n);
		if (!has_own_form(s))
			distribute(s, sum + i, each ? each + i : NULL);
		if (s->options.greedy)
			find_greedy(s, s->options.greedy + i);
		if (s->options.scored)
			s->options.scored(s->options.ctx, &p->batch, docs + i, model_pass_result(&s->net));
		struct work work = pass_work(p, &live);
		s->work.flops += work.flops;
		s->work.int_ops += work.int_ops;
		s->computed += p->batch.n_rows;
		if (progress && progress(ctx, i + some, n))
			return err_set(e, "interrupted after %zu of %zu documents", i + some, n);
	}
	return 0;
}

int scorer_forecast(struct scorer *s, const struct document *const *docs, size_t n, bool all, struct scorer_forecast *f,
                    struct err *e)
{
	struct forest_options o = packing(s, all);
	struct typical typical;
	struct timing time;
	struct packed all_of;

	*f = (struct scorer_forecast){ 0 };
	if (plan_for(s, docs, n, all, &all_of, e) < 0)
		return -1;
	struct live mean = live_over(&all_of.live, all_of.batches);
	typical_init(&typical, n, mean.rows);
	typical_look(&typical, docs, n, &o);
	int status = typical_time(&typical, &s->net, &o, &mean, FORECAST_SECONDS, &time, e);
	typical_release(&typical);
	if (status < 0)
		return -1;
	f->computed_tokens = (int64_t)all_of.live.rows;
	f->seconds = all_of.batches * time.seconds;
	f->touch_rate = timing_touch_rate(time.touched_bytes, time.touch_seconds);
	struct work work = pass_work(&s->net.pass, &all_of.live);
	f->flops = work.flops;
	f->int_ops = work.int_ops;
	f->bytes = pass_bytes(&s->net.pass);
	return 0;
}

double scorer_flops(const struct scorer *s) { return s->work.flops; }

double scorer_int_ops(const struct scorer *s) { return s->work.int_ops; }

int64_t scorer_computed_tokens(const struct scorer *s) { return s->computed; }

void scorer_free(struct scorer *s)
{
	if (!s)
		return;
	model_pass_release(&s->net);
	mem_free(s);
}
