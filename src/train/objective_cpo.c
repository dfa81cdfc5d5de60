/* objective_cpo: the chosen answer becomes likelier than the rejected one, and likelier by itself, without a reference
 * (Xu et al. 2024, Contrastive Preference Optimization). Names, defaults and measures are TRL's CPOTrainer's.
 *
 *     l(y) = Σ over the tokens of y of log π(token); of ipo, simpo and alphapo its mean
 *     R(y) = l(y), with --alphapo-alpha a ≠ 0: (1 − exp(−a·l(y)))/a      (Gupta et al. 2025, AlphaPO)
 *     M = R(chosen) − R(rejected)
 *     sigmoid          −(1 − ε)·log σ(βM) − ε·log σ(−βM)         ε: --label-smoothing
 *     hinge            max(0, 1 − βM)
 *     ipo              (M − 1/(2β))²
 *     simpo, alphapo   the first of βM − γ
 *
 *     loss = the mean over the pairs of the global batch − cpo_alpha · log π a chosen token, the mean over tokens
 *
 * alphapo is simpo with a cpo_alpha of 0; TRL calls alphapo-alpha alpha. Rewards are β·R. */
#include "train/pairs.h"

#include <math.h>
#include <string.h>

struct cpo {
	const char *loss_type;
	double beta, label_smoothing, cpo_alpha, gamma, alpha;
};

static const struct opt cpo_opts[] = {
	OPT_FLOAT("beta", struct cpo, beta, "0.1", 0, 1e6,
	          "how closely the model stays to what it was; more is closer"),
	OPT_STRING("loss-type", struct cpo, loss_type, "sigmoid", "NAME",
	           "cpo: sigmoid, hinge, ipo, simpo or alphapo"),
	OPT_FLOAT("label-smoothing", struct cpo, label_smoothing, "0", 0, 0.5,
	          "the probability that a preference is the wrong way round"),
	OPT_FLOAT("cpo-alpha", struct cpo, cpo_alpha, "1", 0, 1e6,
	          "how much the likelihood of chosen tokens counts beside"),
	OPT_FLOAT("simpo-gamma", struct cpo, gamma, "0.5", 0, 1e6,
	          "the margin by which the chosen answer is to be ahead"),
	OPT_FLOAT("alphapo-alpha", struct cpo, alpha, "0", -1e3, 1e3,
	          "the shape of AlphaPO's reward; 0: log-probabilities"),
	OPT_END
};

static const char *const loss_types[] = { "sigmoid", "hinge", "ipo", "simpo", "alphapo", NULL };

static bool is(const struct cpo *c, const char *type) { return !strcmp(c->loss_type, type); }
static bool has_margin(const struct cpo *c) { return is(c, "simpo") || is(c, "alphapo"); }

static int cpo_check(const void *options, struct err *e)
{
	const struct cpo *c = options;

	if (pairs_check_beta(c->beta, "cpo", e) < 0 || objective_loss_type(&objective_cpo, c->loss_type, e) < 0)
		return -1;
	if (c->label_smoothing > 0 && (is(c, "hinge") || is(c, "ipo")))
		return err_set(e, "--label-smoothing is of --loss-type sigmoid, simpo and alphapo, not %s",
		               c->loss_type);
	return 0;
}

static double margin_loss(const struct cpo *c, double margin, double *slope)
{
	double x = c->beta * margin, off = margin - 1 / (2 * c->beta), loss;

	if (is(c, "ipo")) {
		*slope = 2 * off;
		return off * off;
	}
	if (is(c, "hinge")) {
		*slope = x < 1 ? -c->beta : 0;
		return fmax(0, 1 - x);
	}
	loss = smoothed_logistic(x - (has_margin(c) ? c->gamma : 0), c->label_smoothing, slope);
	*slope *= c->beta;
	return loss;
}

static void cpo_pair(const void *ctx, const struct pair *p, struct pair_loss *out)
{
	const struct cpo *c = ctx;
	double reward[2], rise[2], slope;

	for (int k = 0; k < 2; k++) {
		double share = is(c, "ipo") || has_margin(c) ? 1 / p->tokens[k] : 1, l = p->logp[k] * share,
		       power = exp(-c->alpha * l);
		reward[k] = c->alpha == 0 ? l : (1 - power) / c->alpha;
		rise[k] = share * power;
		out->logp[k] = l;
		out->reward[k] = c->beta * reward[k];
	}
	out->loss = margin_loss(c, reward[CHOSEN] - reward[REJECTED], &slope);
	out->slope[CHOSEN] = slope * rise[CHOSEN];
	out->slope[REJECTED] = -slope * rise[REJECTED];
}

static void cpo_loss(const struct objective_run *o, const struct batch *b, const float *logp, float *d_logp,
                     struct objective_sums *s)
{
	const struct cpo *c = o->options;
	struct pairs p = { .ld_alpha = 1, .nll = is(c, "alphapo") ? 0 : c->cpo_alpha * pairs_share(o),
		           .loss = cpo_pair, .ctx = c };

	pairs_loss(&p, o, b, logp, d_logp, PAIR_METRICS, s);
}

static const char *const roles[] = PAIR_ROLES;
static const char *const metrics[] = { PAIR_METRIC_NAMES, [PAIR_METRICS] = "nll_loss", NULL };

const struct objective objective_cpo = {
	.name = "cpo",
	.summary = "the same, and chosen answers by themselves, without a reference",
	.rate = 0.05,
	.opts = cpo_opts,
	.options_size = sizeof(struct cpo),
	.roles = roles,
	.metrics = metrics,
	.loss_types = loss_types,
	.check = cpo_check,
	.open = pairs_open,
	.close = pairs_close,
	.whole = pairs_whole,
	.record = pairs_record,
	.weight = pairs_weight,
	.loss = cpo_loss,
};
