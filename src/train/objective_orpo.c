/* objective_orpo: the text with the chosen answer is learnt, and its odds grow over the rejected one's, without a
 * reference (Hong et al. 2024, ORPO). Names, defaults and measures are TRL's ORPOTrainer's.
 *
 *     l(y) = 1/|y| · Σ over the tokens of y of log π(token)
 *     log odds = l(chosen) − l(rejected) − (log(1 − exp l(chosen)) − log(1 − exp l(rejected)))
 *     loss = −log π a token of prompt and chosen answer, the mean over the tokens of the global batch
 *            − β · log σ(log odds), the mean over its pairs
 *
 * So the prompt is learnt too, of the chosen text (LEARN_PROMPT). nll_loss is the first term, log_odds_ratio
 * log σ(log odds), log_odds_chosen the log odds; rewards are β·l. */
#include "train/pairs.h"

#include <math.h>
#include <string.h>

struct orpo {
	double beta;
};

static const struct opt orpo_opts[] = {
	OPT_FLOAT("beta", struct orpo, beta, "0.1", 0, 1e6,
	          "how closely the model stays to what it was; more is closer"),
	OPT_END
};

/* log(1 − exp x), x below 0 */
static double log_of_rest(double x) { return x > -log(2) ? log(-expm1(x)) : log1p(-exp(x)); }

static void orpo_pair(const void *ctx, const struct pair *p, struct pair_loss *out)
{
	const struct orpo *o = ctx;
	double l[2], rise[2], slope;

	for (int k = 0; k < 2; k++) {
		l[k] = fmin(p->logp[k] / p->tokens[k], -1e-9); /* whose odds are finite */
		rise[k] = -1 / expm1(l[k]) / p->tokens[k];
		out->logp[k] = l[k];
		out->reward[k] = o->beta * l[k];
	}
	double odds = l[CHOSEN] - l[REJECTED] - (log_of_rest(l[CHOSEN]) - log_of_rest(l[REJECTED]));
	double ratio = -smoothed_logistic(odds, 0, &slope);
	out->loss = -o->beta * ratio;
	out->slope[CHOSEN] = o->beta * slope * rise[CHOSEN];
	out->slope[REJECTED] = -o->beta * slope * rise[REJECTED];
	out->more[0] = ratio;
	out->more[1] = odds;
	out->n_more = 2;
}

/* Of each label whether it is the answer's: those of a document come in the order of its tokens. */
static void orpo_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	float *answer = batch_column(b, "answer");

	memset(o->scratch, 0, (size_t)b->n_docs * sizeof(*o->scratch));
	for (int32_t i = 0; i < b->n_labels; i++) {
		const struct document *d = docs[b->label_doc[i]];
		double *at = &o->scratch[b->label_doc[i]]; /* of the next token to be looked at */
		int32_t k = (int32_t)*at;
		while (!d->learn[k])
			k++;
		answer[i] = d->learn[k] != LEARN_PROMPT;
		*at = k + 1;
	}
}

static void orpo_loss(const struct objective_run *o, const struct batch *b, const float *logp, float *d_logp,
                      struct objective_sums *s)
{
	struct pairs p = { .answer = batch_column(b, "answer"), .ld_alpha = 1, .nll = pairs_share(o),
		           .loss = orpo_pair, .ctx = o->options };

	pairs_loss(&p, o, b, logp, d_logp, PAIR_METRICS + 2, s);
}

static const char *const roles[] = PAIR_ROLES;
static const struct batch_column columns[] = { { "answer", PER_LABEL }, { 0 } };
static const char *const metrics[] = { PAIR_METRIC_NAMES, [PAIR_METRICS] = "log_odds_ratio", "log_odds_chosen",
	                               "nll_loss", NULL };

const struct objective objective_orpo = {
	.name = "orpo",
	.summary = "chosen answers, and their odds over rejected ones, no reference",
	.rate = 0.05,
	.opts = orpo_opts,
	.options_size = sizeof(struct orpo),
	.roles = roles,
	.prompts = true,
	.columns = columns,
	.metrics = metrics,
	.open = pairs_open,
	.close = pairs_close,
	.whole = pairs_whole,
	.record = pairs_record,
	.weight = pairs_weight,
	.fill = orpo_fill,
	.loss = orpo_loss,
};
