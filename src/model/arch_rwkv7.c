/* rwkv7: RWKV-7 "Goose" (Peng et al. 2025). No attention: each layer carries a state from token to token (op_rwkv7.c),
 * so a sequence of any length costs the same memory and a token the same work.
 *
 *     x = n0(embedding)
 *     h = n1(x)      h_p = h + (h of the token before − h)∘share_p      p: r w k v a g
 *     r = Wr·h_r      k = Wk·h_k      v = Wv·h_v, from layer 1 on (1 − σ(V·h_v))∘v + σ(V·h_v)∘v of layer 0
 *     x += Wo·mixing(r, w = W2·tanh(W1·h_w), k, v, a = A·h_a, g = G2·σ(G1·h_g))
 *     x += Wdown·max(Wup·(h' + (h' of the token before − h')∘share), 0)²      h' = n2(x)
 *
 * n: LayerNorm. V, A are of low rank with a bias, as W1, W2 and G1, G2 are. Read from GGUF; the names of modules are
 * those that flash-linear-attention's model has, so that adapters are PEFT's for it. */
#include "model/config.h"
#include "model/graph.h"

#define BLOCK "model.layers.%d."
#define ATTN BLOCK "attn."
#define FFN BLOCK "ffn."
#define LOW "_lora.lora.0.weight"      /* the halves of a matrix of low rank */
#define HIGH "_lora.lora.2.weight"
#define HIGH_BIAS "_lora.lora.2.bias"
#define HEAD_EPS 64e-5F                /* of the norm of heads, in all models */

enum share { SHARE_R, SHARE_W, SHARE_K, SHARE_V, SHARE_A, SHARE_G, SHARES };

struct rwkv7_facts { int decay, rate, value, gate; };  /* ranks */

static const struct config_field fields[] = {
	CONFIG_INT('V', NULL, NULL, NULL, NULL, struct config, V),
	CONFIG_INT('C', NULL, NULL, "embedding_length", NULL, struct config, C),
	CONFIG_INT('F', NULL, NULL, "feed_forward_length", NULL, struct config, F),
	CONFIG_INT('L', NULL, NULL, "block_count", NULL, struct config, n_layers),
	CONFIG_INT('D', NULL, NULL, "wkv.head_size", NULL, struct config, D),
	CONFIG_INT('H', NULL, NULL, NULL, "C/D", struct config, H),
	CONFIG_INT('G', NULL, NULL, NULL, "H", struct config, G),
	CONFIG_INT('P', NULL, NULL, "context_length", NULL, struct config, n_ctx),
	CONFIG_REAL(NULL, NULL, "attention.layer_norm_epsilon", "1e-5", struct config, norm_eps),
	CONFIG_INT('w', NULL, NULL, "attention.decay_lora_rank", NULL, struct rwkv7_facts, decay),
	CONFIG_INT('a', NULL, NULL, "attention.iclr_lora_rank", NULL, struct rwkv7_facts, rate),
	CONFIG_INT('v', NULL, NULL, "attention.value_residual_mix_lora_rank", NULL, struct rwkv7_facts, value),
	CONFIG_INT('g', NULL, NULL, "attention.gate_lora_rank", NULL, struct rwkv7_facts, gate),
	CONFIG_IS(NULL, NULL, "attention.head_count", "0"),
	CONFIG_IS(NULL, NULL, "token_shift_count", "2"),
	{ 0 },
};

static const struct weight_spec weights[] = {
	{ "model.embeddings.weight", "token_embd.weight", "V,C", WEIGHT_EMBED },
	{ "model.layers.0.pre_norm.weight", "token_embd_norm.weight", "C", WEIGHT_NORM },
	{ "model.layers.0.pre_norm.bias", "token_embd_norm.bias", "C", WEIGHT_BIAS },
	{ BLOCK "attn_norm.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ BLOCK "attn_norm.bias", "blk.%d.attn_norm.bias", "C", WEIGHT_BIAS },
	{ ATTN "x_rwkvag", "blk.%d.time_mix_lerp_fused.weight", "6C", 0 },
	{ ATTN "r_proj.weight", "blk.%d.time_mix_receptance.weight", "C,C", WEIGHT_LINEAR },
	{ ATTN "k_proj.weight", "blk.%d.time_mix_key.weight", "C,C", WEIGHT_LINEAR },
	{ ATTN "v_proj.weight", "blk.%d.time_mix_value.weight", "C,C", WEIGHT_LINEAR },
	{ ATTN "o_proj.weight", "blk.%d.time_mix_output.weight", "C,C", WEIGHT_LINEAR },
	{ ATTN "w" LOW, "blk.%d.time_mix_w1.weight", "w,C", WEIGHT_LINEAR },
	{ ATTN "w" HIGH, "blk.%d.time_mix_w2.weight", "C,w", WEIGHT_LINEAR },
	{ ATTN "w" HIGH_BIAS, "blk.%d.time_mix_w0.weight", "C", WEIGHT_BIAS },
	{ ATTN "a" LOW, "blk.%d.time_mix_a1.weight", "a,C", WEIGHT_LINEAR },
	{ ATTN "a" HIGH, "blk.%d.time_mix_a2.weight", "C,a", WEIGHT_LINEAR },
	{ ATTN "a" HIGH_BIAS, "blk.%d.time_mix_a0.weight", "C", WEIGHT_BIAS },
	{ ATTN "v" LOW, "blk.%d.time_mix_v1.weight", "v,C", WEIGHT_LINEAR | WEIGHT_LATER },
	{ ATTN "v" HIGH, "blk.%d.time_mix_v2.weight", "C,v", WEIGHT_LINEAR | WEIGHT_LATER },
	{ ATTN "v" HIGH_BIAS, "blk.%d.time_mix_v0.weight", "C", WEIGHT_BIAS | WEIGHT_LATER },
	{ ATTN "g" LOW, "blk.%d.time_mix_g1.weight", "g,C", WEIGHT_LINEAR },
	{ ATTN "g" HIGH, "blk.%d.time_mix_g2.weight", "C,g", WEIGHT_LINEAR },
	{ ATTN "k_k", "blk.%d.time_mix_k_k.weight", "C", 0 },
	{ ATTN "k_a", "blk.%d.time_mix_k_a.weight", "C", 0 },
	{ ATTN "r_k", "blk.%d.time_mix_r_k.weight", "C", 0 },
	{ ATTN "g_norm.weight", "blk.%d.time_mix_ln.weight", "C", WEIGHT_NORM },
	{ ATTN "g_norm.bias", "blk.%d.time_mix_ln.bias", "C", WEIGHT_BIAS },
	{ BLOCK "ffn_norm.weight", "blk.%d.attn_norm_2.weight", "C", WEIGHT_NORM },
	{ BLOCK "ffn_norm.bias", "blk.%d.attn_norm_2.bias", "C", WEIGHT_BIAS },
	{ FFN "x_k", "blk.%d.channel_mix_lerp_k.weight", "C", 0 },
	{ FFN "key.weight", "blk.%d.channel_mix_key.weight", "F,C", WEIGHT_LINEAR },
	{ FFN "value.weight", "blk.%d.channel_mix_value.weight", "C,F", WEIGHT_LINEAR },
	{ "model.norm.weight", "output_norm.weight", "C", WEIGHT_NORM },
	{ "model.norm.bias", "output_norm.bias", "C", WEIGHT_BIAS },
	{ "lm_head.weight", "output.weight", "V,C", WEIGHT_LINEAR | WEIGHT_HEAD },
	{ 0 },
};

static uint32_t rwkv7_embed(struct graph *g)
{
	return nn_layernorm(g, nn_embed(g, "model.embeddings.weight", EMBED_IDS), "model.layers.0.pre_norm.weight",
	                    "model.layers.0.pre_norm.bias");
}

/* The value; the first layer's goes into all later ones. */
static uint32_t value(struct graph *g, uint32_t h)
{
	uint32_t v = nn_linear(g, h, ATTN "v_proj.weight", NULL, TENSOR_NONE);

	if (g->layer == 0)
		return g->carried = v;
	uint32_t low = nn_linear(g, h, ATTN "v" LOW, NULL, TENSOR_NONE);
	return op_blend(g->tape, v, g->carried, nn_linear(g, low, ATTN "v" HIGH, ATTN "v" HIGH_BIAS, TENSOR_NONE));
}

/* Whigh·f(Wlow·h) + bias */
static uint32_t low_rank(struct graph *g, uint32_t h, const char *low, const enum activation *f, const char *high,
                         const char *bias)
{
	uint32_t u = nn_linear(g, h, low, NULL, TENSOR_NONE);

	return nn_linear(g, f ? op_act(g->tape, *f, u, TENSOR_NONE) : u, high, bias, TENSOR_NONE);
}

static uint32_t time_mixing(struct graph *g, uint32_t x)
{
	static const enum activation decay = ACT_TANH, gate = ACT_SIGMOID;
	size_t C = (size_t)g->model->config.C, D = (size_t)g->model->config.D;
	uint32_t h = nn_layernorm(g, x, BLOCK "attn_norm.weight", BLOCK "attn_norm.bias"), p[SHARES];

	uint32_t shares = nn_weight(g, ATTN "x_rwkvag");

	op_token_shift(g->tape, h, (struct shares){ &shares, 1, false }, nn_state(g, C), SHARES, p);
	uint32_t y = op_rwkv7(g->tape, &(struct rwkv7){
		.r = nn_linear(g, p[SHARE_R], ATTN "r_proj.weight", NULL, TENSOR_NONE),
		.w = low_rank(g, p[SHARE_W], ATTN "w" LOW, &decay, ATTN "w" HIGH, ATTN "w" HIGH_BIAS),
		.k = nn_linear(g, p[SHARE_K], ATTN "k_proj.weight", NULL, TENSOR_NONE),
		.v = value(g, p[SHARE_V]),
		.a = low_rank(g, p[SHARE_A], ATTN "a" LOW, NULL, ATTN "a" HIGH, ATTN "a" HIGH_BIAS),
		.g = low_rank(g, p[SHARE_G], ATTN "g" LOW, &gate, ATTN "g" HIGH, NULL),
		.k_k = nn_weight(g, ATTN "k_k"),
		.k_a = nn_weight(g, ATTN "k_a"),
		.r_k = nn_weight(g, ATTN "r_k"),
		.ln_w = nn_weight(g, ATTN "g_norm.weight"),
		.ln_b = nn_weight(g, ATTN "g_norm.bias"),
		.state = nn_state(g, C * D),
		.D = D,
		.eps = HEAD_EPS,
	});
	return nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, y, ATTN "o_proj.weight", NULL);
}

static uint32_t rwkv7_block(struct graph *g, int layer, uint32_t x)
{
	uint32_t y = time_mixing(g, x), shifted;
	uint32_t h = nn_layernorm(g, y, BLOCK "ffn_norm.weight", BLOCK "ffn_norm.bias");
	uint32_t share = nn_weight(g, FFN "x_k");
	(void)layer;

	op_token_shift(g->tape, h, (struct shares){ &share, 1, false }, nn_state(g, (size_t)g->model->config.C), 1,
	               &shifted);
	uint32_t up = op_act(g->tape, ACT_RELU2, nn_linear(g, shifted, FFN "key.weight", NULL, TENSOR_NONE),
	                     TENSOR_NONE);
	return nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, y, h, up, FFN "value.weight", NULL);
}

static uint32_t rwkv7_norm(struct graph *g, uint32_t x)
{
	return nn_layernorm(g, x, "model.norm.weight", "model.norm.bias");
}

const struct arch arch_rwkv7 = {
	.name = "rwkv7",
	.hf_types = (const char *const[]){ NULL },
	.gguf = "rwkv7",
	.fields = (const struct config_field *const[]){ fields, NULL },
	.own_bytes = sizeof(struct rwkv7_facts),
	.weights = weights,
	.prefix = "model.",
	.embed = rwkv7_embed,
	.block = rwkv7_block,
	.norm = rwkv7_norm,
	.head = "lm_head.weight",
	.embedding = "model.embeddings.weight",
	.state = "none: each layer carries a state from token to token, of one size whatever the length",
};
