/* agreement: two forward passes over the same micro-batch, their logits compared row by row. See agreement.h. */
#include "eval/agreement.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "data/forest.h"
#include "infer/scorer.h"
#include "model/model_pass.h"

enum { LENGTH_MOST = 512, LENGTH_LEAST = 32 };

#define LOGITS_BYTES (128 << 20)    /* of one model */

struct token { double kl, first, second; bool same; };   /* log-probabilities of the token that came */

struct comparing {
	const float *first, *second;        /* [targets][V] */
	const int32_t *came;                /* [targets] */
	size_t V;
	struct token *out;
};

int32_t agreement_length(const struct model *m)
{
	size_t fit = LOGITS_BYTES / ((size_t)m->config.V * sizeof(float)), most = (size_t)MIN(m->config.n_ctx,
	                                                                                     LENGTH_MOST);

	return (int32_t)MIN(most, MAX(fit, (size_t)LENGTH_LEAST));
}

/* log Σ exp z, and the largest z. */
static double log_sum(const float *z, size_t n, size_t *at)
{
	double sum = 0;

	*at = 0;
	for (size_t i = 1; i < n; i++)
		*at = z[i] > z[*at] ? i : *at;
	for (size_t i = 0; i < n; i++)
		sum += (double)expf(z[i] - z[*at]);
	return log(sum) + (double)z[*at];
}

static void compare_row(void *ctx, size_t item, int thread)
{
	const struct comparing *c = ctx;
	const float *p = c->first + item * c->V, *q = c->second + item * c->V;
	size_t top_p, top_q, came = (size_t)c->came[item];
	double zp = log_sum(p, c->V, &top_p), zq = log_sum(q, c->V, &top_q), kl = 0;
	(void)thread;

	for (size_t i = 0; i < c->V; i++) {
		double lp = (double)p[i] - zp;
		kl += exp(lp) * (lp - ((double)q[i] - zq));
	}
	c->out[item] = (struct token){ MAX(kl, 0), (double)p[came] - zp, (double)q[came] - zq, top_p == top_q };
}

/* --- the passes --- */

struct passes {
	struct model_pass net[2];
	struct batch_cap cap;
};

static const struct forest_options alone = { .max_tokens = FOREST_MAX_ROWS };

static int plan_passes(struct passes *s, const struct agreement_models *m, const struct document *items, size_t n,
                       struct err *e)
{
	*s = (struct passes){ 0 };
	for (size_t i = 0; i < n; i++) {
		const struct document *one = &items[i];
		struct batch_cap need;
		struct live live;
		int64_t tokens;
		forest_take(&one, 1, &alone, &need, &live, &tokens);
		batch_cap_max(&s->cap, &need);
	}
	for (int k = 0; k < 2; k++) {
		struct model_pass *p = &s->net[k];
		model_pass_begin(p, m->device, &s->cap, k ? m->second : m->first, NULL, false);
		p->result = graph_logits(&p->graph, graph_hidden(&p->graph));
		if (pass_plan(&p->pass, NULL, e) < 0)
			return -1;
	}
	return 0;
}

static void release_passes(struct passes *s)
{
	model_pass_release(&s->net[1]);
	model_pass_release(&s->net[0]);
}

int agreement_bytes(size_t *bytes, const struct agreement_models *m, const struct document *items, size_t n,
                    struct err *e)
{
	struct passes s;
	int status = plan_passes(&s, m, items, n, e);

	*bytes = status == 0 ? pass_bytes(&s.net[0].pass) + pass_bytes(&s.net[1].pass) : 0;
	release_passes(&s);
	return status;
}

int agreement_forecast(struct agreement_forecast *f, const struct agreement_models *m, const struct document *items,
                       size_t n, struct err *e)
{
	int32_t longest = agreement_length(m->first);
	struct scorer_options o = { .max_tokens = longest, .max_length = longest };
	const struct document **docs = mem_array(n + 1, sizeof(*docs));
	struct scorer_forecast once = { 0 };
	struct scorer *scorer;

	for (size_t i = 0; i < n; i++)
		docs[i] = &items[i];
	int status = scorer_new(&scorer, m->first, NULL, m->device, &o, e);
	if (status == 0) {
		status = scorer_forecast(scorer, docs, n, false, &once, e);
		scorer_free(scorer);
	}
	mem_free(docs);
	*f = (struct agreement_forecast){ 2.2 * once.seconds, { 2 * once.flops, 2 * once.int_ops }, 0 };
	return status < 0 ? -1 : agreement_bytes(&f->bytes, m, items, n, e);
}

/* --- the whole --- */

struct sums { double *kl, *first, *second, *apart, *count, *same; };  /* [n] of documents; same: of tokens */

static void take(struct agreement *a, struct sums *s, size_t i, const struct token *t, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		s->kl[i] += t[k].kl;
		s->first[i] += t[k].first;
		s->second[i] += t[k].second;
		s->apart[i] += t[k].second - t[k].first;
		s->same[a->tokens++] = t[k].same;
		a->kl_most = MAX(a->kl_most, t[k].kl);
	}
	s->count[i] = (double)n;
}

/* *n: the tokens that were compared. */
static int run_document(struct agreement *a, struct passes *s, const struct agreement_models *m,
                        const struct document *d, struct token *out, size_t *n, struct err *e)
{
	struct batch_cap need;
	struct live live;
	int64_t tokens;

	forest_take(&d, 1, &alone, &need, &live, &tokens);
	for (int k = 0; k < 2; k++) {
		struct pass *p = &s->net[k].pass;
		forest_fill(&p->batch, &d, 1, &alone);
		if (pass_step(p) < 0)
			return err_set(e, "interrupted while models were compared");
		struct work w = pass_work(p, &live);
		a->flops += w.flops;
		a->int_ops += w.int_ops;
	}
	const struct batch *b = &s->net[0].pass.batch;
	struct comparing c = { .first = model_pass_result(&s->net[0]), .second = model_pass_result(&s->net[1]),
		               .came = b->label_token, .V = (size_t)m->first->config.V, .out = out };
	*n = (size_t)b->n_labels;
	pool_run(m->pool, *n, compare_row, &c);
	return 0;
}

/* A mean over tokens whose error is that of documents, as a perplexity has it; that is never below 1, so what is asked
 * for is the logarithm of one, moved far up and back. */
static struct estimate mean_by_document(const double *sum, const double *count, size_t n)
{
	enum { UP = 20 };
	double *moved = mem_array(n + 1, sizeof(*moved));

	for (size_t i = 0; i < n; i++)
		moved[i] = -sum[i] - UP * count[i];
	struct estimate x = estimate_perplexity(moved, count, n);
	mem_free(moved);
	return (struct estimate){ log(x.mean) - UP, x.stderr_ / x.mean, log(x.low) - UP, log(x.high) - UP, x.n };
}

static void conclude(struct agreement *a, const struct sums *s, size_t n)
{
	struct estimate less = mean_by_document(s->apart, s->count, n); /* log-probability that was gained */

	a->kl = mean_by_document(s->kl, s->count, n);
	a->first = estimate_perplexity(s->first, s->count, n);
	a->second = estimate_perplexity(s->second, s->count, n);
	a->change = (struct estimate){ exp(-less.mean), exp(-less.mean) * less.stderr_, exp(-less.high),
		                       exp(-less.low), less.n };
	a->same_top = estimate_proportion(s->same, a->tokens);
}

static int run_all(struct agreement *a, struct passes *s, const struct agreement_models *m,
                   const struct document *items, size_t n, struct sums *sums,
                   int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e)
{
	struct token *tokens = mem_array((size_t)s->cap.labels + 1, sizeof(*tokens));
	int status = 0;

	for (int k = 0; k < 2 && status == 0; k++)
		status = model_pass_start(&s->net[k], NULL, e);
	for (size_t i = 0, some = 0; i < n && status == 0; i++) {
		status = run_document(a, s, m, &items[i], tokens, &some, e);
		if (status == 0)
			take(a, sums, i, tokens, some);
		if (status == 0 && progress && progress(ctx, i + 1, n))
			status = err_set(e, "interrupted after %zu of %zu windows were compared", i + 1, n);
	}
	mem_free(tokens);
	return status;
}

int agreement_run(struct agreement *a, const struct agreement_models *m, const struct document *items, size_t n,
                  int (*progress)(void *ctx, size_t done, size_t total), void *ctx, struct err *e)
{
	size_t tokens = 0;
	struct passes s;

	*a = (struct agreement){ 0 };
	for (size_t i = 0; i < n; i++)
		tokens += (size_t)items[i].n_learn;
	double *all = mem_array(5 * n + tokens + 1, sizeof(*all));
	memset(all, 0, (5 * n + tokens + 1) * sizeof(*all));
	struct sums sums = { all, all + n, all + 2 * n, all + 3 * n, all + 4 * n, all + 5 * n };
	int status = plan_passes(&s, m, items, n, e);
	if (status == 0)
		status = run_all(a, &s, m, items, n, &sums, progress, ctx, e);
	if (status == 0)
		conclude(a, &sums, n);
	if (m->kl_of)
		memcpy(m->kl_of, sums.kl, n * sizeof(*m->kl_of));
	release_passes(&s);
	mem_free(all);
	return status;
}
