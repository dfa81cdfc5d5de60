/* trainer_z_loss: --z-loss λ: λ·Z² joins the loss of a token that is learnt, Z = log Σ exp(logits) (PaLM: 1e-4).
 * The gradient is the head's own (op/op_token_logprob.c); here the loss gets that part, and it is told as z_loss,
 * the mean of λ·Z². Evaluations are without it. */
#include <math.h>

#include "train/trainer_parts.h"

void z_loss_begin(const struct trainer *t, struct graph *g) { g->z_loss = (float)t->recipe.z_loss; }

int z_loss_record(const struct trainer *t, struct graph *g, struct err *e)
{
	if (!(t->recipe.z_loss > 0) || g->tape->err.msg[0])
		return 0;
	if (!g->logprob_stat)
		return err_set(e, "--z-loss is of objectives that learn tokens as they stand, as sft, and "
		                  "--objective %s is none", t->objective.row->name);
	tape_keep(g->tape, g->logprob_stat);
	return 0;
}

/* Its place in the sums, after the balance's. */
static int metric_of(const struct trainer *t) { return trainer_metrics(t) + (t->balance.coef > 0); }

void z_loss_add(struct trainer *t, const struct batch *b)
{
	double sum = 0, weight = 0;

	if (!(t->recipe.z_loss > 0))
		return;
	const float *stat = run_read(&t->net.pass.run, t->net.graph.logprob_stat);
	for (int32_t p = 0; p < b->n_labels; p++) {
		const float *row = stat + 2 * (size_t)b->label_target[p];
		double z = (double)row[0] + log((double)row[1]);
		sum += (double)b->label_weight[p] * z * z;
		weight += (double)b->label_weight[p];
	}
	objective_measure(&t->sums, metric_of(t), weight > 0 ? t->recipe.z_loss * sum / weight : 0, weight);
	t->sums.loss += t->recipe.z_loss * sum;
}

void z_loss_tell(struct trainer *t, struct objective_metrics *m)
{
	int i = metric_of(t);

	if (t->recipe.z_loss > 0)
		trainer_tell(t, m, "z_loss", t->sums.metric[i] / t->sums.metric_weight[i]);
}
