/* pairs: what objectives that learn from a chosen and a rejected answer have in common (dpo, orpo, simpo, cpo): sums
 * over the answers' tokens, what is told of a step, and the gradient of a loss of these sums:
 *
 *     d loss / d log π(token) = share(token) · d loss / d Σ share·log π  − (chosen: nll)
 *
 * share is 1; 0 of a prompt's token that is learnt beside the answer (ORPO); and α of a token beyond the length of the
 * shorter answer (LD-DPO, Liu et al. 2024, as TRL has it). nll is what a chosen document's tokens add by themselves. */
#ifndef TRAIN_PAIRS_H
#define TRAIN_PAIRS_H

#include "base/logistic.h"
#include "data/preference.h"
#include "train/objective.h"

/* Of a pair, [CHOSEN] and [REJECTED]. */
struct pair {
	double logp[2];      /* Σ share·log π */
	double ratio[2];     /* Σ share·(log π − log π_ref); without a reference the same as logp */
	double tokens[2];    /* of the answer */
	double partner[2];   /* the columns "partner", or 0 */
};

/* What a loss says of it; zeros when it is called. */
struct pair_loss {
	double loss, slope[2];         /* slope: d loss / d Σ share·log π */
	double reward[2], logp[2];     /* as they are told */
	double more[2];                /* of the objective's own metrics from PAIR_METRICS on; n_more of them */
	int n_more;
};

struct pairs {
	const float *reference;        /* [labels] log π_ref, or NULL */
	const float *answer;           /* [labels] 0: of the prompt; NULL: all are the answers' */
	const float *partner, *partner_low; /* [docs] a number and what rounding left of it; or NULL */
	double ld_alpha;
	double nll;                    /* a chosen document's token adds −nll·log π to the loss */
	void (*loss)(const void *ctx, const struct pair *p, struct pair_loss *out);
	const void *ctx;
};

enum {
	REWARD_CHOSEN, REWARD_REJECTED, REWARD_ACCURACY, REWARD_MARGIN, LOGP_CHOSEN, LOGP_REJECTED, PAIR_METRICS
};
#define PAIR_METRIC_NAMES \
	[REWARD_CHOSEN] = "rewards/chosen", [REWARD_REJECTED] = "rewards/rejected", \
	[REWARD_ACCURACY] = "rewards/accuracies", [REWARD_MARGIN] = "rewards/margins", \
	[LOGP_CHOSEN] = "logps/chosen", [LOGP_REJECTED] = "logps/rejected"
#define PAIR_ROLES { [CHOSEN] = "chosen", [REJECTED] = "rejected", NULL }

/* The objective's loss, of all pairs of the batch; nll_metric: the metric that is −log π of each chosen token, or
 * −1. Uses o->scratch. */
void pairs_loss(const struct pairs *p, const struct objective_run *o, const struct batch *b, const float *logp,
                float *d_logp, int nll_metric, struct objective_sums *s);
/* Into o->scratch, of each document: Σ share·(log π − log π_ref), Σ share·log π, tokens: three arrays of
 * n_docs. */
void pairs_sums(const struct pairs *p, const struct objective_run *o, const struct batch *b, const float *logp);
/* Members of a row. Those of rows whose state is pairs_share alone: pairs for each chosen token of the whole, 1 before
 * one was there. */
double pairs_weight(const struct batch *b);
uint32_t pairs_record(const struct objective_run *o, struct graph *g, uint32_t hidden);
int pairs_open(struct objective_run *o, struct err *e);
void pairs_close(struct objective_run *o);
void pairs_whole(const struct objective_run *o, const struct document *const *docs, size_t n);
double pairs_share(const struct objective_run *o);
int pairs_check_beta(double beta, const char *objective, struct err *e);
/* Pairs for each learnt token of a chosen document: what a mean over tokens is of a sum that pairs divide. */
double pairs_for_a_token(const struct document *const *docs, size_t n);
/* −(1 − e)·log σ(x) − e·log σ(−x): labels are the wrong way round with probability e. */
double smoothed_logistic(double x, double e, double *slope);
/* −1 where --loss-type is none of the names that the objective has. */
int objective_loss_type(const struct objective *o, const char *name, struct err *e);

extern const struct objective objective_dpo, objective_kto, objective_cpo; /* for their checks */

#endif
