/* objective_reward: one number for a prompt and its answer, larger for what people prefer, by a head on the state of
 * its last token (of an encoder its first), as transformers' …ForSequenceClassification have it with one label
 * (Bradley & Terry 1952; Ouyang et al. 2022, InstructGPT; the margin: Touvron et al. 2023, Llama 2; centering:
 * Eisenstein et al. 2023, equation 2). Names, defaults and measures are TRL's RewardTrainer's.
 *
 *     loss of a pair    −log σ(r_c − r_r − margin) + λ·(r_c + r_r)²
 *     margin: the row's column, 0 where no row has it; λ: --center-rewards-coefficient
 *
 *     loss = Σ weight · mean over the group's pairs / Σ weight      over the groups of the global batch
 *
 * A group is a pair, or all answers to one prompt with their scores (data/ranked.h): then every two of which one is
 * better are a pair, and their prompt is computed once. Each group counts once, however many pairs it has, lest the
 * model is trained on a prompt as often as it has pairs.
 *
 * accuracy: how often r_c > r_r; margin: the mean of r_c − r_r, the column not taken off; min_, mean_ and max_reward:
 * of all answers of the step or the evaluation (TRL: the mean over micro-batches of their least and most). Not here:
 * outcomes of steps within an answer (PRM), a head of several numbers. */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/logistic.h"
#include "train/label_head.h"

enum { CHOSEN, REJECTED };
enum { ACCURACY, MARGIN, MEAN_REWARD, MIN_REWARD, MAX_REWARD };

struct reward { double center_rewards_coefficient; };

static const struct opt reward_opts[] = {
	OPT_FLOAT("center-rewards-coefficient", struct reward, center_rewards_coefficient, "0", 0, 1e6,
	          "how much rewards are drawn to a mean of 0; 0.01 is usual where it is wanted"),
	OPT_END
};

/* --- opening --- */

/* All rows have a margin, or none has. */
static int check_margins(const struct documents *d, const struct document **one, struct err *e)
{
	for (size_t i = 0; d && i < d->n; i++) {
		const struct document *x = &d->items[i], *with = isnan(x->margin) ? *one : x;
		const struct document *without = isnan(x->margin) ? x : *one;
		if (*one && isnan(x->margin) != isnan((*one)->margin))
			return err_set(e, "%s:%zu: a row without a margin, where %s:%zu has one", without->file,
			               without->line, with->file, with->line);
		*one = x;
	}
	return 0;
}

static int reward_open(struct objective_run *o, struct err *e)
{
	const struct labels *own = o->model->labels;
	const struct document *one = NULL;

	if (check_margins(o->documents, &one, e) < 0 || check_margins(o->eval_documents, &one, e) < 0)
		return -1;
	if (own && own->n != 1)
		return err_set(e, "%s has a head of %d labels: a reward model has one", o->model->source.path, own->n);
	if (!own)
		return label_head_make(o, 1, NULL, PROBLEM_REGRESSION, e);
	log_say("the model's own head goes on");
	return 0;
}

static void reward_fill(const struct objective_run *o, struct batch *b, const struct document *const *docs)
{
	float *score = batch_column(b, "score"), *margin = batch_column(b, "margin");
	(void)o;

	for (int32_t i = 0; i < b->n_docs; i++)
		score[i] = (float)docs[i]->score;
	for (int32_t g = 0; g < b->n_groups; g++) {
		double said = docs[b->group_doc[g]]->margin;
		margin[g] = isnan(said) ? 0 : (float)said;
	}
}

/* --- loss --- */

/* A micro-batch at work. */
struct rewarding {
	const struct objective_run *o;
	const struct batch *b;
	const float *score, *reward;   /* a document's; a row's */
	float *dx;                     /* as reward, or NULL */
	struct objective_sums *sums;   /* or NULL */
};

/* Documents that are alike have one row. */
static size_t row_of(const struct rewarding *w, int32_t doc) { return (size_t)w->o->scratch[doc]; }

static int32_t count_pairs(const struct batch *b, const float *score, int32_t g)
{
	int32_t n = 0;

	for (int32_t i = b->group_doc[g]; i < b->group_doc[g + 1]; i++)
		for (int32_t k = b->group_doc[g]; k < b->group_doc[g + 1]; k++)
			n += score[i] > score[k];
	return n;
}

static void add_pair(const struct rewarding *w, int32_t chosen, int32_t rejected, double margin, double weight)
{
	double lambda = ((const struct reward *)w->o->options)->center_rewards_coefficient;
	double c = (double)w->reward[row_of(w, chosen)], r = (double)w->reward[row_of(w, rejected)];
	double x = c - r - margin, wrong = sigmoid(-x);

	if (w->sums) {
		w->sums->loss += weight * (softplus(-x) + lambda * (c + r) * (c + r));
		objective_measure(w->sums, ACCURACY, c > r, weight);
		objective_measure(w->sums, MARGIN, c - r, weight);
	}
	if (w->dx) {
		w->dx[row_of(w, chosen)] += (float)(weight * (2 * lambda * (c + r) - wrong));
		w->dx[row_of(w, rejected)] += (float)(weight * (2 * lambda * (c + r) + wrong));
	}
}

static void add_group(const struct rewarding *w, int32_t g)
{
	const struct batch *b = w->b;
	double margin = (double)batch_column(b, "margin")[g], weight = (double)b->group_weight[g];
	int32_t n = count_pairs(b, w->score, g);

	for (int32_t i = b->group_doc[g]; i < b->group_doc[g + 1]; i++)
		for (int32_t k = b->group_doc[g]; k < b->group_doc[g + 1]; k++)
			if (w->score[i] > w->score[k])
				add_pair(w, i, k, margin, weight / n);
	if (w->sums)
		w->sums->weight += weight;
}

static void measure_rewards(const struct rewarding *w)
{
	for (int32_t d = 0; d < w->b->n_docs; d++) {
		double weight = (double)w->b->group_weight[w->b->doc_group[d]], r = (double)w->reward[row_of(w, d)];
		if (weight == 0)
			continue;
		objective_measure(w->sums, MEAN_REWARD, r, weight);
		objective_least(w->sums, MIN_REWARD, r);
		objective_most(w->sums, MAX_REWARD, r);
	}
}

/* scratch: the row of each document. */
static void reward_loss(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
                        struct objective_sums *s)
{
	const struct rewarding w = { o, b, batch_column(b, "score"), x, dx, s };

	if (dx)
		memset(dx, 0, (size_t)b->n_targets * sizeof(*dx));
	for (int32_t i = 0; i < b->n_labels; i++)
		o->scratch[b->label_doc[i]] = b->label_target[i];
	for (int32_t g = 0; g < b->n_groups; g++)
		add_group(&w, g);
	if (s)
		measure_rewards(&w);
}

static double reward_weight(const struct batch *b)
{
	double sum = 0;

	for (int32_t g = 0; g < b->n_groups; g++)
		sum += (double)b->group_weight[g];
	return sum;
}

static const char *const roles[] = { [CHOSEN] = "chosen", [REJECTED] = "rejected", NULL };
static const struct batch_column columns[] = { { "score", PER_DOCUMENT }, { "margin", PER_GROUP }, { 0 } };
static const char *const metrics[] = {
	[ACCURACY] = "accuracy", [MARGIN] = "margin", [MEAN_REWARD] = "mean_reward", [MIN_REWARD] = "min_reward",
	[MAX_REWARD] = "max_reward", NULL
};

const struct objective objective_reward = {
	.name = "reward",
	.summary = "a number that is larger for preferred answers, by a head",
	.rate = 0.5,
	.opts = reward_opts,
	.options_size = sizeof(struct reward),
	.roles = roles,
	.columns = columns,
	.labelled = true,
	.ranked = true,
	.metrics = metrics,
	.least = 1 << MIN_REWARD,
	.most = 1 << MAX_REWARD,
	.open = reward_open,
	.record = label_head_record,
	.forward = label_head_forward,
	.weight = reward_weight,
	.fill = reward_fill,
	.loss = reward_loss,
};
