/* mixture: the experts' half of a block, part by part. See mixture.h. */
#include "model/mixture.h"

#define FUSED MIXTURE_BLOCK "experts."
const struct weight_fused mixture_gate_in = { FUSED "gate_up_proj", 2, 0, false, false, false },
	                  mixture_up_in = { FUSED "gate_up_proj", 2, 1, false, false, false },
	                  mixture_down_in = { FUSED "down_proj", 1, 0, false, false, false };

static uint32_t shared(struct graph *g, uint32_t h, const struct mixture *x)
{
	uint32_t weight = op_act(g->tape, ACT_SIGMOID, nn_linear(g, h, x->shared_router, NULL, TENSOR_NONE),
	                         TENSOR_NONE);
	uint32_t gate = nn_linear(g, h, x->shared_gate, NULL, TENSOR_NONE);
	uint32_t up = nn_linear(g, h, x->shared_up, NULL, TENSOR_NONE);
	uint32_t y = nn_linear(g, op_act(g->tape, ACT_SILU, gate, up), x->shared_down, NULL, TENSOR_NONE);

	return op_combine(g->tape, y, weight);
}

/* The experts' y (N,C) of h. */
static uint32_t mixture_of(struct graph *g, uint32_t h, const struct mixture *x)
{
	uint32_t logits = nn_linear(g, h, x->router, x->router_bias, TENSOR_NONE);
	struct routing to;

	op_route(g->tape, logits, x->route, &to);
	if (g->balances)
		g->load = op_router_load(g->tape, logits, &to, g->load);
	uint32_t gate = nn_experts(g, h, x->gate, x->gate_bias, &to), up = nn_experts(g, h, x->up, x->up_bias, &to);
	uint32_t y = x->limit > 0 ? op_clamped_swiglu(g->tape, gate, up, x->alpha, x->limit) :
	                            op_act(g->tape, ACT_SILU, gate, up);
	y = nn_experts(g, y, x->down, x->down_bias, &to);
	y = op_combine(g->tape, y, to.weights);
	return x->shared_gate ? op_add(g->tape, y, shared(g, h, x)) : y;
}

uint32_t mixture_feed_forward(struct graph *g, uint32_t x, const struct mixture *m)
{
	uint32_t h = nn_rmsnorm(g, x, DECODER_BLOCK "post_attention_layernorm.weight");

	return nn_sublayer(g, SUBLAYER_FEED_FORWARD, x, h, mixture_of(g, h, m));
}
