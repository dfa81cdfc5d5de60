/* objective_rloo: answers that are worth more than the others to the same prompt become likelier, each beside the mean
 * of the rest (Ahmadian et al. 2024, REINFORCE leave-one-out). Names, defaults and measures are TRL's RLOOTrainer's.
 *
 *     R = r − β·Σ over the answer of (log π_old − log π_ref)
 *     A = R − mean of the other R of the group
 *         --normalize-advantages: (A − mean of the step) / (deviation + 1e-4)
 *     q = π(answer)/π_old(answer)
 *     loss = mean over answers of −min(q·A, clip(q, 1 − ε, 1 + ε_high)·A)
 *
 * π_ref is what lies under what is trained: the model as the run begins. */
#include "train/group_policy.h"

#include <string.h>

struct rloo {
	struct group_options group;    /* the first */
	bool normalize;
};

static const struct opt rloo_opts[] = {
	OPT_FLAG("normalize-advantages", struct rloo, normalize, "false",
	         "advantages of a step have mean 0 and deviation 1"),
	GROUP_OPTS(struct rloo, group, "2", "0.05", "how much the KL to the model at the start counts"),
	OPT_END
};

static void normalize(double *x, size_t n)
{
	double mean = 0, squares = 0;

	for (size_t i = 0; i < n; i++)
		mean += x[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean);
	for (size_t i = 0; i < n; i++)
		x[i] = (x[i] - mean) / (sqrt(squares / (double)(n - 1)) + 1e-4);
}

void rloo_advantages(const void *options, double *x, size_t n, size_t G)
{
	const struct rloo *o = options;

	for (size_t g = 0; g < n; g += G) {
		double sum = 0;
		for (size_t i = g; i < g + G; i++)
			sum += x[i];
		for (size_t i = g; i < g + G; i++)
			x[i] -= (sum - x[i]) / (double)(G - 1);
	}
	if (o->normalize)
		normalize(x, n);
}

static double one(const void *options, int32_t labels)
{
	(void)options;
	(void)labels;
	return 1;
}

static double left_out(const void *options)
{
	(void)options;
	return 1;
}

static const struct group_kind kind = {
	.advantages = rloo_advantages, .denominator = one, .left_out = left_out, .kl_in_reward = true,
};

static int rloo_open(struct objective_run *o, struct err *e)
{
	(void)e;
	return group_open(o, &kind);
}

/* scratch: Σ log ρ of each answer, then what each label of it has as its gradient. */
static void answers(const struct objective_run *o, const struct batch *b, struct objective_sums *s)
{
	const struct group_options *g = o->options;
	double low = 1 - g->epsilon, high = group_high(g);

	for (int32_t d = 0; d < b->n_docs; d++) {
		struct group_answer a = group_answer(b, d);
		double ratio = exp(o->scratch[d]), A = a.advantage, cut = fmin(fmax(ratio, low), high);
		o->scratch[d] = a.kept && ratio * A <= cut * A ? -a.weight * ratio * A : 0;
		if (!s)
			continue;
		s->weight += a.weight;
		if (!a.kept)
			continue;
		s->loss -= a.weight * fmin(ratio * A, cut * A);
		group_measure_ratio(s, ratio, A, low, high, a.weight);
	}
}

static void rloo_loss(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
                      struct objective_sums *s)
{
	const float *old = batch_column(b, "old");

	memset(o->scratch, 0, (size_t)b->n_docs * sizeof(*o->scratch));
	for (int32_t i = 0; i < b->n_labels; i++)
		o->scratch[b->label_doc[i]] += group_log_ratio(old, x, i);
	answers(o, b, s);
	for (int32_t i = 0; i < b->n_labels; i++) {
		if (dx)
			dx[i] = (float)o->scratch[b->label_doc[i]];
		if (s)
			objective_measure(s, GROUP_ENTROPY, -(double)x[i], (double)b->label_weight[i]);
	}
}

const struct objective objective_rloo = {
	.name = "rloo",
	.summary = "the same, each answer beside the mean of the others",
	.rate = 0.5,
	.opts = rloo_opts,
	.options_size = sizeof(struct rloo),
	.roles = group_roles,
	.columns = group_columns,
	.metrics = group_metrics,
	.check = group_check,
	.open = rloo_open,
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
	.loss = rloo_loss,
};
