/* adapter_miss: one matrix for all shards of an input (Kang and Yin 2024, MiSS, before: Bone).
 *
 *     y = x·Wᵀ + S(x)·D     S(x)(k) = Σ_j x(j·r + k), D [r,out]
 *
 * The input is cut into shards of r numbers, the last filled up with zeros, and all of them have one D, so that their
 * sum goes through it: a LoRA whose A is ones and zeros and costs nothing, and half the numbers of one of that rank.
 * The default of r makes as many as LoRA's. D begins as zero.
 *
 * Names and files are PEFT's (MissConfig): miss_block [r,out], kept as its transpose here. PEFT's other forms, which
 * its init_weights names ("bat", whose D goes through W, and "mini", one D for shards of outputs too), are refused by
 * that name. PEFT's MiSS works on nn.Linear; that a Conv1D of GPT-2 has one is ours, and its numbers are those of a
 * Linear. Linears that stand alone and the head; no embeddings, no experts. */
#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/graph.h"
#include "model/weights.h"

struct miss {
	int *param_of;         /* [n_weights + 1], −1 */
	size_t r;
	float dropout;
};

struct terms { double r, dropout; };

/* --- options --- */

struct options {
	int64_t r;
	double dropout;
	struct adapter_targets on;
};

static const struct opt opts[] = {
	ADAPTER_RANK_OPT(struct options, r, "16"),
	OPT_FLOAT("miss-dropout", struct options, dropout, "0", 0, 0.99,
	          "dropout before the adapter; above 0 no prefix is shared"),
	ADAPTER_TARGET_OPTS(struct options, on, "all-linear"),
	ADAPTER_LAYERS_OPTS(struct options, on),
	OPT_END
};

/* --- the config --- */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "bias", "init_weights", "layers_pattern", "layers_to_transform", "miss_dropout",
	                               "r", NULL },
	.inert = (const char *const[]){ "mini_r", NULL }, /* of "mini" alone */
};

static int read_terms(const json_t *config, struct terms *t, struct err *e)
{
	const json_t *init = json_object_get(config, "init_weights");

	if (peft_check(config, &keys, e) < 0 || peft_check_patterns(config, e) < 0 ||
	    peft_no_bias(config, e) < 0 || jsonx_real(config, "r", 64, &t->r, e) < 0 ||
	    peft_dropout(config, "miss_dropout", &t->dropout, e) < 0)
		return -1;
	if (init && !json_is_boolean(init) && !json_is_null(init))
		return peft_refuse("init_weights", init, e);
	return 0;
}

static json_t *own_config(const struct options *o)
{
	return json_pack("{s:s, s:b, s:n, s:n, s:i, s:f, s:i}", "bias", "none", "init_weights", 1, "layers_pattern",
	                 "layers_to_transform", "mini_r", 1, "miss_dropout", o->dropout, "r", (int)o->r);
}

/* --- building --- */

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	struct miss *o = a->own;
	struct file_layout place = { .rows_of = weight < (int)m->n_weights ? weight : -1, .transposed = true };
	(void)ctx;

	if (peft_want_linear(w, module, e) < 0)
		return -1;
	if (o->r > w->dim[1])
		return err_set(e, "r is %zu, and '%s' has %zu inputs: at most so many", o->r, module, w->dim[1]);
	o->param_of[weight] =
		adapter_param(a, peft_name(a, module, "miss_block"), 2, (size_t[]){ w->dim[0], o->r }, -1, place);
	a->parts |= weight == (int)m->n_weights;
	return 0;
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct terms t;
	struct miss *o = a->own = arena_alloc(&a->mem, sizeof(*o));

	o->param_of = adapter_site_map(a, m);
	if (read_terms(a->config, &t, e) < 0 || peft_rank(a->config, NULL, t.r, &o->r, e) < 0 ||
	    peft_each(a, m, add_site, NULL, e) < 0)
		return -1;
	o->dropout = (float)t.dropout;
	a->overlay.unshared = t.dropout > 0;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;
	(void)seed;

	if (peft_new(a, m, &asked->on, own_config(asked), build, e) < 0)
		return -1;
	json_object_del(a->config, "fan_in_fan_out"); /* MissConfig has none */
	return 0;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return peft_load(a, m, config, s, dir, build, e);
}

/* --- use --- */

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct miss *miss = o->ctx;
	uint32_t x = l->x;

	if (miss->param_of[w] < 0)
		return false;
	if (g->training && !o->frozen && miss->dropout > 0)
		x = op_dropout(g->tape, x, miss->dropout, g->site++);
	l->term[0] = (struct linear_term){ nn_served(g, o, op_sum_parts(g->tape, x, miss->r)),
		                           nn_param(g, o, miss->param_of[w]) };
	return false;
}

static const struct overlay_hooks hooks = { .linear = linear, .by_row = true };

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct miss *o = a->own;
	const struct weight *to = weight_or_head(m, weight);

	if (o->param_of[weight] < 0)
		return;
	const float *d = a->overlay.params.w + a->overlay.params.items[o->param_of[weight]].offset;
	for (size_t row = 0; row < to->dim[0]; row++) {
		float *x = w + weight_hf_row(m, weight, row) * to->dim[1];
		for (size_t i = 0; i < to->dim[1]; i++)
			x[i] += d[row * o->r + i % o->r];
	}
}

const struct adapter_type adapter_miss = {
	.name = "miss",
	.summary = "MiSS: one matrix for all shards of an input",
	.learning_rate = 1e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "lora-r",
	.peft_type = "MISS",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.merge = merge,
};
