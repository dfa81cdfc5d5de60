/* model_pass: a model's graph and the pass that runs it, made and released together. See model_pass.h. */
#include "model/model_pass.h"

void model_pass_begin(struct model_pass *p, struct device *d, const struct batch_cap *cap,
                      const struct model *m, const struct overlay *o, bool training)
{
	*p = (struct model_pass){ 0 };
	pass_begin(&p->pass, d, cap, training);
	graph_init(&p->graph, &p->pass.tape, m, o, training);
}

int model_pass_start(struct model_pass *p, float *grads, struct err *e)
{
	if (pass_start(&p->pass, e) < 0)
		return -1;
	model_pass_bind(p, grads);
	return run_ready(&p->pass.run, e);
}

void model_pass_bind(struct model_pass *p, float *grads)
{
	graph_bind(&p->graph, &p->pass.run, grads);
}

const float *model_pass_result(const struct model_pass *p)
{
	return run_read(&p->pass.run, p->result);
}

static void bind_weights(void *ctx, struct run *r)
{
	graph_bind(ctx, r, NULL);
}

int model_pass_time(struct timing *out, struct model_pass *p, struct timing_options o, struct err *e)
{
	if (!o.bind) {
		o.bind = bind_weights;
		o.ctx = &p->graph;
	}
	return plan_time(out, &p->pass.plan, p->pass.device, &o, e);
}

void model_pass_release(struct model_pass *p)
{
	graph_release(&p->graph);
	pass_release(&p->pass);
	*p = (struct model_pass){ 0 };
}
