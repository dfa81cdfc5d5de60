/* pairs: sums, measures and gradients of pairs. See pairs.h. */
#include "train/pairs.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

double smoothed_logistic(double x, double e, double *slope)
{
	*slope = e - sigmoid(-x); /* −(1 − e)·σ(−x) + e·σ(x) */
	return (1 - e) * softplus(-x) + e * softplus(x);
}

int objective_loss_type(const struct objective *o, const char *name, struct err *e)
{
	struct buf names = BUF_INIT;

	for (const char *const *x = o->loss_types; *x; x++)
		if (!strcmp(*x, name))
			return 0;
	for (const char *const *x = o->loss_types; *x; x++)
		buf_addf(&names, "%s%s", x == o->loss_types ? "" : x[1] ? ", " : " and ", *x);
	err_set(e, "--loss-type %s: --objective %s has %s", name, o->name, buf_str(&names));
	buf_release(&names);
	return -1;
}

double pairs_weight(const struct batch *b)
{
	double sum = 0;

	for (int32_t g = 0; g < b->n_groups; g++)
		sum += (double)b->group_weight[g];
	return sum;
}

double pairs_for_a_token(const struct document *const *docs, size_t n)
{
	double pairs = 0, tokens = 0;

	for (size_t i = 0; i < n; i++)
		if (docs[i]->role == CHOSEN) {
			pairs++;
			tokens += docs[i]->n_learn;
		}
	return pairs / tokens;
}

int pairs_open(struct objective_run *o, struct err *e)
{
	double *share = mem_alloc(sizeof(*share));
	(void)e;

	*share = 1;
	o->state = share;
	return 0;
}

void pairs_close(struct objective_run *o) { mem_free(o->state); }
double pairs_share(const struct objective_run *o) { return *(const double *)o->state; }

void pairs_whole(const struct objective_run *o, const struct document *const *docs, size_t n)
{
	*(double *)o->state = pairs_for_a_token(docs, n);
}

uint32_t pairs_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	return objective_loss(o, g, graph_logprob_from_above(g, hidden));
}

int pairs_check_beta(double beta, const char *objective, struct err *e)
{
	return beta > 0 ? 0 : err_set(e, "--beta 0: --objective %s wants more than 0", objective);
}

/* How much label i counts in its document's sum; count: its document's tokens so far, this one then included. */
static double share_of(const struct pairs *p, const struct batch *b, int32_t i, double *count)
{
	int32_t d = b->label_doc[i], first = b->group_doc[b->doc_group[d]];

	if (p->answer && p->answer[i] == 0)
		return 0;
	count[d]++;
	return p->ld_alpha == 1 || count[d] <= MIN(b->doc_labels[first], b->doc_labels[first + 1]) ? 1 : p->ld_alpha;
}

void pairs_sums(const struct pairs *p, const struct objective_run *o, const struct batch *b, const float *logp)
{
	size_t n = (size_t)b->n_docs;
	double *ratio = o->scratch, *sum = ratio + n, *count = sum + n;

	memset(o->scratch, 0, 3 * n * sizeof(*o->scratch));
	for (int32_t i = 0; i < b->n_labels; i++) {
		double share = share_of(p, b, i, count);
		ratio[b->label_doc[i]] += share * ((double)logp[i] - (p->reference ? (double)p->reference[i] : 0));
		sum[b->label_doc[i]] += share * (double)logp[i];
	}
}

static void measure(const struct pair_loss *l, double weight, struct objective_sums *s)
{
	objective_measure(s, REWARD_CHOSEN, l->reward[CHOSEN], weight);
	objective_measure(s, REWARD_REJECTED, l->reward[REJECTED], weight);
	objective_measure(s, REWARD_ACCURACY, l->reward[CHOSEN] > l->reward[REJECTED], weight);
	objective_measure(s, REWARD_MARGIN, l->reward[CHOSEN] - l->reward[REJECTED], weight);
	objective_measure(s, LOGP_CHOSEN, l->logp[CHOSEN], weight);
	objective_measure(s, LOGP_REJECTED, l->logp[REJECTED], weight);
	for (int i = 0; i < l->n_more; i++)
		objective_measure(s, PAIR_METRICS + i, l->more[i], weight);
}

/* The sums of pair g become its slopes. */
static void one_pair(const struct pairs *p, const struct objective_run *o, const struct batch *b, int32_t g,
                     struct objective_sums *s)
{
	double *ratio = o->scratch + b->group_doc[g], *sum = ratio + b->n_docs, *count = sum + b->n_docs,
	       weight = (double)b->group_weight[g];
	struct pair_loss l = { 0 };
	struct pair x;

	for (int k = 0; k < 2; k++) {
		x.ratio[k] = ratio[k];
		x.logp[k] = sum[k];
		x.tokens[k] = count[k];
		x.partner[k] = p->partner ? (double)p->partner[b->group_doc[g] + k] +
		                                    (double)p->partner_low[b->group_doc[g] + k] : 0;
	}
	p->loss(p->ctx, &x, &l);
	if (s) {
		s->loss += weight * l.loss;
		s->weight += weight;
		measure(&l, weight, s);
	}
	ratio[CHOSEN] = weight * l.slope[CHOSEN];
	ratio[REJECTED] = weight * l.slope[REJECTED];
}

/* What the chosen documents' tokens add by themselves. */
static void add_nll(const struct pairs *p, const struct batch *b, const float *logp, int metric,
                    struct objective_sums *s)
{
	for (int32_t i = 0; i < b->n_labels; i++) {
		int32_t d = b->label_doc[i];
		double weight = (double)b->group_weight[b->doc_group[d]];
		if (b->doc_role[d] != CHOSEN)
			continue;
		s->loss -= weight * p->nll * (double)logp[i];
		if (metric >= 0)
			objective_measure(s, metric, -(double)logp[i], weight);
	}
}

static void slopes(const struct pairs *p, const struct objective_run *o, const struct batch *b, float *d_logp)
{
	const double *slope = o->scratch;
	double *count = o->scratch + 2 * (size_t)b->n_docs;

	memset(count, 0, (size_t)b->n_docs * sizeof(*count));
	for (int32_t i = 0; i < b->n_labels; i++) {
		int32_t d = b->label_doc[i];
		double own = b->doc_role[d] == CHOSEN ? (double)b->group_weight[b->doc_group[d]] * p->nll : 0;
		d_logp[i] = (float)(share_of(p, b, i, count) * slope[d] - own);
	}
}

void pairs_loss(const struct pairs *p, const struct objective_run *o, const struct batch *b, const float *logp,
                float *d_logp, int nll_metric, struct objective_sums *s)
{
	pairs_sums(p, o, b, logp);
	for (int32_t g = 0; g < b->n_groups; g++)
		one_pair(p, o, b, g, s);
	if (s && (p->nll != 0 || nll_metric >= 0))
		add_nll(p, b, logp, nll_metric, s);
	if (d_logp)
		slopes(p, o, b, d_logp);
}
