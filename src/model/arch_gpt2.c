/* gpt2: GPT-2 (Radford et al. 2019).
 *
 *     x = token embedding + position embedding
 *     x += Wo·attention(q, k, v) + bo      [q k v] = Wqkv·n(x) + bqkv      n: LayerNorm
 *     x += Wdown·gelu(Wup·n(x) + bup) + bdown
 *
 * Hugging Face stores the four matrices of a block as [in][out], GGUF as [out][in]. The dropout that the original was
 * trained with is not applied. */
#include "model/config.h"
#include "model/graph.h"
#include "model/init.h"

#define BLOCK "transformer.h.%d."

static const struct weight_spec weights[] = {
	{ "transformer.wte.weight", "token_embd.weight", "V,C", WEIGHT_EMBED },
	{ "transformer.wpe.weight", "position_embd.weight", "P,C", WEIGHT_EMBED },
	{ BLOCK "ln_1.weight", "blk.%d.attn_norm.weight", "C", WEIGHT_NORM },
	{ BLOCK "ln_1.bias", "blk.%d.attn_norm.bias", "C", WEIGHT_BIAS },
	{ BLOCK "attn.c_attn.weight", "blk.%d.attn_qkv.weight", "3C,C", WEIGHT_LINEAR | WEIGHT_TRANSPOSED },
	{ BLOCK "attn.c_attn.bias", "blk.%d.attn_qkv.bias", "3C", WEIGHT_BIAS },
	{ BLOCK "attn.c_proj.weight", "blk.%d.attn_output.weight", "C,C", WEIGHT_LINEAR | WEIGHT_TRANSPOSED },
	{ BLOCK "attn.c_proj.bias", "blk.%d.attn_output.bias", "C", WEIGHT_BIAS },
	{ BLOCK "ln_2.weight", "blk.%d.ffn_norm.weight", "C", WEIGHT_NORM },
	{ BLOCK "ln_2.bias", "blk.%d.ffn_norm.bias", "C", WEIGHT_BIAS },
	{ BLOCK "mlp.c_fc.weight", "blk.%d.ffn_up.weight", "F,C", WEIGHT_LINEAR | WEIGHT_TRANSPOSED },
	{ BLOCK "mlp.c_fc.bias", "blk.%d.ffn_up.bias", "F", WEIGHT_BIAS },
	{ BLOCK "mlp.c_proj.weight", "blk.%d.ffn_down.weight", "C,F", WEIGHT_LINEAR | WEIGHT_TRANSPOSED },
	{ BLOCK "mlp.c_proj.bias", "blk.%d.ffn_down.bias", "C", WEIGHT_BIAS },
	{ BLOCK "attn.bias", NULL, NULL, WEIGHT_IGNORED },
	{ BLOCK "attn.masked_bias", NULL, NULL, WEIGHT_IGNORED },
	{ "transformer.ln_f.weight", "output_norm.weight", "C", WEIGHT_NORM },
	{ "transformer.ln_f.bias", "output_norm.bias", "C", WEIGHT_BIAS },
	{ "lm_head.weight", "output.weight", "V,C", WEIGHT_LINEAR | WEIGHT_HEAD },
	{ 0 },
};

static const struct init_rule init[] = {
	{ .hf = "transformer.wte.weight", .pad = INIT_PAD_LIKE_OTHERS },
	{ .hf = BLOCK "attn.c_proj.weight", .size = init_by_depth },
	{ .hf = BLOCK "mlp.c_proj.weight", .size = init_by_depth },
	{ 0 },
};

static const struct config_field fields[] = {
	CONFIG_INT('L', "n_layer", "12", "block_count", NULL, struct config, n_layers),
	CONFIG_INT('C', "n_embd", "768", "embedding_length", NULL, struct config, C),
	CONFIG_INT('H', "n_head", "12", "attention.head_count", NULL, struct config, H),
	CONFIG_INT('G', NULL, "H", NULL, "H", struct config, G),
	CONFIG_INT('D', NULL, "C/H", NULL, "C/H", struct config, D),
	CONFIG_INT('V', "vocab_size", "50257", NULL, NULL, struct config, V),
	CONFIG_INT('P', "n_positions", "1024", "context_length", NULL, struct config, n_ctx),
	CONFIG_INT('F', "n_inner", "4C", "feed_forward_length", NULL, struct config, F),
	CONFIG_REAL("layer_norm_epsilon", "1e-5", "attention.layer_norm_epsilon", NULL, struct config, norm_eps),
	CONFIG_IS("activation_function", "gelu_new gelu_pytorch_tanh", NULL, NULL),
	CONFIG_FLAG(0, "tie_word_embeddings", "true", NULL, NULL, struct config, tied),
	CONFIG_IS("scale_attn_weights", "true", NULL, NULL),
	CONFIG_IS("scale_attn_by_inverse_layer_idx", "false", NULL, NULL),
	CONFIG_ALSO("hidden_size", "n_embd"),
	CONFIG_ALSO("max_position_embeddings", "n_positions"),
	CONFIG_ALSO("num_attention_heads", "n_head"),
	CONFIG_ALSO("num_hidden_layers", "n_layer"),
	CONFIG_HARMLESS("n_ctx", NULL, "n_positions is used"),
	CONFIG_HARMLESS("reorder_and_upcast_attn", NULL, "the order of the same operations"),
	CONFIG_HARMLESS("resid_pdrop", NULL, "of pretraining"),
	CONFIG_HARMLESS("embd_pdrop", NULL, "of pretraining"),
	CONFIG_HARMLESS("attn_pdrop", NULL, "of pretraining"),
	{ 0 },
};

static uint32_t gpt2_embed(struct graph *g)
{
	uint32_t token = nn_embed(g, "transformer.wte.weight", EMBED_IDS);

	return op_add(g->tape, token, nn_embed(g, "transformer.wpe.weight", EMBED_POSITIONS));
}

static uint32_t attention(struct graph *g, uint32_t x)
{
	size_t C = (size_t)g->model->config.C;
	uint32_t h = nn_layernorm(g, x, BLOCK "ln_1.weight", BLOCK "ln_1.bias"), part[3];
	uint32_t qkv = nn_linear(g, h, BLOCK "attn.c_attn.weight", BLOCK "attn.c_attn.bias", TENSOR_NONE);

	op_split(g->tape, qkv, 1, 3, (size_t[]){ C, C, C }, part);
	uint32_t o = nn_attention(g, part[0], part[1], part[2], (struct attention_spec){ 0 });
	return nn_sublayer_linear(g, SUBLAYER_ATTENTION, x, h, o, BLOCK "attn.c_proj.weight", BLOCK "attn.c_proj.bias");
}

static uint32_t gpt2_block(struct graph *g, int layer, uint32_t x)
{
	(void)layer;
	x = attention(g, x);
	uint32_t h = nn_layernorm(g, x, BLOCK "ln_2.weight", BLOCK "ln_2.bias");
	uint32_t up = nn_linear(g, h, BLOCK "mlp.c_fc.weight", BLOCK "mlp.c_fc.bias", TENSOR_NONE);

	up = op_act(g->tape, ACT_GELU_TANH, up, TENSOR_NONE);
	return nn_sublayer_linear(g, SUBLAYER_FEED_FORWARD, x, h, up, BLOCK "mlp.c_proj.weight",
	                          BLOCK "mlp.c_proj.bias");
}

static uint32_t gpt2_norm(struct graph *g, uint32_t x)
{
	return nn_layernorm(g, x, "transformer.ln_f.weight", "transformer.ln_f.bias");
}

const struct arch arch_gpt2 = {
	.name = "gpt2",
	.hf_types = (const char *const[]){ "gpt2", NULL },
	.hf_class = "GPT2LMHeadModel",
	.gguf = "gpt2",
	.fields = (const struct config_field *const[]){ fields, NULL },
	.weights = weights,
	.init = init,
	.prefix = "transformer.",
	.embed = gpt2_embed,
	.block = gpt2_block,
	.norm = gpt2_norm,
	.head = "lm_head.weight",
	.embedding = "transformer.wte.weight",
};
