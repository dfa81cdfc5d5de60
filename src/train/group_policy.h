/* group_policy: what GRPO, RLOO and PPO share: answers to a step's prompts, what they are worth, and the columns and
 * measures that come of it. Their files have the advantage and the loss.
 *
 * Columns: advantage, kept (0: the answer is left out), denominator (of a document, what the loss is divided by), old
 * and reference (log-probabilities). `old` is what the policy said before the first update on these answers: in the
 * first of --num-iterations steps that is the number of this very pass, so a ratio there is exactly 1 (NAN stands for
 * it); it is kept for the steps after. */
#ifndef TRAIN_GROUP_POLICY_H
#define TRAIN_GROUP_POLICY_H

#include <math.h>

#include "train/doctor.h"
#include "train/reward.h"
#include "train/rollout.h"

/* The first member of a row's options. */
struct group_options {
	struct rollout_options rollout;
	struct reward_options reward;
	const char *doctor;
	int64_t num_iterations;
	double beta, epsilon, epsilon_high; /* epsilon_high NAN: epsilon */
	bool mask_truncated;
	struct synced_options synced;
	int64_t top_k;                 /* refused, as top_p, unless they leave the whole distribution */
	double top_p;
};

#define GROUP_WHOLE_OPTS(s, f) \
	OPT_INT("top-k", s, f.top_k, "0", 0, 1 << 24, "answers are drawn from all tokens: 0 alone"), \
		OPT_FLOAT("top-p", s, f.top_p, "1", 0, 1, "answers are drawn from all tokens: 1 alone")

#define GROUP_OPTS(s, f, generations_, beta_, beta_help_) \
	ROLLOUT_OPTS(s, f.rollout, generations_, "256", "1"), \
		OPT_INT("num-iterations", s, f.num_iterations, "1", 1, 1000, \
	                "steps that learn from the same answers"), \
		OPT_FLOAT("beta", s, f.beta, beta_, 0, 1e6, beta_help_), \
		OPT_FLOAT("epsilon", s, f.epsilon, "0.2", 0, 1e6, "how far below 1 a ratio of probabilities counts"), \
		OPT_FLOAT("epsilon-high", s, f.epsilon_high, NULL, 0, 1e6, \
	                  "how far above 1 (default: --epsilon); cispo: the largest ratio itself"), \
		OPT_FLAG("mask-truncated-completions", s, f.mask_truncated, "false", \
	                 "answers that were cut teach nothing"), \
		SYNCED_OPTS(s, f.synced), GROUP_WHOLE_OPTS(s, f), \
		REWARD_OPTS(s, f.reward), DOCTOR_OPT(s, f.doctor)

struct group_kind {
	/* rewards of n answers, G to a prompt, become advantages */
	void (*advantages)(const void *options, double *x, size_t n, size_t G);
	double (*denominator)(const void *options, int32_t labels); /* of a document that is kept; NAN: nothing */
	double (*left_out)(const void *options);       /* of one that is not */
	bool kl_in_reward;             /* beta · Σ (old − reference) is taken off it; else the loss has the KL */
};

/* objective_grpo.c, objective_rloo.c: of their options. */
void grpo_advantages(const void *options, double *x, size_t n, size_t G);
void rloo_advantages(const void *options, double *x, size_t n, size_t G);

extern const struct batch_column group_columns[];
extern const char *const group_roles[], *const group_metrics[];
enum { GROUP_ENTROPY, GROUP_CLIP_LOW, GROUP_CLIP_HIGH, GROUP_CLIP };

/* An answer of a micro-batch, for the loss. */
struct group_answer {
	double advantage, weight, denominator;
	bool kept;
};
struct group_answer group_answer(const struct batch *b, int32_t doc);
double group_high(const struct group_options *o);                /* 1 + ε above */
/* log π/π_old of a label; 0 in the first step on it. */
static inline double group_log_ratio(const float *old, const float *x, int32_t i)
{
	return isnan(old[i]) ? 0 : (double)x[i] - (double)old[i];
}
/* Measures entropy and clipping of one ratio. */
void group_measure_ratio(struct objective_sums *s, double ratio, double advantage, double low, double high, double w);

/* Of the whole distribution, and of all; ppo has other options. */
int group_check_whole(const struct group_options *o, struct err *e);
int group_check(const void *options, struct err *e);
int group_open(struct objective_run *o, const struct group_kind *kind);
/* What an objective that stands on it has besides: a place for it, the answers and what each is worth. */
void **group_more(const struct objective_run *o);
struct rollout *group_rollout(const struct objective_run *o);
const double *group_rewards(const struct objective_run *o);
/* Members of an objective as they are: */
void group_close(struct objective_run *o);
void group_maxima(const struct objective_run *o, struct objective_maxima *m);
long group_repeats(const void *options);
const struct synced_options *group_synced(const void *options);
int group_plan(struct objective_run *o, struct objective_plan *p, struct err *e);
int group_documents(const struct objective_run *o, long step, const struct document *const *docs, size_t n,
                    const struct document **out, size_t *made, struct err *e);
uint32_t group_record(const struct objective_run *o, struct graph *g, uint32_t hidden);
double group_weight(const struct batch *b);
void group_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs);
void group_passed(const struct objective_run *o, const struct batch *b, const struct document *const *docs,
                  const float *x);
void group_tell(const struct objective_run *o, struct objective_metrics *m);
int group_evaluate(const struct objective_run *o, const struct document *const *docs, size_t n,
                   struct eval_metrics *m, struct err *e);
int group_save(const struct objective_run *o, long step, const char *dir, struct err *e);
int group_load(const struct objective_run *o, long step, const char *dir, struct err *e);

#endif
