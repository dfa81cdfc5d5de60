/* adapter_adalora: a low rank that is dealt out among the modules while it is trained (Zhang et al. 2023, AdaLoRA).
 *
 *     y = x·Wᵀ + s·((drop(x)·Aᵀ)∘e)·Bᵀ      A [r,in], e [r], B [out,r], s = α/(init_r + 1e-5)
 *
 * A, e and B stand for a singular value decomposition: what a rank is worth can be said of it alone, and its e be set
 * to 0. Every module begins with init_r ranks, and a schedule leaves target_r of them in the mean: adalora_ranks.c. A
 * term of the loss keeps A's rows and B's columns orthogonal.
 *
 * Names and files are PEFT's (AdaLoraConfig): lora_A, lora_E [r,1], lora_B. As there A and B begin as normal numbers of
 * 0.02 and e as zero; what is saved are the ranks that are left, with rank_pattern, which says of each of the init_r
 * ranks whether it is there, and s stays that of init_r. A module may be left with none. PEFT's layer heeds neither
 * rsLoRA nor patterns of alpha. Linears that stand alone and the head; no embeddings, no experts. */
#include <math.h>
#include <string.h>

#include "adapt/adalora.h"
#include "adapt/lora.h"
#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/graph.h"
#include "model/weights.h"

#define DEVIATION 0.02

/* --- options --- */

struct options {
	int64_t target_r, init_r, tinit, tfinal, deltaT;
	double alpha, dropout, beta1, beta2, orthogonal;
	struct adapter_targets on;
};

static const struct opt opts[] = {
	OPT_INT("target-r", struct options, target_r, "8", 1, 4096,
	        "ranks that are left in the end, in the mean of the modules"),
	OPT_INT("init-r", struct options, init_r, "12", 2, 4096, "ranks of each module at the start"),
	OPT_INT("tinit", struct options, tinit, "0", 0, 1e9, "steps before the first rank goes"),
	OPT_INT("tfinal", struct options, tfinal, "0", 0, 1e9, "steps after the last one went"),
	OPT_INT("deltaT", struct options, deltaT, "1", 1, 1e9,
	        "steps from one time that ranks are dealt out to the next"),
	OPT_FLOAT("beta1", struct options, beta1, "0.85", 1e-9, 0.999999, "how slowly a number's importance follows"),
	OPT_FLOAT("beta2", struct options, beta2, "0.85", 1e-9, 0.999999, "how slowly its uncertainty follows"),
	OPT_FLOAT("orth-reg-weight", struct options, orthogonal, "0.5", 0, 1e6,
	          "how much it counts in the loss that A and B are not orthogonal"),
	OPT_FLOAT("lora-alpha", struct options, alpha, "16", OPT_ABOVE_0, 1e6,
	          "the adapter is scaled by alpha / r"),
	OPT_FLOAT("lora-dropout", struct options, dropout, "0", 0, 0.99,
	          "dropout before the adapter; above 0 no prefix is shared"),
	ADAPTER_TARGET_OPTS(struct options, on, "all-linear"),
	ADAPTER_LAYERS_OPTS(struct options, on),
	OPT_END
};

/* --- the config --- */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "beta1", "beta2", "bias", "deltaT", "init_r", "layers_pattern",
	                               "layers_to_transform", "lora_alpha", "lora_dropout", "orth_reg_weight",
	                               "rank_pattern", "target_r", "tfinal", "tinit", NULL },
	.inert = (const char *const[]){ "alpha_pattern", "init_lora_weights", "lora_bias", "megatron_core",
	                                "qalora_group_size", "r", "total_step", "use_rslora", NULL },
};

static int read_terms(const json_t *config, struct adalora_terms *t, struct err *e)
{
	const json_t *ranks = json_object_get(config, PEFT_RANKS);

	if (peft_check(config, &keys, e) < 0 || peft_check_patterns(config, e) < 0 || peft_no_bias(config, e) < 0 ||
	    jsonx_real(config, "target_r", 8, &t->target_r, e) < 0 ||
	    jsonx_real(config, "init_r", 12, &t->init_r, e) < 0 ||
	    jsonx_real(config, "lora_alpha", 8, &t->alpha, e) < 0 ||
	    peft_dropout(config, "lora_dropout", &t->dropout, e) < 0 ||
	    jsonx_real(config, "tinit", 0, &t->tinit, e) < 0 || jsonx_real(config, "tfinal", 0, &t->tfinal, e) < 0 ||
	    jsonx_real(config, "deltaT", 1, &t->deltaT, e) < 0 || jsonx_real(config, "beta1", 0.85, &t->beta1, e) < 0 ||
	    jsonx_real(config, "beta2", 0.85, &t->beta2, e) < 0 ||
	    jsonx_real(config, "orth_reg_weight", 0.5, &t->orthogonal, e) < 0)
		return -1;
	if (!(t->alpha > 0 && isfinite(t->alpha)))
		return err_set(e, "lora_alpha is %g, a number above 0 was wanted", t->alpha);
	if (!(t->init_r >= 1 && t->init_r <= 65536 && t->init_r == floor(t->init_r)))
		return err_set(e, "init_r is %g, a whole number from 1 to 65536 was wanted", t->init_r);
	return ranks && !json_is_null(ranks) && !json_is_object(ranks) ? peft_refuse(PEFT_RANKS, ranks, e) : 0;
}

/* PEFT wants a total_step and a time in it when ranks are dealt out; a run says its own. */
static json_t *own_config(const struct options *o)
{
	json_t *j = lora_config_blank();
	json_t *own = json_pack("{s:f, s:f, s:I, s:I, s:o, s:f, s:f, s:n, s:I, s:I, s:I, s:I}", "beta1", o->beta1,
	                        "beta2", o->beta2, "deltaT", (json_int_t)o->deltaT, "init_r", (json_int_t)o->init_r,
	                        "lora_alpha", peft_number(o->alpha), "lora_dropout", o->dropout, "orth_reg_weight",
	                        o->orthogonal, PEFT_RANKS, "target_r", (json_int_t)o->target_r, "tfinal",
	                        (json_int_t)o->tfinal, "tinit", (json_int_t)o->tinit, "total_step",
	                        (json_int_t)(o->tinit + o->tfinal + 1));

	if (!own)
		BUG("a config that cannot be packed");
	json_object_update(j, own);
	json_decref(own);
	return j;
}

/* --- building --- */

/* How many ranks of the module the config says to be there: of init_r, or as its rank_pattern has it, a list of so many
 * words true and false. *found: one was there. */
static int rank_of(const struct adapter *a, const char *module, size_t init, size_t *r, bool *found, struct err *e)
{
	char *key = mem_printf("%s.lora_E", module);
	const json_t *list = json_object_get(json_object_get(a->config, PEFT_RANKS), key), *each;
	bool fine = !list || (json_is_array(list) && json_array_size(list) == init);
	size_t i;

	mem_free(key);
	*found = list;
	*r = list ? 0 : init;
	json_array_foreach(list, i, each) {
		fine &= json_is_boolean(each);
		*r += json_is_true(each);
	}
	return fine ? 0 : err_set(e, "rank_pattern says of '%s' no list of %zu times true or false", module, init);
}

struct building { size_t patterns; };

static void add_params(struct adapter *a, const struct model *m, struct adalora_site *s)
{
	static const char *const names[] = { "lora_A", "lora_E", "lora_B" };
	const size_t dim[ADALORA_PARTS][2] = { { s->r, s->in }, { s->r, 1 }, { s->out, s->r } };

	for (int k = 0; k < ADALORA_PARTS; k++) {
		bool rows = k == ADALORA_B && s->weight < (int)m->n_weights;
		s->param[k] = adapter_param(a, peft_name(a, s->module, names[k]), 2, dim[k], -1,
		                            (struct file_layout){ .rows_of = rows ? s->weight : -1 });
	}
}

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	struct adalora *o = a->own;
	struct building *b = ctx;
	struct adalora_site *s = &o->sites[o->n];
	bool found;
	size_t r;

	if (peft_want_linear(w, module, e) < 0 || rank_of(a, module, (size_t)o->terms.init_r, &r, &found, e) < 0)
		return -1;
	*s = (struct adalora_site){ .weight = weight, .module = module, .r = r, .in = w->dim[1], .out = w->dim[0],
		                    .scale = (float)(o->terms.alpha / (o->terms.init_r + 1e-5)) };
	b->patterns += found;
	add_params(a, m, s);
	o->ranks += r;
	a->parts |= weight == (int)m->n_weights;
	o->site_of[weight] = (int)o->n++;
	return 0;
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct building b = { 0 };
	struct adalora *o = a->own = arena_alloc(&a->mem, sizeof(*o));

	o->sites = arena_array(&a->mem, m->n_weights + 1, sizeof(*o->sites));
	o->site_of = adapter_site_map(a, m);
	if (read_terms(a->config, &o->terms, e) < 0 || peft_each(a, m, add_site, &b, e) < 0)
		return -1;
	if (b.patterns != json_object_size(json_object_get(a->config, PEFT_RANKS)))
		return err_set(e, "rank_pattern names a module that target_modules does not mean, or something else "
		                  "than MODULE.lora_E");
	a->overlay.unshared = o->terms.dropout > 0;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;
	size_t most = 0;

	if (asked->target_r >= asked->init_r)
		return err_set(e, "--target-r %lld is to be below --init-r %lld: ranks can only go",
		               (long long)asked->target_r, (long long)asked->init_r);
	if (peft_new(a, m, &asked->on, own_config(asked), build, e) < 0)
		return -1;
	const struct adalora *o = a->own;
	for (size_t i = 0; i < o->n; i++)
		most = MAX(most, MIN(o->sites[i].in, o->sites[i].out));
	if (adapter_check_rank((size_t)asked->init_r, most, e) < 0)
		return -1;
	for (size_t i = 0; i < o->n; i++) {
		adapter_init_normal(a, o->sites[i].param[ADALORA_A], DEVIATION, seed);
		adapter_init_normal(a, o->sites[i].param[ADALORA_B], DEVIATION, seed);
	}
	return 0;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return peft_load(a, m, config, s, dir, build, e);
}

/* --- as files have it --- */

/* Of a matrix [rows][cols] the rows, or the columns, that are kept. */
static void keep(float *out, const float *in, size_t rows, size_t cols, const bool *row, const bool *column)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < cols && (!row || row[i]); j++)
			if (!column || column[j])
				*out++ = in[i * cols + j];
}

static void fill_site(struct adapter *flat, const struct adapter *a, const struct adalora_site *s)
{
	const struct param *from = a->overlay.params.items, *to = flat->overlay.params.items;
	const float *w = a->overlay.params.w;
	float *out = flat->overlay.params.w;
	bool *pattern = mem_array(s->r, sizeof(*pattern));
	const int *p = s->param;

	adalora_pattern(a, s, pattern);
	keep(out + to[p[ADALORA_A]].offset, w + from[p[ADALORA_A]].offset, s->r, s->in, pattern, NULL);
	keep(out + to[p[ADALORA_E]].offset, w + from[p[ADALORA_E]].offset, s->r, 1, pattern, NULL);
	keep(out + to[p[ADALORA_B]].offset, w + from[p[ADALORA_B]].offset, s->out, s->r, NULL, pattern);
	mem_free(pattern);
}

/* Parameters are alike in both, and in the same order. */
static void fill(struct adapter *flat, const struct adapter *a)
{
	const struct adalora *o = a->own;

	for (size_t i = 0; i < a->overlay.params.n_items; i++) {
		const struct param *p = &a->overlay.params.items[i];
		if (p->n == flat->overlay.params.items[i].n)
			memcpy(flat->overlay.params.w + flat->overlay.params.items[i].offset,
			       a->overlay.params.w + p->offset, p->n * sizeof(float));
	}
	for (size_t i = 0; i < o->n; i++)
		fill_site(flat, a, &o->sites[i]);
}

/* PEFT's rank_pattern of what is left, new; NULL: all is. */
static json_t *left(const struct adapter *a)
{
	const struct adalora *o = a->own;
	json_t *all = json_object();
	size_t n = 0;

	for (size_t i = 0; i < o->n && a->kept.w; i++) {
		const struct adalora_site *s = &o->sites[i];
		bool *pattern = mem_array(s->r, sizeof(*pattern));
		char *key = mem_printf("%s.lora_E", s->module);
		json_t *list = json_array();
		n += adalora_pattern(a, s, pattern);
		for (size_t k = 0; k < s->r; k++)
			json_array_append_new(list, json_boolean(pattern[k]));
		json_object_set_new(all, key, list);
		mem_free(key);
		mem_free(pattern);
	}
	if (a->kept.w && n < o->ranks)
		return all;
	json_decref(all);
	return NULL;
}

static int flatten(const struct adapter *a, const struct model *m, struct adapter *flat, struct err *e)
{
	json_t *pattern = left(a);

	if (!pattern)
		return 1;
	adapter_begin(flat, m, a->type);
	flat->config = json_deep_copy(a->config);
	json_object_set_new(flat->config, PEFT_RANKS, pattern);
	if (build(flat, m, e) == 0 && adapter_seal(flat, m, e) == 0) {
		fill(flat, a);
		return 0;
	}
	adapter_release(flat);
	return -1;
}

/* --- use --- */

static const struct adalora_site *site_at(const struct adalora *o, int weight)
{
	const struct adalora_site *s = o->site_of[weight] < 0 ? NULL : &o->sites[o->site_of[weight]];

	return s && s->r ? s : NULL;
}

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct adalora *ada = o->ctx;
	const struct adalora_site *s = site_at(ada, w);
	uint32_t x = l->x;

	if (!s)
		return false;
	if (g->training && !o->frozen && ada->terms.dropout > 0)
		x = op_dropout(g->tape, x, (float)ada->terms.dropout, g->site++);
	uint32_t u = op_linear(g->tape, &(struct linear){ .x = x, .w = nn_param(g, o, s->param[ADALORA_A]),
	                                                  .scale = s->scale });
	u = op_scale_columns(g->tape, nn_served(g, o, u), nn_param(g, o, s->param[ADALORA_E]), TENSOR_NONE,
	                     TENSOR_NONE);
	l->term[0] = (struct linear_term){ u, nn_param(g, o, s->param[ADALORA_B]) };
	return false;
}

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct adalora_site *s = site_at(a->own, weight);
	const struct params *p = &a->overlay.params;
	const float *f[ADALORA_PARTS];

	if (!s)
		return;
	for (int k = 0; k < ADALORA_PARTS; k++)
		f[k] = p->w + p->items[s->param[k]].offset;
	for (size_t row = 0; row < s->out; row++) {
		float *to = w + weight_hf_row(m, weight, row) * s->in;
		for (size_t k = 0; k < s->r; k++) {
			float t = s->scale * f[ADALORA_B][row * s->r + k] * f[ADALORA_E][k];
			for (size_t i = 0; i < s->in; i++)
				to[i] += t * f[ADALORA_A][k * s->in + i];
		}
	}
}

static const struct overlay_hooks hooks = { .linear = linear, .by_row = true };

const struct adapter_type adapter_adalora = {
	.name = "adalora",
	.summary = "AdaLoRA: a rank that is dealt out among the modules as it is trained",
	.learning_rate = 1e-2,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "init-r",
	.peft_type = "ADALORA",
	.attach = attach,
	.hooks = &hooks,
	.plan = adalora_plan,
	.term = adalora_orthogonal,
	.updated = adalora_updated,
	.load = load,
	.flatten = flatten,
	.merge = merge,
};
