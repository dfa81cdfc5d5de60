/* mixture: what models share whose feed-forward is a choice among experts.
 *
 *     y = Σ_e p_e·Wdown_e·(silu(Wgate_e·h) ∘ Wup_e·h)
 *     e over the k experts that a router chooses for the row
 *       + σ(w·h)·Wdown·(silu(Wgate·h) ∘ Wup·h)              one that all rows share, in some
 *
 * (Shazeer et al. 2017; Jiang et al. 2024; Qwen Team 2024.) The router is a linear, logits h·Wrouterᵀ; op/op_route.c
 * says what is chosen and how it is weighted. Nothing is dropped: an expert takes as many rows as chose it. */
#ifndef MODEL_MIXTURE_H
#define MODEL_MIXTURE_H

#include "model/decoder.h"

/* Names in the table of weights, the last three with the expert as their second "%d"; what a model is without is
 * NULL. */
struct mixture {
	const char *router, *router_bias;
	const char *gate, *up, *down;
	const char *gate_bias, *up_bias, *down_bias;
	struct route_spec route;
	float alpha, limit;           /* of the clamped gate (op_clamped_swiglu); a limit of 0: silu */
	const char *shared_router, *shared_gate, *shared_up, *shared_down;
};

/* The names of most: a linear "mlp.gate" and modules "mlp.experts.N". */
#define MIXTURE_BLOCK DECODER_BLOCK "mlp."
#define MIXTURE_EXPERTS MIXTURE_BLOCK "experts.%d."
#define MIXTURE_NAMES \
	.router = MIXTURE_BLOCK "gate.weight", .gate = MIXTURE_EXPERTS "gate_proj.weight", \
	.up = MIXTURE_EXPERTS "up_proj.weight", .down = MIXTURE_EXPERTS "down_proj.weight"
/* How transformers 5 has them in memory, and in folders with save_original_format off: read, not written. */
extern const struct weight_fused mixture_gate_in, mixture_up_in, mixture_down_in;
/* Their rows, width a letter of the table. */
#define MIXTURE_WEIGHTS(width) \
	{ MIXTURE_BLOCK "gate.weight", "blk.%d.ffn_gate_inp.weight", "E,C", WEIGHT_LINEAR | WEIGHT_OF_EXPERTS }, \
	{ MIXTURE_EXPERTS "gate_proj.weight", "blk.%d.ffn_gate_exps.weight", "E," width ",C", \
	  WEIGHT_LINEAR | WEIGHT_OF_EXPERTS, &mixture_gate_in }, \
	{ MIXTURE_EXPERTS "up_proj.weight", "blk.%d.ffn_up_exps.weight", "E," width ",C", \
	  WEIGHT_LINEAR | WEIGHT_OF_EXPERTS, &mixture_up_in }, \
	{ MIXTURE_EXPERTS "down_proj.weight", "blk.%d.ffn_down_exps.weight", "E,C," width, \
	  WEIGHT_LINEAR | WEIGHT_OF_EXPERTS, &mixture_down_in }

/* The feed-forward of layers that are dense (arch.is_dense), which GGUF's files of mixtures have none of. */
#define MIXTURE_DENSE \
	{ MIXTURE_BLOCK "gate_proj.weight", NULL, "F,C", WEIGHT_LINEAR | WEIGHT_OF_DENSE }, \
	{ MIXTURE_BLOCK "up_proj.weight", NULL, "F,C", WEIGHT_LINEAR | WEIGHT_OF_DENSE }, \
	{ MIXTURE_BLOCK "down_proj.weight", NULL, "C,F", WEIGHT_LINEAR | WEIGHT_OF_DENSE }
/* Which those are: own has `int step` and `uint8_t dense[CONFIG_LAYERS_MAX]`. */
#define MIXTURE_DENSE_FIELDS(s) \
	CONFIG_INT('z', "decoder_sparse_step", "1", NULL, "1", s, step), \
	CONFIG_THESE("mlp_only_layers", "z", s, dense)

/* What config.json says of the loss that balances experts while a model is trained; coef: the class's default. */
#define MIXTURE_LOSS(coef) \
	{ .kind = CONFIG_KIND_FLAG, .hf = "output_router_logits", .hf_init = "false", .gguf_init = "false", \
	  .unsaid = true, .at = offsetof(struct config, balances) }, \
	{ .kind = CONFIG_KIND_REAL, .hf = "router_aux_loss_coef", .hf_init = coef, .gguf_init = coef, .maybe = true, \
	  .zero = true, .unsaid = true, .at = offsetof(struct config, balance) }

/* x + that of its norm */
uint32_t mixture_feed_forward(struct graph *g, uint32_t x, const struct mixture *m);

#endif
