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

/* params, a: as graph_init; replaced (or NULL) is the graph's where there is no adapter. training: gradients too. */
int model_pass_begin(struct model_pass *p, const struct batch_cap *cap, const struct model *m,
                     const struct params *params, const int *replaced, const struct adapter *a, bool training,
                     struct err *e);
int model_pass_start(struct model_pass *p, struct pool *pool, struct err *e);
/* Parameters' gradients go to `grads` from now on (flat as params). */
void model_pass_bind(struct model_pass *p, float *grads);
const float *model_pass_result(const struct model_pass *p);
/* How long it takes (plan_time, with the weights bound): o.bind NULL and o.ctx are filled here. */
int model_pass_time(struct timing *out, struct model_pass *p, struct pool *pool, struct timing_options o,
                    struct err *e);
void model_pass_release(struct model_pass *p);

#endif
