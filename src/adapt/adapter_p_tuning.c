/* adapter_p_tuning: prompt tuning whose rows an encoder makes while they are trained (Liu et al. 2021).
 *
 *     P = mlp(E)            E [n, C], three linears, ReLU between them
 *     P = mlp(lstm(E))      layers of a bidirectional LSTM, then two linears, ReLU between them
 *
 * PEFT's PromptEncoderConfig (p_tuning/model.py); its files have P, the rows that come out, and so have ours. The
 * encoder is in checkpoints alone. */
#include <strings.h>

#include "adapt/prompt_encoder.h"
#include "model/graph.h"

struct options {
	struct soft_prompt_options prompt;
	const char *type;
	int64_t hidden, layers;
};

static const struct opt opts[] = {
	SOFT_PROMPT_OPTS(struct options, prompt, "20"),
	OPT_CHOICE("encoder-reparameterization-type", struct options, type, "mlp", "mlp|lstm",
	           "what makes the virtual tokens while they are trained"),
	OPT_INT("encoder-hidden-size", struct options, hidden, "128", 1, 1 << 16,
	        "numbers between the encoder's layers"),
	OPT_INT("encoder-num-layers", struct options, layers, "2", 1, 16, "layers of an LSTM encoder"),
	OPT_END
};

static const struct peft_keys keys = {
	.read = (const char *const[]){ NULL },
	.inert = (const char *const[]){ "encoder_dropout", "encoder_hidden_size", "encoder_num_layers",
	                                "encoder_reparameterization_type", NULL },
};

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *o = options;
	bool lstm = !strcasecmp(o->type, "lstm");
	struct prompt_encoder_shape shape = { .in = (size_t)m->config.C, .hidden = (size_t)o->hidden,
		                              .out = (size_t)m->config.C, .lstm = lstm ? (int)o->layers : 0,
		                              .dense = lstm ? 2 : 3, .f = DENSE_RELU, .head = "mlp_head" };

	soft_prompt_begin(a, m, PROMPT_ROWS, &o->prompt,
	                  json_pack("{s:f, s:I, s:I, s:s}", "encoder_dropout", 0.0, "encoder_hidden_size",
	                            (json_int_t)o->hidden, "encoder_num_layers", (json_int_t)o->layers,
	                            "encoder_reparameterization_type", lstm ? "LSTM" : "MLP"));
	if (soft_prompt_check(a, m, PROMPT_ROWS, &keys, e) < 0)
		return -1;
	prompt_encoder_add(a, &shape);
	if (soft_prompt_seal(a, m, e) < 0)
		return -1;
	prompt_encoder_begin(a, seed);
	return 0;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return soft_prompt_load(a, m, PROMPT_ROWS, &keys, config, s, dir, e);
}

static int flatten(const struct adapter *a, const struct model *m, struct adapter *flat, struct err *e)
{
	return a->own ? prompt_encoder_flatten(a, m, PROMPT_ROWS, flat, e) : 1;
}

static uint32_t virtual_rows(struct graph *g, const struct overlay *o, uint32_t y)
{
	return soft_prompt_embed(g, o, y, o->ctx ? prompt_encoder_record(g, o, o->ctx) : nn_param(g, o, 0));
}

static const struct overlay_hooks hooks = { .virtual_rows = virtual_rows, .by_row = true };

const struct adapter_type adapter_p_tuning = {
	.name = "p_tuning",
	.summary = "prompt tuning whose rows an MLP or LSTM makes",
	.f32 = true,
	.learning_rate = 1e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "num-virtual-tokens",
	.peft_type = "P_TUNING",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.flatten = flatten,
};
