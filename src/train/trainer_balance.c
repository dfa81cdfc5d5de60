/* trainer_balance: the loss that keeps a mixture's experts equally busy (Fedus et al. 2021, equations 4 to 6), as
 * transformers' load_balancing_loss_func has it:
 *
 *     B = E·Σ_e f_e·P_e      f_e: how often e was chosen, over the rows of all layers; P_e: its mean probability
 *     loss = the objective's + coef·B
 *
 * f has no gradient. Rows are those of all tokens, whether they are learnt or not, a shared prefix once a document.
 * coef is --router-aux-loss-coef, else config.json's router_aux_loss_coef where that has output_router_logits. B is
 * told as aux_loss.
 *
 * B is no sum over tokens: it is that of a micro-batch, as transformers' is that of a forward, and a step has the mean
 * of its micro-batches by their weight. So here alone the split shows (transformers adds up the micro-batches' instead
 * of taking their mean). Evaluations are without it. */
#include <math.h>
#include <string.h>

#include "model/config.h"
#include "train/trainer_parts.h"

static int experts_of(const struct model *m)
{
	int64_t E = config_value(&m->config, "E", 1);

	return E > 0 ? (int)E : 0;
}

int balance_open(struct trainer *t, struct err *e)
{
	const struct config *c = &t->model->config;
	struct balance *b = &t->balance;

	b->coef = t->recipe.router_aux_loss_coef;
	if (isnan(b->coef))
		b->coef = c->balances ? c->balance : 0;
	if (b->coef > 0 && !experts_of(t->model))
		return err_set(e, "--router-aux-loss-coef %g: %s has no experts to balance", b->coef,
		               t->model->source.path);
	return 0;
}

void balance_begin(const struct trainer *t, struct graph *g) { g->balances = t->balance.coef > 0; }

/* B of a load (op_router_load); d: its gradient times `by`, or NULL. */
static double balance_of(const float *load, size_t E, double by, float *d)
{
	double rows = load[2 * E], sum = 0;

	for (size_t i = 0; i < E; i++) {
		double slope = (double)E * load[i] / (rows * rows);
		sum += slope * load[E + i];
		if (d) {
			d[i] = 0;
			d[E + i] = (float)(by * slope);
		}
	}
	if (d)
		d[2 * E] = 0;
	return sum;
}

static double loss_of(const void *ctx, const struct batch *b, const float *load, float *d)
{
	const struct trainer *t = ctx;
	double by = t->balance.coef * objective_weight(t->objective.row, b);

	return by * balance_of(load, (size_t)experts_of(t->model), by, d);
}

void balance_record(const struct trainer *t, struct graph *g)
{
	if (!g->balances || !g->load)
		return;
	op_loss(g->tape, g->load, &(struct loss){ .of = loss_of, .ctx = t });
	tape_keep(g->tape, g->load);
}

int trainer_metrics(const struct trainer *t)
{
	int n = 0;

	while (t->objective.row->metrics && t->objective.row->metrics[n])
		n++;
	return n;
}

void balance_add(struct trainer *t, const struct batch *b)
{
	if (!(t->balance.coef > 0))
		return;
	double weight = objective_weight(t->objective.row, b);
	double x = balance_of(run_read(&t->net.pass.run, t->net.graph.load), (size_t)experts_of(t->model), 0, NULL);

	t->sums.loss += t->balance.coef * weight * x;
	objective_measure(&t->sums, trainer_metrics(t), x, weight);
}

void balance_tell(struct trainer *t, struct objective_metrics *m)
{
	if (t->balance.coef > 0)
		trainer_tell(t, m, "aux_loss", t->sums.metric[m->n] / t->sums.metric_weight[m->n]);
}
