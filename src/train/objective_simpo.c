/* objective_simpo: the chosen answer becomes likelier a token than the rejected one, by a margin, without a reference
 * (Meng et al. 2024, SimPO).
 *
 *     m(y) = 1/|y| · Σ over the tokens of y of log π(token)
 *     loss of a pair = −log σ(β·(m(chosen) − m(rejected)) − γ) [− cpo_alpha · log π a chosen token]
 *
 * The mean is over the pairs of the global batch, that of the second term over its chosen tokens. β and γ are the
 * paper's. TRL has it as CPO's loss type simpo, which adds the second term with weight 1 unless cpo_alpha is 0: here
 * that is --objective cpo --loss-type simpo, and simpo alone is the paper's. Measures are TRL's: rewards are β·m. */
#include "train/pairs.h"

#include <math.h>

struct simpo {
	double beta, gamma, cpo_alpha;
};

static const struct opt simpo_opts[] = {
	OPT_FLOAT("beta", struct simpo, beta, "2", 0, 1e6,
	          "how closely the model stays to what it was; more is closer"),
	OPT_FLOAT("simpo-gamma", struct simpo, gamma, "1", 0, 1e6,
	          "the margin by which the chosen answer is to be ahead"),
	OPT_FLOAT("cpo-alpha", struct simpo, cpo_alpha, "0", 0, 1e6,
	          "how much the likelihood of chosen tokens counts beside"),
	OPT_END
};

static int simpo_check(const void *options, struct err *e)
{
	return pairs_check_beta(((const struct simpo *)options)->beta, "simpo", e);
}

static void simpo_pair(const void *ctx, const struct pair *p, struct pair_loss *out)
{
	const struct simpo *s = ctx;
	double slope;

	for (int k = 0; k < 2; k++) {
		out->logp[k] = p->logp[k] / p->tokens[k];
		out->reward[k] = s->beta * out->logp[k];
	}
	out->loss = smoothed_logistic(out->reward[CHOSEN] - out->reward[REJECTED] - s->gamma, 0, &slope);
	out->slope[CHOSEN] = s->beta * slope / p->tokens[CHOSEN];
	out->slope[REJECTED] = -s->beta * slope / p->tokens[REJECTED];
}

static void simpo_loss(const struct objective_run *o, const struct batch *b, const float *logp, float *d_logp,
                       struct objective_sums *s)
{
	const struct simpo *options = o->options;
	struct pairs p = { .ld_alpha = 1, .nll = options->cpo_alpha * pairs_share(o), .loss = simpo_pair,
		           .ctx = options };

	pairs_loss(&p, o, b, logp, d_logp, PAIR_METRICS, s);
}

static const char *const roles[] = PAIR_ROLES;
static const char *const metrics[] = { PAIR_METRIC_NAMES, [PAIR_METRICS] = "nll_loss", NULL };

const struct objective objective_simpo = {
	.name = "simpo",
	.summary = "the same by a margin a token, without a reference",
	.rate = 0.05,
	.opts = simpo_opts,
	.options_size = sizeof(struct simpo),
	.roles = roles,
	.metrics = metrics,
	.check = simpo_check,
	.open = pairs_open,
	.close = pairs_close,
	.whole = pairs_whole,
	.record = pairs_record,
	.weight = pairs_weight,
	.loss = simpo_loss,
};
