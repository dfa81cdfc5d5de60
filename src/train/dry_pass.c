/* dry_pass: a pass that is never run. It asks the same graph, tape and planner as a trainer does, so what it says is
 * what that would take. See dry_pass.h. */
#include "train/dry_pass.h"

#include "train/optim.h"

static double no_loss(const void *ctx, const struct batch *b, const float *x, float *dx)
{
	(void)ctx, (void)b, (void)x, (void)dx;
	BUG("a dry pass that runs");
}

/* What the model says, whatever that is. */
static uint32_t record(struct graph *g, bool training)
{
	const struct model *m = g->model;
	uint32_t hidden = graph_hidden(g);

	if (!m->labels)
		return model_predicts(m) ? graph_logprob(g, hidden) : graph_states(g, hidden);
	uint32_t z = graph_labels(g, hidden);
	if (training)
		op_loss(g->tape, z, &(struct loss){ .of = no_loss });
	return z;
}

int dry_pass_begin(struct model_pass *p, struct device *d, const struct model *m, const struct overlay *o,
                   bool training, int32_t tokens, struct err *e)
{
	int32_t docs = tokens / m->config.n_ctx + 1;
	struct batch_cap cap = { .rows = tokens,
		                 .targets = tokens - 1,
		                 .labels = tokens - 1,
		                 .segments = docs,
		                 .docs = docs,
		                 .keys = tokens };

	model_pass_begin(p, d, &cap, m, o, training);
	if (training && !m->labels && !model_predicts(m)) {
		model_pass_release(p);
		return err_set(e, "%s: an encoder without its head of masked tokens has nothing to learn by",
		               m->source.path);
	}
	p->result = record(&p->graph, training);
	if (!training || tape_backward(&p->pass.tape, e) == 0)
		return 0;
	model_pass_release(p);
	return -1;
}

size_t dry_pass_state_bytes(const struct device *d, const struct params *params)
{
	struct optim o;

	optim_init(&o, optimizer_find(NULL), &(struct optim_settings){ 0 }, params, d->kernels, d->pool);
	size_t bytes = 2 * params->n * sizeof(float) + o.bytes;
	optim_release(&o);
	return bytes;
}
