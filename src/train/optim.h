/* optim: the update of flat parameters. AdamW in torch.optim's order; clipping by global norm as
 * torch.nn.utils.clip_grad_norm_. */
#ifndef LEARN_OPTIM_H
#define LEARN_OPTIM_H

#include "base/pool.h"
#include "kernel/kernels.h"
#include "model/params.h"

struct adamw {
	double lr, beta1, beta2, eps, weight_decay;
	float *m, *v;              /* [params->n] */
};

/* ‖scale·g‖₂ over all parameters: the sum of squares in table order, pieces of 64 Ki summed in double: same bits for
 * any thread count. */
double optim_norm(const struct kernels *k, struct pool *p, const struct params *params, const float *g, double scale,
                  double *partials);
size_t optim_partials(const struct params *params);  /* doubles that optim_norm needs */
/* One update; t counts from 1; gradients are used as g·g_scale. */
void adamw_update(const struct kernels *k, struct pool *p, const struct adamw *o, const struct params *params,
                  const float *g, double g_scale, double lr, long t);

#endif
