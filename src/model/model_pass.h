/* model_pass: a pass (op/pass.h) over a model's forward, and backward where something is trained.
 *
 * After model_pass_begin the caller records through `graph` and keeps the tensor that it will read in `result`; plan,
 * step and stop are those of `pass`. model_pass_start also binds the model's weights. */
#ifndef MODEL_MODEL_PASS_H
#define MODEL_MODEL_PASS_H

#include "model/graph.h"
#include "op/pass.h"

struct model_pass {
	struct pass pass;
	struct graph graph;
	uint32_t result;          /* what the forward is recorded for: log-probabilities, logits */
};

/* o: the topmost overlay, or NULL, as graph_init has it. training: gradients too. */
void model_pass_begin(struct model_pass *p, struct device *d, const struct batch_cap *cap,
                      const struct model *m, const struct overlay *o, bool training);
int model_pass_start(struct model_pass *p, float *grads /* as model_pass_bind, or NULL */, struct err *e);
/* Parameters' gradients go to `grads` from now on (the host's memory, flat as params). */
void model_pass_bind(struct model_pass *p, float *grads);
const float *model_pass_result(const struct model_pass *p);  /* after a step, in the host's memory */
/* How long it takes (plan_time, with the weights bound): o.bind NULL and o.ctx are filled here. */
int model_pass_time(struct timing *out, struct model_pass *p, struct timing_options o, struct err *e);
void model_pass_release(struct model_pass *p);

#endif
