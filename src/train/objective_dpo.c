/* objective_dpo: a chosen answer becomes likelier than a rejected one, beside what the model said at the start
 * (Rafailov et al. 2023, Direct Preference Optimization). Names, defaults and measures are TRL's DPOTrainer's.
 *
 *     r(y) = Σ over the tokens of y of log π(token) − log π_ref(token)        y: the completion, its end included
 *     Δ = r(chosen) − r(rejected)
 *     sigmoid   −(1 − ε)·log σ(βΔ) − ε·log σ(−βΔ)
 *     ε: --label-smoothing (Mitchell 2023, cDPO; TRL: 0)
 *     hinge     max(0, 1 − βΔ)                         (Zhao et al. 2023, SLiC)
 *     ipo       (Δ̄ − 1/(2β))²                          Δ̄: of r / its tokens (Azar et al. 2023, as TRL has it)
 *
 *     loss = Σ weight · loss of a pair / Σ weight      over the pairs of the global batch
 *
 * π_ref is the model as the run begins. Both answers of a pair stand in one micro-batch, and their prompt is computed
 * once. At the first step Δ is exactly 0 and sigmoid's loss exactly log 2.
 *
 * rewards/chosen and rewards/rejected are β·r, rewards/margins their difference, rewards/accuracies how often it is
 * above 0, logps/… Σ log π. Not here: the other losses of TRL's loss_type, a reference of another model. */
#include "train/objective.h"

#include <math.h>
#include <string.h>

enum { CHOSEN, REJECTED };
enum { REWARD_CHOSEN, REWARD_REJECTED, ACCURACY, MARGIN, LOGP_CHOSEN, LOGP_REJECTED };

struct dpo {
	const char *loss_type;
	double beta, label_smoothing;
};

static const struct opt dpo_opts[] = {
	OPT_FLOAT("beta", struct dpo, beta, "0.1", 1e-9, 1e6,
	          "how closely the model stays to what it was; more is closer"),
	OPT_CHOICE("loss-type", struct dpo, loss_type, "sigmoid", "sigmoid|hinge|ipo", "of the margin of a pair"),
	OPT_FLOAT("label-smoothing", struct dpo, label_smoothing, "0", 0, 0.5,
	          "sigmoid: the probability that a preference is the wrong way round"),
	OPT_END
};

static int dpo_check(const void *options, struct err *e)
{
	const struct dpo *d = options;

	if (d->label_smoothing > 0 && strcmp(d->loss_type, "sigmoid") != 0)
		return err_set(e, "--label-smoothing is of --loss-type sigmoid, not %s", d->loss_type);
	return 0;
}

static uint32_t dpo_record(const struct objective_run *o, struct graph *g, uint32_t hidden)
{
	return objective_loss(o, g, graph_logprob_from_above(g, hidden));
}

/* log(1 + exp(−x)) = −log σ(x), without overflow */
static double softplus_of_minus(double x)
{
	return x > 0 ? log1p(exp(-x)) : log1p(exp(x)) - x;
}

/* The loss at a margin Δ (ipo: Δ̄), and its slope there. */
static double loss_at(const struct dpo *d, double margin, double *slope)
{
	double x = d->beta * margin, e = d->label_smoothing, off = margin - 1 / (2 * d->beta);

	if (!strcmp(d->loss_type, "ipo")) {
		*slope = 2 * off;
		return off * off;
	}
	if (!strcmp(d->loss_type, "hinge")) {
		*slope = x < 1 ? -d->beta : 0;
		return fmax(0, 1 - x);
	}
	*slope = d->beta * (e - 1 / (1 + exp(x))); /* −(1 − ε)·σ(−x) + ε·σ(x) */
	return (1 - e) * softplus_of_minus(x) + e * softplus_of_minus(-x);
}

static void measure(const struct dpo *d, const double reward[2], double weight, struct objective_sums *s)
{
	objective_measure(s, REWARD_CHOSEN, d->beta * reward[CHOSEN], weight);
	objective_measure(s, REWARD_REJECTED, d->beta * reward[REJECTED], weight);
	objective_measure(s, ACCURACY, reward[CHOSEN] > reward[REJECTED], weight);
	objective_measure(s, MARGIN, d->beta * (reward[CHOSEN] - reward[REJECTED]), weight);
}

/* scratch: r of each document, then what a label of it has as its gradient. */
static void pairs(const struct objective_run *o, const struct batch *b, struct objective_sums *s)
{
	const struct dpo *d = o->options;
	bool mean = !strcmp(d->loss_type, "ipo");

	for (int32_t g = 0; g < b->n_groups; g++) {
		double *r = o->scratch + b->group_doc[g], weight = (double)b->group_weight[g], slope;
		const int32_t *n = b->doc_labels + b->group_doc[g];
		double share[2] = { mean ? 1.0 / n[CHOSEN] : 1, mean ? 1.0 / n[REJECTED] : 1 };
		double loss = loss_at(d, r[CHOSEN] * share[CHOSEN] - r[REJECTED] * share[REJECTED], &slope);
		if (s) {
			s->loss += weight * loss;
			s->weight += weight;
			measure(d, r, weight, s);
		}
		r[CHOSEN] = weight * slope * share[CHOSEN];
		r[REJECTED] = -weight * slope * share[REJECTED];
	}
}

static void dpo_loss(const struct objective_run *o, const struct batch *b, const float *logp, float *d_logp,
                     struct objective_sums *s)
{
	objective_document_sums(b, logp, batch_column(b, "reference"), o->scratch);
	pairs(o, b, s);
	for (int32_t i = 0; d_logp && i < b->n_labels; i++)
		d_logp[i] = (float)o->scratch[b->label_doc[i]];
	if (!s)
		return;
	objective_document_sums(b, logp, NULL, o->scratch);
	for (int32_t i = 0; i < b->n_docs; i++)
		objective_measure(s, b->doc_role[i] == CHOSEN ? LOGP_CHOSEN : LOGP_REJECTED, o->scratch[i],
		                  (double)b->group_weight[b->doc_group[i]]);
}

static double dpo_weight(const struct batch *b)
{
	double sum = 0;

	for (int32_t g = 0; g < b->n_groups; g++)
		sum += (double)b->group_weight[g];
	return sum;
}

static const char *const roles[] = { [CHOSEN] = "chosen", [REJECTED] = "rejected", NULL };
static const struct batch_column columns[] = { { "reference", PER_LABEL }, { 0 } };
static const char *const metrics[] = {
	[REWARD_CHOSEN] = "rewards/chosen", [REWARD_REJECTED] = "rewards/rejected",
	[ACCURACY] = "rewards/accuracies",  [MARGIN] = "rewards/margins",
	[LOGP_CHOSEN] = "logps/chosen",     [LOGP_REJECTED] = "logps/rejected", NULL
};

const struct objective objective_dpo = {
	.name = "dpo",
	.summary = "chosen answers over rejected ones, beside the model at its start",
	.rate = 0.05,
	.opts = dpo_opts,
	.options_size = sizeof(struct dpo),
	.roles = roles,
	.columns = columns,
	.reference = true,
	.metrics = metrics,
	.check = dpo_check,
	.record = dpo_record,
	.weight = dpo_weight,
	.loss = dpo_loss,
};
