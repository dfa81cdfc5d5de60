/* adapter_loha: two products of low rank, multiplied number by number (Hyeon-Woo et al. 2021, FedPara; Yeh et al.
 * 2023, LyCORIS), so that r numbers a row and a column make a matrix of rank r².
 *
 *     y = x·Wᵀ + s·x·((A1·B1)∘(A2·B2))ᵀ     s = α/r, A [out,r], B [r,in]
 *
 * The matrix is never there: (A1·B1)∘(A2·B2) is a product of rank r² itself, its factors the products of A1's and
 * A2's numbers in a row and of B1's and B2's in a column (op/op_khatri_rao.c), and goes up as a LoRA of that rank
 * does: 2·r² FLOPs for each of a row's inputs and outputs. That is cheaper than the whole matrix up to
 * r² = in·out / (in + out).
 *
 * Names and files are PEFT's (LoHaConfig): hada_w1_a, hada_w1_b, hada_w2_a, hada_w2_b. As there, all begin uniform
 * (PyTorch's kaiming_uniform with a = √5) but B2, which is zero. rank_dropout and module_dropout (lycoris.h) act in
 * training alone, not at the head. PEFT's LoHa works on nn.Linear; that a Conv1D of GPT-2 has one is
 * ours, and its numbers are those of a Linear. Linears that stand alone and the head; no embeddings, no experts. */
#include "adapt/lycoris.h"
#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/graph.h"
#include "model/weights.h"

enum { A1, B1, A2, B2, FACTORS };

struct site {
	int param[FACTORS];
	size_t r, out, in;
	float scale;
};

struct loha {
	struct site *sites;
	size_t n;
	int *site_of;          /* [n_weights + 1], −1 */
	struct lycoris_dropout dropout;
};

struct terms { double r, alpha; };

/* --- options --- */

struct options {
	int64_t r;
	double alpha;
	struct lycoris_dropout dropout;
	struct adapter_targets on;
};

static const struct opt opts[] = {
	ADAPTER_RANK_OPT(struct options, r, "8"),
	OPT_FLOAT("alpha", struct options, alpha, "8", OPT_ABOVE_0, 1e6, "the adapter is scaled by alpha / r"),
	LYCORIS_DROPOUT_OPTS(struct options, dropout),
	ADAPTER_TARGET_OPTS(struct options, on, "all-linear"),
	ADAPTER_LAYERS_OPTS(struct options, on),
	ADAPTER_PATTERN_OPTS(struct options, on),
	OPT_END
};

/* --- the config --- */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "alpha", "alpha_pattern", "layers_pattern", "layers_to_transform",
	                               "module_dropout", "r", "rank_dropout", "rank_pattern", NULL },
	.inert = (const char *const[]){ "init_weights", "use_effective_conv2d", NULL },
};

static int read_terms(const json_t *config, struct terms *t, struct err *e)
{
	return peft_check(config, &keys, e) < 0 || peft_check_patterns(config, e) < 0 ||
	                       jsonx_real(config, "r", 8, &t->r, e) < 0 ||
	                       jsonx_real(config, "alpha", 8, &t->alpha, e) < 0 ?
	               -1 :
	               0;
}

static json_t *own_config(const struct options *o)
{
	json_t *j = json_pack("{s:o, s:{}, s:b, s:n, s:n, s:i, s:{}, s:b}", "alpha", peft_number(o->alpha),
	                      "alpha_pattern", "init_weights", 1, "layers_pattern", "layers_to_transform", "r",
	                      (int)o->r, "rank_pattern", "use_effective_conv2d", 0);

	lycoris_put(j, &o->dropout);
	return j;
}

/* --- building --- */

static void add_params(struct adapter *a, const struct model *m, struct site *s, int weight, const char *module)
{
	static const char *const names[] = { "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b" };

	for (int k = 0; k < FACTORS; k++) {
		bool rows = k == A1 || k == A2;
		struct file_layout place = { .rows_of = rows && weight < (int)m->n_weights ? weight : -1 };
		size_t dim[2] = { rows ? s->out : s->r, rows ? s->r : s->in };
		s->param[k] = adapter_param(a, peft_name(a, module, names[k]), 2, dim, -1, place);
	}
}

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	struct loha *o = a->own;
	const struct terms *t = ctx;
	struct site *s = &o->sites[o->n];
	double alpha;

	if (peft_want_linear(w, module, e) < 0 || peft_rank(a->config, module, t->r, &s->r, e) < 0 ||
	    peft_pattern_number(a->config, "alpha_pattern", module, t->alpha, &alpha, e) < 0)
		return -1;
	if (s->r > 256)
		return err_set(e, "r is %zu for '%s', at most 256 was wanted", s->r, module);
	s->out = w->dim[0];
	s->in = w->dim[1];
	s->scale = (float)(alpha / (double)s->r);
	add_params(a, m, s, weight, module);
	a->parts |= weight == (int)m->n_weights;
	o->site_of[weight] = (int)o->n++;
	return 0;
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct terms t;
	struct loha *o = a->own = arena_alloc(&a->mem, sizeof(*o));

	o->sites = arena_array(&a->mem, m->n_weights + 1, sizeof(*o->sites));
	o->site_of = adapter_site_map(a, m);
	if (read_terms(a->config, &t, e) < 0 || lycoris_read(a->config, &o->dropout, e) < 0 ||
	    peft_each(a, m, add_site, &t, e) < 0)
		return -1;
	if (a->parts && (o->dropout.rank > 0 || o->dropout.module > 0))
		return err_set(e, "rank_dropout and module_dropout do not go with the head in target_modules here");
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;

	if (peft_new(a, m, &asked->on, own_config(asked), build, e) < 0)
		return -1;
	json_object_del(a->config, "fan_in_fan_out"); /* LoHaConfig has none */
	const struct loha *o = a->own;
	size_t most = 0;
	for (size_t i = 0; i < o->n; i++)
		most = MAX(most, MIN(o->sites[i].in, o->sites[i].out));
	if (adapter_check_rank((size_t)asked->r, most, e) < 0)
		return -1;
	for (size_t i = 0; i < o->n; i++)
		for (int k = 0; k < B2; k++)
			adapter_init_linear(a, o->sites[i].param[k], seed);
	return 0;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return peft_load(a, m, config, s, dir, build, e);
}

/* --- use --- */

/* What is added to a weight, NULL: nothing. */
static const struct site *site_at(const struct loha *o, int weight)
{
	const struct site *s = o->site_of[weight] < 0 ? NULL : &o->sites[o->site_of[weight]];

	return s && s->scale != 0 ? s : NULL;
}

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct loha *loha = o->ctx;
	const struct site *s = site_at(loha, w);
	uint32_t p[FACTORS];

	if (!s)
		return false;
	for (int k = 0; k < FACTORS; k++)
		p[k] = nn_param(g, o, s->param[k]);
	uint32_t down = op_khatri_rao(g->tape, p[B1], p[B2], true);
	uint32_t u = op_linear(g->tape, &(struct linear){ .x = l->x, .w = down, .scale = s->scale });
	uint32_t up = op_khatri_rao(g->tape, p[A1], p[A2], false);
	if (lycoris_drops(g, o, &loha->dropout))
		l->residual = lycoris_drop(g, o, &loha->dropout, true,
		                           op_linear(g->tape, &(struct linear){ .x = nn_served(g, o, u), .w = up }));
	else
		l->term[0] = (struct linear_term){ nn_served(g, o, u), up };
	return false;
}

static const struct overlay_hooks hooks = { .linear = linear, .by_row = true };

/* out [in] = a [r] · B [r,in] */
static void row_of(float *out, const float *a, const float *b, size_t r, size_t in)
{
	for (size_t i = 0; i < in; i++) {
		out[i] = 0;
		for (size_t k = 0; k < r; k++)
			out[i] += a[k] * b[k * in + i];
	}
}

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct site *s = site_at(a->own, weight);
	const struct params *p = &a->overlay.params;
	const float *f[FACTORS];

	if (!s)
		return;
	for (int k = 0; k < FACTORS; k++)
		f[k] = p->w + p->items[s->param[k]].offset;
	float *one = mem_array(2 * s->in, sizeof(*one)), *two = one + s->in;
	for (size_t row = 0; row < s->out; row++) {
		float *to = w + weight_hf_row(m, weight, row) * s->in;
		row_of(one, f[A1] + row * s->r, f[B1], s->r, s->in);
		row_of(two, f[A2] + row * s->r, f[B2], s->r, s->in);
		for (size_t i = 0; i < s->in; i++)
			to[i] += s->scale * (one[i] * two[i]);
	}
	mem_free(one);
}

const struct adapter_type adapter_loha = {
	.name = "loha",
	.summary = "LoHa: two products of low rank, multiplied number by number",
	.learning_rate = 3e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "lora-r",
	.peft_type = "LOHA",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.merge = merge,
};
