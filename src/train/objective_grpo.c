/* objective_grpo: answers that are worth more than others to the same prompt become likelier (Shao et al. 2024,
 * DeepSeekMath: group relative policy optimization). Names, defaults and measures are TRL's GRPOTrainer's.
 *
 *     A = (r − mean of the group) / (s + 1e-4)
 *         --scale-rewards group: s is the group's deviation (Bessel's); batch: that of all rewards of the step;
 *         none: A = r − mean (Liu et al. 2025)
 *     q = π(token)/π_old(token)
 *         --importance-sampling-level sequence: exp of the mean of log q over the answer (Zheng et al. 2025, GSPO)
 *     l = −min(q·A, clip(q, 1 − ε, 1 + ε_high)·A) + β·(e^y − y − 1),   y = log π_ref − log π
 *         cispo: −min(q, ε_high)·A·log π(token), whose factor has no gradient (MiniMax 2025)
 *         sapo: −A·4/τ·σ(τ·(q − 1)), τ --sapo-temperature-pos where A > 0, else -neg (Gao et al. 2025)
 *         vespo: −e^λ·w^k·e^(−λ·w)·A·log π(token), w = π/π_old of the answer, which has no gradient;
 *         k and λ --vespo-k-pos … where A ≥ 0, else -neg (2026)
 *         the last term is the k3 estimate of KL(π ‖ π_ref) (Schulman 2020)
 *
 *     grpo, sapo           mean over answers of the mean of their l
 *     luspo                mean over answers of the sum of their l (2026: of GSPO's ratios)
 *     bnpo, dapo, cispo,   Σ l / tokens of all answers of the step (Yu et al. 2025); the first two are one here, where
 *     vespo                no split of a step shows in its loss
 *     dr_grpo              Σ l / (answers · --max-completion-length)
 *
 * π_ref is what lies under what is trained: the model as the run begins. entropy is the mean of −log π of the
 * tokens that were drawn, whose expectation at the first step on them is the entropy; clip_ratio/… the share of
 * ratios that are cut. Not here: entropy bonuses, two-sided clipping. */
#include "train/group_policy.h"

#include <string.h>

#include "base/logistic.h"
#include "base/mem.h"

struct grpo {
	struct group_options group;    /* the first */
	const char *loss_type, *level, *scale_rewards;
	double sapo[2], k[2], lambda[2]; /* of advantages that are positive, and of others */
};

enum { POSITIVE, OTHER };

static const struct opt grpo_opts[] = {
	OPT_STRING("loss-type", struct grpo, loss_type, "dapo", "NAME",
	           "grpo, bnpo, dr_grpo, dapo, cispo, sapo, vespo or luspo: a token's loss, and what divides the sum"),
	OPT_CHOICE("importance-sampling-level", struct grpo, level, "token", "token|sequence",
	           "ratios of each token, or of the whole answer (GSPO)"),
	OPT_CHOICE("scale-rewards", struct grpo, scale_rewards, "group", "group|batch|none",
	           "advantages are divided by the deviation of their group, of the step, or not"),
	OPT_FLOAT("sapo-temperature-pos", struct grpo, sapo[POSITIVE], "1", 1e-6, 1e6,
	          "sapo: of advantages above 0, how soon a ratio off 1 counts less"),
	OPT_FLOAT("sapo-temperature-neg", struct grpo, sapo[OTHER], "1.05", 1e-6, 1e6, "sapo: of other advantages"),
	OPT_FLOAT("vespo-k-pos", struct grpo, k[POSITIVE], "2", 0, 1e3,
	          "vespo: how much less answers count that became less likely"),
	OPT_FLOAT("vespo-lambda-pos", struct grpo, lambda[POSITIVE], "3", 1e-4, 1e3,
	          "vespo: how much less answers count that became likelier"),
	OPT_FLOAT("vespo-k-neg", struct grpo, k[OTHER], "3", 0, 1e3, "vespo: the same of advantages below 0"),
	OPT_FLOAT("vespo-lambda-neg", struct grpo, lambda[OTHER], "2", 1e-4, 1e3,
	          "vespo: the same of advantages below 0"),
	GROUP_OPTS(struct grpo, group, "8", "0", "how much the KL to the model at the start counts"),
	OPT_END
};

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static double deviation_of(const double *x, size_t n)
{
	double mean = 0, squares = 0;

	for (size_t i = 0; i < n; i++)
		mean += x[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean);
	return sqrt(squares / (double)(n - 1));
}

void grpo_advantages(const void *options, double *x, size_t n, size_t G)
{
	const struct grpo *o = options;
	double all = deviation_of(x, n);

	for (size_t g = 0; g < n; g += G) {
		double mean = 0, s = is(o->scale_rewards, "batch") ? all : deviation_of(x + g, G);
		for (size_t i = g; i < g + G; i++)
			mean += x[i] / (double)G;
		for (size_t i = g; i < g + G; i++)
			x[i] = (x[i] - mean) / (is(o->scale_rewards, "none") ? 1 : s + 1e-4);
	}
}

/* The sum is divided by answers, not by tokens. */
static bool by_answers(const struct grpo *o)
{
	return is(o->loss_type, "grpo") || is(o->loss_type, "sapo") || is(o->loss_type, "luspo");
}

static double denominator(const void *options, int32_t labels)
{
	const struct grpo *o = options;

	return by_answers(o)               ? 1 :
	       is(o->loss_type, "dr_grpo") ? (double)o->group.rollout.max_completion_length :
	                                     labels;
}

static double left_out(const void *options)
{
	const struct grpo *o = options;

	/* where all are left out, nothing is divided by nothing */
	return by_answers(o) || is(o->loss_type, "dr_grpo") ? denominator(options, 0) : 1e-9;
}

static const struct group_kind kind = {
	.advantages = grpo_advantages, .denominator = denominator, .left_out = left_out,
};

static int grpo_check(const void *options, struct err *e)
{
	static const char *const types[] = { "grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo", "luspo" };
	const struct grpo *o = options;
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		known |= is(o->loss_type, types[i]);
	if (!known)
		return err_set(e, "--loss-type %s: grpo, bnpo, dr_grpo, dapo, cispo, sapo, vespo or luspo was wanted",
		               o->loss_type);
	if (is(o->loss_type, "vespo") && is(o->level, "sequence"))
		return err_set(e, "--loss-type vespo takes the ratio of the whole answer by itself: "
		                  "--importance-sampling-level sequence is not for it");
	return group_check(options, e);
}

static int grpo_open(struct objective_run *o, struct err *e)
{
	(void)e;
	return group_open(o, &kind);
}

/* --- the loss --- */

/* scratch: Σ log ρ of each answer. */
static void sum_ratios(const struct objective_run *o, const struct batch *b, const float *x)
{
	const float *old = batch_column(b, "old");

	memset(o->scratch, 0, (size_t)b->n_docs * sizeof(*o->scratch));
	for (int32_t i = 0; i < b->n_labels; i++)
		o->scratch[b->label_doc[i]] += group_log_ratio(old, x, i);
}

/* What vespo's answers count: 1 where nothing has moved. */
static double gamma_weight(const struct grpo *o, double log_ratio, double A)
{
	double log_w = fmin(fmax(log_ratio, log(1e-8)), 20), lambda = o->lambda[A >= 0 ? POSITIVE : OTHER];

	return exp(lambda + o->k[A >= 0 ? POSITIVE : OTHER] * log_w - lambda * exp(log_w));
}

static double gated(const struct grpo *o, double ratio, double A, double *slope)
{
	double temperature = o->sapo[A > 0 ? POSITIVE : OTHER], gate = sigmoid(temperature * (ratio - 1));

	*slope = -4 * gate * (1 - gate) * ratio * A;
	return -4 / temperature * gate * A;
}

static double clipped(double ratio, double low, double high, double A, double *slope)
{
	double cut = fmin(fmax(ratio, low), high);

	*slope = ratio * A <= cut * A ? -ratio * A : 0;
	return -fmin(ratio * A, cut * A);
}

/* A token's loss without the KL, and its slope in log π; of a ratio of the whole answer, that of all its tokens'.
 * log_answer: Σ log q over the answer. */
static double of_token(const struct grpo *o, double ratio, double log_answer, double A, double logp, double *slope)
{
	bool vespo = is(o->loss_type, "vespo");

	if (is(o->loss_type, "sapo"))
		return gated(o, ratio, A, slope);
	if (!vespo && !is(o->loss_type, "cispo"))
		return clipped(ratio, 1 - o->group.epsilon, group_high(&o->group), A, slope);
	*slope = -A * (vespo ? gamma_weight(o, log_answer, A) : fmin(ratio, group_high(&o->group) - 1));
	return *slope * logp;
}

static void add(const struct objective_run *o, const struct group_answer *a, double loss, double ratio, double x,
                struct objective_sums *s)
{
	const struct grpo *g = o->options;
	bool cispo = is(g->loss_type, "cispo"), soft = is(g->loss_type, "sapo") || is(g->loss_type, "vespo");
	double low = cispo || soft ? 0 : 1 - g->group.epsilon, high = soft ? INFINITY : group_high(&g->group) - cispo;

	s->loss += a->weight * loss;
	objective_measure(s, GROUP_ENTROPY, -x, a->weight);
	group_measure_ratio(s, ratio, a->advantage, low, high, a->weight);
}

static void grpo_loss(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
                      struct objective_sums *s)
{
	const struct grpo *g = o->options;
	const float *old = batch_column(b, "old"), *reference = batch_column(b, "reference");
	bool sequence = is(g->level, "sequence"), mean = by_answers(g) && !is(g->loss_type, "luspo");

	sum_ratios(o, b, x);
	for (int32_t i = 0; i < b->n_labels; i++) {
		int32_t d = b->label_doc[i];
		struct group_answer a = group_answer(b, d);
		double n = b->doc_labels[d], slope;
		double ratio = exp(sequence ? o->scratch[d] / n : group_log_ratio(old, x, i));
		double loss = of_token(g, ratio, o->scratch[d], a.advantage, (double)x[i], &slope);
		double y = (double)reference[i] - (double)x[i], share = mean ? 1 / n : 1;
		if (g->group.beta != 0) {
			loss += g->group.beta * (expm1(y) - y);
			slope -= g->group.beta * expm1(y);
		}
		if (dx)
			dx[i] = a.kept ? (float)(a.weight * share * slope) : 0;
		if (s && a.kept)
			add(o, &a, share * loss, ratio, (double)x[i], s);
	}
	if (s)
		s->weight += group_weight(b);
}

const struct objective objective_grpo = {
	.name = "grpo",
	.summary = "its own answers, by what they are worth beside others to the prompt",
	.rate = 0.5,
	.opts = grpo_opts,
	.options_size = sizeof(struct grpo),
	.roles = group_roles,
	.columns = group_columns,
	.metrics = group_metrics,
	.check = grpo_check,
	.open = grpo_open,
	.close = group_close,
	.maxima = group_maxima,
	.repeats = group_repeats,
	.synced = group_synced,
	.plan = group_plan,
	.documents = group_documents,
	.record = group_record,
	.weight = group_weight,
	.fill = group_fill,
	.passed = group_passed,
	.tell = group_tell,
	.evaluate = group_evaluate,
	.save = group_save,
	.load = group_load,
	.loss = grpo_loss,
};
