/* adapter_shira: a few numbers of each matrix are trained, where a mask has them, and the others stay (Bhardwaj et al.
 * 2024, Sparse High Rank Adapters).
 *
 *     y = x·(W + S)ᵀ        S has r·(in + out) numbers that are not zero, as many as a LoRA of rank r
 *
 * As PEFT's ShiraConfig has it: the numbers as shira_weight, begun as zero, their rows and columns as shira_indices
 * beside them, row by row. A new mask is random_mask's: the first r·(in + out) places of a random order by PyTorch's
 * generator, seeded alike for each module, with the run's seed as random_seed. Masks by other rules are read from their
 * files; kept in random_seed and mask_type is how they were made, which changes nothing once they are there.
 *
 * Linears that stand alone; not the head, no embeddings, no experts. Vectors are not decayed. S goes up beside the
 * product (op/op_sparse.c), so a quantized W stays what it is. */
#include <stdlib.h>
#include <string.h>

#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/mt19937.h"
#include "model/graph.h"
#include "model/weights.h"

struct site {
	int weight, v;         /* the parameter */
	size_t out, in, K;
	int at, kept;          /* of fixed: rows and columns as files have them; rows as the model's file has them */
	uint32_t x;            /* while its product is recorded: what goes into it */
};

struct shira {
	struct site *sites;
	size_t n;
	int *site_of;          /* [n_weights], −1 */
};

/* --- options --- */

struct options { int64_t r; struct adapter_targets on; };

static const struct opt opts[] = {
	ADAPTER_RANK_OPT(struct options, r, "32"),
	ADAPTER_TARGET_OPT(struct options, on, "all-linear"),
	ADAPTER_SAVED_OPT(struct options, on),
	ADAPTER_BASE_OPT(struct options, on.base),
	OPT_END
};

/* --- the config --- */

static const struct peft_keys keys = {
	.read = (const char *const[]){ "r", NULL },
	.inert = (const char *const[]){ "init_weights", "mask_type", "random_seed", NULL },
};

/* --- building --- */

static int add_site(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                    void *ctx, struct err *e)
{
	struct shira *o = a->own;
	struct site *s = &o->sites[o->n];
	struct file_layout plain = { .rows_of = -1 };
	double r = *(const double *)ctx;

	if (peft_want_linear(w, module, e) < 0)
		return -1;
	if (weight == (int)m->n_weights || (w->spec->flags & WEIGHT_HEAD))
		return err_set(e, "target_modules means the head '%s', whose logits SHiRA does not reach here", module);
	*s = (struct site){ .weight = weight, .out = w->dim[0], .in = w->dim[1] };
	if (r < 1 || r > 1e6 || r * (double)(s->out + s->in) > (double)s->out * (double)s->in)
		return err_set(e, "r is %g: r·(in + out) numbers of '%s' are more than the %zu that it has", r, module,
		               s->out * s->in);
	s->K = (size_t)r * (s->out + s->in);
	s->v = adapter_param(a, peft_name(a, module, "shira_weight"), 1, &s->K, -1, plain);
	s->at = s->kept = params_add(&a->overlay.fixed, peft_name(a, module, "shira_indices"), 2,
	                             (size_t[]){ 2, s->K }, -1);
	o->site_of[weight] = (int)o->n++;
	return 0;
}

static int build(struct adapter *a, const struct model *m, struct err *e)
{
	struct shira *o = a->own = arena_alloc(&a->mem, sizeof(*o));
	struct params *f = &a->overlay.fixed;
	double r;

	o->sites = arena_array(&a->mem, m->n_weights, sizeof(*o->sites));
	o->site_of = adapter_site_map(a, m);
	if (peft_check(a->config, &keys, e) < 0 || jsonx_real(a->config, "r", 32, &r, e) < 0 ||
	    peft_each(a, m, add_site, &r, e) < 0)
		return -1;
	a->fixed_in_files = f->n_items;
	a->fixed_whole = true;
	for (size_t i = 0; i < o->n; i++) {
		struct site *s = &o->sites[i];
		char *name = mem_printf("shira.%d", s->weight);
		if (weight_is_permuted(m, s->weight))
			s->kept = params_add(f, name, 2, (size_t[]){ 2, s->K }, -1);
		mem_free(name);
	}
	if (params_seal(f, e) < 0)
		return -1;
	return adapter_add_saved(a, m, json_object_get(a->config, "modules_to_save"), e);
}

static float *fixed(const struct adapter *a, int item)
{
	return a->overlay.fixed.w + a->overlay.fixed.items[item].offset;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The first K of torch.randperm(out·in, generator), ascending, as rows and columns. */
static void draw(struct adapter *a, const struct site *s, uint32_t seed)
{
	size_t n = s->out * s->in;
	uint32_t *order = mem_array(n, sizeof(*order));
	float *at = fixed(a, s->at);
	struct mt19937 g;

	mt19937_seed(&g, seed);
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = 0; i < MIN(s->K, n - 1); i++) {
		size_t other = i + mt19937_next(&g) % (n - i);
		uint32_t x = order[i];
		order[i] = order[other];
		order[other] = x;
	}
	qsort(order, s->K, sizeof(*order), ascending);
	for (size_t k = 0; k < s->K; k++) {
		at[k] = (float)(order[k] / s->in);
		at[s->K + k] = (float)(order[k] % s->in);
	}
	mem_free(order);
}

/* Rows as the model's file has them, of indices that are there; refuses those that are none. */
static int place(struct adapter *a, const struct model *m, struct err *e)
{
	const struct shira *o = a->own;

	for (size_t i = 0; i < o->n; i++) {
		const struct site *s = &o->sites[i];
		const float *at = fixed(a, s->at);
		float *kept = fixed(a, s->kept);
		for (size_t k = 0; k < s->K; k++)
			if (!(at[k] >= 0 && at[k] < (float)s->out && at[s->K + k] >= 0 && at[s->K + k] < (float)s->in))
				return err_set(e, "%s: number %zu is outside of %zu×%zu",
				               a->overlay.fixed.items[s->at].name, k, s->out, s->in);
		if (s->kept == s->at)
			continue;
		float *row = mem_array(s->out, sizeof(*row));
		for (size_t j = 0; j < s->out; j++)
			row[weight_hf_row(m, s->weight, j)] = (float)j;
		for (size_t k = 0; k < s->K; k++)
			kept[k] = row[(size_t)at[k]];
		memcpy(kept + s->K, at + s->K, s->K * sizeof(*kept));
		mem_free(row);
	}
	return 0;
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *asked = options;
	uint32_t drawn = (uint32_t)seed;
	json_t *own = json_pack("{s:b, s:s, s:i, s:I}", "init_weights", 1, "mask_type", "random", "r", (int)asked->r,
	                        "random_seed", (json_int_t)drawn);

	if (peft_new(a, m, &asked->on, own, build, e) < 0)
		return -1;
	json_object_del(a->config, "exclude_modules"); /* ShiraConfig has none */
	const struct shira *o = a->own;
	for (size_t i = 0; i < o->n; i++)
		draw(a, &o->sites[i], drawn);
	return place(a, m, e);
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	if (peft_load(a, m, config, s, dir, build, e) < 0)
		return -1;
	return place(a, m, e) < 0 ? err_prefix(e, "%s", s->path) : 0;
}

/* --- use --- */

static struct site *site_at(const struct shira *o, const struct model *m, int weight)
{
	return weight >= (int)m->n_weights || o->site_of[weight] < 0 ? NULL : &o->sites[o->site_of[weight]];
}

static bool linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	struct site *s = site_at(o->ctx, g->model, w);

	if (s)
		s->x = nn_served(g, o, l->x);
	return s;
}

static uint32_t after(struct graph *g, const struct overlay *o, int w, struct linear *rest, uint32_t y)
{
	struct site *s = site_at(o->ctx, g->model, w);
	uint32_t x = s->x;
	(void)rest;

	s->x = TENSOR_NONE;
	return op_sparse(g->tape, x, nn_param(g, o, s->v), nn_fixed(g, o, s->kept), s->out, y);
}

static void merge(const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct site *s = site_at(a->own, m, weight);
	const struct params *p = &a->overlay.params;

	if (!s)
		return;
	const float *at = fixed(a, s->at), *v = p->w + p->items[s->v].offset;
	for (size_t k = 0; k < s->K; k++)
		w[(size_t)at[k] * s->in + (size_t)at[s->K + k]] += v[k];
}

static const struct overlay_hooks hooks = { .linear = linear, .after = after, .by_row = true };

const struct adapter_type adapter_shira = {
	.name = "shira",
	.summary = "SHiRA: a few numbers of each matrix, at random places",
	.learning_rate = 3e-4,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "lora-r",
	.peft_type = "SHIRA",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.merge = merge,
};
