/* adapter_lokr: a Kronecker product of two small matrices (Yeh et al. 2023, LyCORIS), of full rank with few numbers.
 *
 *     y = x·Wᵀ + s·x·(w1 ⊗ w2)ᵀ     s = α/r, w1 (a,c), w2 (b,d), out = a·b, in = c·d
 *
 * w2 is a product of rank r, w2_a (b,r) · w2_b (r,d), where r is less than half of its longer side, and so is w1 under
 * decompose_both. How in and out are cut into two factors says decompose_factor: the first is that number where it
 * divides, else the largest divisor up to it that is not above the second; -1: as near to the root as can be.
 *
 * The matrix is never there: a row is c parts of d numbers, each goes through w2, and w1 mixes what comes out
 * (op/op_linear_parts.c, op/op_mix_parts.c), 2·c·b·(d + a) FLOPs a row. Rows of a file that lie in another order
 * than Hugging Face's (q and k of a GGUF) are put there afterwards.
 *
 * Names and files are PEFT's (LoKrConfig). As there, w1 (or w1_a) begins as zero and the rest uniform (PyTorch's
 * kaiming_uniform with a = √5). rank_dropout and module_dropout (lycoris.h) act in training alone. PEFT's LoKr works
 * on nn.Linear; that a Conv1D of GPT-2 has one is ours, and its numbers are those of a Linear. Linears that stand
 * alone, but not the head; no embeddings, no experts. */
#include <math.h>

#include "adapt/lycoris.h"
#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/graph.h"
#include "model/weights.h"

struct cut { size_t first, second; };

struct factor { int whole, a, b; };     /* parameters: whole, or the two of a product; −1 */

struct site {
	struct cut out, in;
	size_t r;
	struct factor w1, w2;
	float scale;
	uint32_t *from;                 /* [out] where each output of the file's order is, NULL: there */
};

struct lokr {
	struct site *sites;
	size_t n;
	int *site_of;                   /* [n_weights + 1], −1 */
	struct lycoris_dropout dropout;
	bool scaled;                    /* what rank_dropout leaves */
};

struct terms { double r, alpha, factor; int both; };

/* --- options --- */

struct options {
	int64_t r, factor;
	double alpha;
	bool both;
	struct lycoris_dropout dropout;
	bool scaled;
	struct adapter_targets on;
};

static const struct opt opts[] = {
	ADAPTER_RANK_OPT(struct options, r, "8"),
	OPT_FLOAT("alpha", struct options, alpha, "8", OPT_ABOVE_0, 1e6, "the adapter is scaled by alpha / r"),
	OPT_FLAG("decompose-both", struct options, both, "false", "the first factor is of rank r too"),
	OPT_INT("decompose-factor", struct options, factor, "-1", -1, 65536,
	        "into how many parts rows and columns are cut; -1: about the root of their number"),
	LYCORIS_DROPOUT_OPTS(struct options, dropout),
	OPT_FLAG("rank-dropout-scale", struct options, scaled, "false",
	         "what rank-dropout leaves is scaled to be as much as all"),
	ADAPTER_TARGET_OPTS(struct options, on, "all-linear"),
	ADAPTER_LAYERS_OPTS(struct options, on),
	ADAPTER_PATTERN_OPTS(struct options, on),
	OPT_END
};

/* --- the config --- */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "alpha", "alpha_pattern", "decompose_both", "decompose_factor", "layers_pattern",
	                               "layers_to_transform", "module_dropout", "r", "rank_dropout",
	                               "rank_dropout_scale", "rank_pattern", NULL },
	.inert = (const char *const[]){ "init_weights", "use_effective_conv2d", NULL },
};

static int read_terms(const json_t *config, struct terms *t, struct err *e)
{
	if (peft_check(config, &keys, e) < 0 || peft_check_patterns(config, e) < 0 ||
	    jsonx_real(config, "r", 8, &t->r, e) < 0 || jsonx_real(config, "alpha", 8, &t->alpha, e) < 0 ||
	    jsonx_real(config, "decompose_factor", -1, &t->factor, e) < 0 ||
	    jsonx_bool(config, "decompose_both", 0, &t->both, e) < 0)
		return -1;
	if (!(t->factor >= -1 && t->factor <= 65536) || t->factor != floor(t->factor))
		return err_set(e, "decompose_factor is %g, a whole number from -1 to 65536 was wanted", t->factor);
	return 0;
}

static json_t *own_config(const struct options *o)
{
	json_t *j = json_pack("{s:o, s:{}, s:b, s:I, s:b, s:n, s:n, s:i, s:b, s:{}, s:b}", "alpha",
	                      peft_number(o->alpha), "alpha_pattern", "decompose_both", (int)o->both,
	                      "decompose_factor", (json_int_t)o->factor, "init_weights", 1, "layers_pattern",
	                      "layers_to_transform", "r", (int)o->r, "rank_dropout_scale", (int)o->scaled,
	                      "rank_pattern", "use_effective_conv2d", 0);

	lycoris_put(j, &o->dropout);
	return j;
}

/* --- building --- */

/* n as two factors, as PEFT's lokr/layer.py has them. */
static struct cut cut_of(size_t n, double factor)
{
	struct cut c = { 1, n };
	size_t most = factor < 0 ? n : (size_t)factor;

	if (factor > 0 && n % most == 0)
		return (struct cut){ most, n / most };
	while (c.first < c.second) {
		size_t next = c.first + 1;
		while (n % next)
			next++;
		if (next + n / next > n + 1 || next > most)
			break;
		c = (struct cut){ next, n / next };
	}
	return c.first > c.second ? (struct cut){ c.second, c.first } : c;
}

static bool is_low(size_t r, size_t rows, size_t cols) { return 2 * r < MAX(rows, cols); }

static struct factor add_factor(struct adapter *a, const char *module, const char *name, size_t rows, size_t cols,
                                size_t r, bool low)
{
	static const struct file_layout plain = { .rows_of = -1 };
	const char *whole = peft_name(a, module, name);

	if (!low)
		return (struct factor){ adapter_param(a, whole, 2, (size_t[]){ rows, cols }, -1, plain), -1, -1 };
	int first = adapter_param(a, arena_printf(&a->mem, "%s_a", whole), 2, (size_t[]){ rows, r }, -1, plain);
	return (struct factor){ -1, first, adapter_param(a, arena_printf(&a->mem, "%s_b", whole), 2,
		                                         (size_t[]){ r, cols }, -1, plain) };
}

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	struct lokr *o = a->own;
	const struct terms *t = ctx;
	struct site *s = &o->sites[o->n];
	double alpha;

	if (peft_want_linear(w, module, e) < 0 || peft_rank(a->config, module, t->r, &s->r, e) < 0 ||
	    peft_pattern_number(a->config, "alpha_pattern", module, t->alpha, &alpha, e) < 0)
		return -1;
	if (weight == (int)m->n_weights || (w->spec->flags & WEIGHT_HEAD))
		return err_set(e, "target_modules means the head '%s', which has no Kronecker product here", module);
	s->out = cut_of(w->dim[0], t->factor);
	s->in = cut_of(w->dim[1], t->factor);
	s->scale = (float)(alpha / (double)s->r);
	s->w1 = add_factor(a, module, "lokr_w1", s->out.first, s->in.first, s->r,
	                   t->both && is_low(s->r, s->out.first, s->in.first));
	s->w2 = add_factor(a, module, "lokr_w2", s->out.second, s->in.second, s->r,
	                   is_low(s->r, s->out.second, s->in.second));
	if (weight_is_permuted(m, weight)) {
		s->from = arena_array(&a->mem, w->dim[0], sizeof(*s->from));
		for (size_t row = 0; row < w->dim[0]; row++)
			s->from[row] = (uint32_t)weight_hf_row(m, weight, row);
	}
	o->site_of[weight] = (int)o->n++;
	return 0;
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct terms t;
	struct lokr *o = a->own = arena_alloc(&a->mem, sizeof(*o));

	o->sites = arena_array(&a->mem, m->n_weights + 1, sizeof(*o->sites));
	o->site_of = adapter_site_map(a, m);
	int scaled;

	if (read_terms(a->config, &t, e) < 0 || lycoris_read(a->config, &o->dropout, e) < 0 ||
	    jsonx_bool(a->config, "rank_dropout_scale", 0, &scaled, e) < 0)
		return -1;
	o->scaled = scaled;
	if (peft_each(a, m, add_site, &t, e) < 0)
		return -1;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static void init_factor(struct adapter *a, const struct factor *f, bool zero, uint64_t seed)
{
	const int params[] = { f->whole, f->a, f->b };

	for (size_t i = 0; i < ARRAY_LEN(params); i++)
		if (params[i] >= 0 && !(zero && params[i] != f->b))
			adapter_init_linear(a, params[i], seed);
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;

	if (asked->factor == 0)
		return err_set(e, "--decompose-factor 0: nothing is cut into 0 parts; -1, or 1 and more, was wanted");
	if (peft_new(a, m, &asked->on, own_config(asked), build, e) < 0)
		return -1;
	json_object_del(a->config, "fan_in_fan_out"); /* LoKrConfig has none */
	const struct lokr *o = a->own;
	for (size_t i = 0; i < o->n; i++) {
		init_factor(a, &o->sites[i].w1, true, seed);
		init_factor(a, &o->sites[i].w2, false, seed);
	}
	return 0;
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return peft_load(a, m, config, s, dir, build, e);
}

/* --- use --- */

/* What is added to a weight, NULL: nothing. */
static const struct site *site_at(const struct lokr *o, int weight)
{
	const struct site *s = o->site_of[weight] < 0 ? NULL : &o->sites[o->site_of[weight]];

	return s && s->scale != 0 ? s : NULL;
}

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct lokr *lokr = o->ctx;
	const struct site *s = site_at(lokr, w);
	uint32_t y = l->x;

	if (!s)
		return false;
	if (s->w2.whole < 0)
		y = op_linear_parts(g->tape, y, nn_param(g, o, s->w2.b), 1);
	y = op_linear_parts(g->tape, y, nn_param(g, o, s->w2.whole < 0 ? s->w2.a : s->w2.whole), s->scale);
	if (s->w1.whole < 0)
		y = op_mix_parts(g->tape, y, nn_param(g, o, s->w1.b));
	y = op_mix_parts(g->tape, y, nn_param(g, o, s->w1.whole < 0 ? s->w1.a : s->w1.whole));
	if (s->from)
		y = op_order_columns(g->tape, y, s->from);
	l->residual = lycoris_drop(g, o, &lokr->dropout, lokr->scaled, nn_served(g, o, y));
	return false;
}

static const struct overlay_hooks hooks = { .linear = linear, .by_row = true, .other_order = true };

/* [rows][cols], in mem. */
static const float *whole(const struct params *p, const struct factor *f, struct arena *mem)
{
	if (f->whole >= 0)
		return p->w + p->items[f->whole].offset;
	size_t rows = p->items[f->a].dim[0], r = p->items[f->a].dim[1], cols = p->items[f->b].dim[1];
	const float *a = p->w + p->items[f->a].offset, *b = p->w + p->items[f->b].offset;
	float *out = arena_array(mem, rows * cols, sizeof(*out));
	for (size_t i = 0; i < rows; i++)
		for (size_t k = 0; k < r; k++)
			for (size_t j = 0; j < cols; j++)
				out[i * cols + j] += a[i * r + k] * b[k * cols + j];
	return out;
}

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct site *s = site_at(a->own, weight);
	struct arena mem = ARENA_INIT;
	(void)m;

	if (!s)
		return;
	const float *w1 = whole(&a->overlay.params, &s->w1, &mem), *w2 = whole(&a->overlay.params, &s->w2, &mem);
	size_t c = s->in.first, d = s->in.second;
	for (size_t row = 0; row < s->out.first * s->out.second; row++) {
		const float *one = w1 + row / s->out.second * c, *two = w2 + row % s->out.second * d;
		for (size_t i = 0; i < c * d; i++)
			w[row * c * d + i] += s->scale * one[i / d] * two[i % d];
	}
	arena_release(&mem);
}

const struct adapter_type adapter_lokr = {
	.name = "lokr",
	.summary = "LoKr: a Kronecker product of two small matrices",
	.learning_rate = 3e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "lora-r",
	.peft_type = "LOKR",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.merge = merge,
};
