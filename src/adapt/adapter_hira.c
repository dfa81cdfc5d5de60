/* adapter_hira: a product of low rank times the weight itself, number by number (Huang et al. 2025, HiRA), which is of
 * the weight's rank.
 *
 *     y = x·(W + W∘(B·A))ᵀ     A [r,in], B [out,r]
 *
 * There is no form of it in small products, so the matrix is made (op/op_modulate.c), from W as it is stored, in every
 * forward and again in backward, one at a time; it takes W's place, and in f32. What it costs beside W's product does
 * not depend on the rows: 2·r FLOPs a weight, little where many rows come together, much for one token after the
 * other: `merge` is for that. With dropout, and trained beside other adapters, W∘(B·A) is a product beside W's.
 *
 * Names and files are PEFT's (HiraConfig): hira_A, hira_B. As there, A begins uniform (PyTorch's kaiming_uniform with
 * a = √5) and B as zero. Linears that stand alone, but not the head; no embeddings, no experts. */
#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/graph.h"
#include "model/weights.h"

struct site { int a, b; size_t r, out, in; };

struct hira {
	struct site *sites;
	size_t n;
	int *site_of;          /* [n_weights + 1], −1 */
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
	ADAPTER_RANK_OPT(struct options, r, "32"),
	OPT_FLOAT("hira-dropout", struct options, dropout, "0", 0, 0.99,
	          "dropout before the adapter; above 0 no prefix is shared"),
	ADAPTER_TARGET_OPTS(struct options, on, "all-linear"),
	ADAPTER_LAYERS_OPTS(struct options, on),
	OPT_END
};

/* --- the config --- */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "hira_dropout", "layers_pattern", "layers_to_transform", "r", NULL },
	.inert = (const char *const[]){ "init_weights", "rank_pattern", NULL },
};

static int read_terms(const json_t *config, struct terms *t, struct err *e)
{
	return peft_check(config, &keys, e) < 0 || peft_check_patterns(config, e) < 0 ||
	                       jsonx_real(config, "r", 32, &t->r, e) < 0 ||
	                       peft_dropout(config, "hira_dropout", &t->dropout, e) < 0 ?
	               -1 :
	               0;
}

static json_t *own_config(const struct options *o)
{
	return json_pack("{s:f, s:b, s:n, s:n, s:i, s:{}}", "hira_dropout", o->dropout, "init_weights", 1,
	                 "layers_pattern", "layers_to_transform", "r", (int)o->r, "rank_pattern");
}

/* --- building --- */

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	static const struct file_layout plain = { .rows_of = -1 };
	struct file_layout rows = { .rows_of = weight };
	struct hira *o = a->own;
	struct site *s = &o->sites[o->n];

	if (peft_want_linear(w, module, e) < 0)
		return -1;
	if (weight == (int)m->n_weights || (w->spec->flags & WEIGHT_HEAD))
		return err_set(e, "target_modules means the head '%s', which HiRA does not change here", module);
	s->r = *(const size_t *)ctx;
	s->out = w->dim[0];
	s->in = w->dim[1];
	s->a = adapter_param(a, peft_name(a, module, "hira_A"), 2, (size_t[]){ s->r, s->in }, -1, plain);
	s->b = adapter_param(a, peft_name(a, module, "hira_B"), 2, (size_t[]){ s->out, s->r }, -1, rows);
	o->site_of[weight] = (int)o->n++;
	return 0;
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct terms t;
	size_t r;
	struct hira *o = a->own = arena_alloc(&a->mem, sizeof(*o));

	o->sites = arena_array(&a->mem, m->n_weights + 1, sizeof(*o->sites));
	o->site_of = adapter_site_map(a, m);
	if (read_terms(a->config, &t, e) < 0 || peft_rank(a->config, NULL, t.r, &r, e) < 0 ||
	    peft_each(a, m, add_site, &r, e) < 0)
		return -1;
	o->dropout = (float)t.dropout;
	a->overlay.unshared = t.dropout > 0;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;

	if (peft_new(a, m, &asked->on, own_config(asked), build, e) < 0)
		return -1;
	const struct hira *o = a->own;
	size_t most = 0;
	for (size_t i = 0; i < o->n; i++)
		most = MAX(most, MIN(o->sites[i].in, o->sites[i].out));
	if (adapter_check_rank((size_t)asked->r, most, e) < 0)
		return -1;
	for (size_t i = 0; i < o->n; i++)
		adapter_init_linear(a, o->sites[i].a, seed);
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
	const struct hira *hira = o->ctx;
	const struct site *s = hira->site_of[w] < 0 ? NULL : &hira->sites[hira->site_of[w]];
	bool drops = g->training && !o->frozen && hira->dropout > 0, by_row = o->serves >= 0 && !o->apart;

	if (!s)
		return false;
	uint32_t y = op_modulate(g->tape, l->w, nn_param(g, o, s->b), nn_param(g, o, s->a), !drops && !by_row);
	if (drops || by_row) {
		uint32_t x = drops ? op_dropout(g->tape, l->x, hira->dropout, g->site++) : l->x;
		l->term[0] = (struct linear_term){ nn_served(g, o, x), y };
	} else {
		l->w = y;
	}
	return false;
}

static const struct overlay_hooks hooks = { .linear = linear, .by_row = true, .other_order = true };

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct hira *o = a->own;
	const struct site *s = o->site_of[weight] < 0 ? NULL : &o->sites[o->site_of[weight]];
	const struct params *p = &a->overlay.params;

	if (!s)
		return;
	const float *A = p->w + p->items[s->a].offset, *B = p->w + p->items[s->b].offset;
	float *by = mem_array(s->in, sizeof(*by));
	for (size_t row = 0; row < s->out; row++) {
		float *to = w + weight_hf_row(m, weight, row) * s->in;
		for (size_t i = 0; i < s->in; i++)
			by[i] = 0;
		for (size_t k = 0; k < s->r; k++)
			for (size_t i = 0; i < s->in; i++)
				by[i] += B[row * s->r + k] * A[k * s->in + i];
		for (size_t i = 0; i < s->in; i++)
			to[i] += to[i] * by[i];
	}
	mem_free(by);
}

const struct adapter_type adapter_hira = {
	.name = "hira",
	.summary = "HiRA: a product of low rank times the weight itself",
	.learning_rate = 4.5e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "lora-r",
	.peft_type = "HIRA",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.merge = merge,
};
