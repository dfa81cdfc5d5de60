/* adapter: what all types share: making, modules saved whole, working into weights.
 *
 * A file made from a Hugging Face model and one made from a GGUF are the same: parameters are kept in the order of rows
 * that the model's own weights have, so that attention needs no line for adapters, and q's and k's rows are put into
 * Hugging Face's order on the way out and back on the way in (peft_folder.c). GPT-2's Conv1D weights, [out][in] here,
 * are [in][out] in files of modules saved whole.
 *
 * Saving the embedding or the head of a tied model whole parts the two, as in PEFT: each that is named is a parameter
 * of its own, the other stays what it was. With ensure_weight_tying naming one means both: one parameter, written under
 * both names. */
#include "adapt/adapter.h"

#include <math.h>
#include <string.h>

#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/weights.h"

/* --- parameters --- */

/* What stands before the names of tensors in the adapter's files. */
static const char *prefix_of(const struct adapter *a) { return a->type->plain ? "" : PEFT_PREFIX; }

int adapter_param(struct adapter *a, const char *name, int n_dims, const size_t *dim, int weight,
                  struct file_layout place)
{
	size_t n = a->overlay.params.n_items;
	if ((n & (n - 1)) == 0) { /* full at powers of two */
		struct file_layout *more = arena_array(&a->mem, 2 * n + 1, sizeof(*more));
		if (n)
			memcpy(more, a->place, n * sizeof(*more));
		a->place = more;
	}
	a->place[n] = place;
	return params_add(&a->overlay.params, name, n_dims, dim, weight);
}

static bool list_saves(const json_t *modules, const char *module)
{
	size_t i;
	json_t *entry;
	json_array_foreach(modules, i, entry)
		if (target_saves(json_string_value(entry), module))
			return true;
	return false;
}

/* PEFT names both for every model that classifies, which has one of them. */
static bool is_optional(const struct model *m, const char *name)
{
	return m->labels && name && (!strcmp(name, "score") || !strcmp(name, "classifier"));
}

static int check_entries(const struct model *m, const json_t *modules, struct err *e)
{
	struct arena mem = ARENA_INIT;
	size_t i;
	json_t *entry;
	int status = 0;
	json_array_foreach(modules, i, entry) {
		const char *name = json_string_value(entry);
		bool used = is_optional(m, name) ||
		            (m->config.tied && name && target_saves(name, weight_module(&mem, m->config.arch->head)));
		for (size_t j = 0; j < m->n_weights && !used; j++)
			used = target_saves(name, weight_module(&mem, m->weights[j].name));
		if (!used && status == 0)
			status = err_set(e,
			                 "modules_to_save: there is no module '%.80s' in this model; it has %s, %s and "
			                 "the linears %s",
			                 name ? name : "", weight_module(&mem, m->config.arch->embedding),
			                 weight_module(&mem, m->config.arch->head), target_names(&mem, m));
	}
	arena_release(&mem);
	return status;
}

/* The weight's own parameter; GPT-2's Conv1D are transposed in files. */
static int own_param(struct adapter *a, const struct model *m, const char *name, int weight)
{
	const struct weight *w = &m->weights[weight];
	struct file_layout place = { .rows_of = weight,
		                   .transposed = w->n_dims == 2 && (w->spec->flags & WEIGHT_TRANSPOSED) };
	int param = adapter_param(a, name, w->n_dims, w->dim, weight, place);
	a->overlay.params.items[param].role = weight_role(w);
	return param;
}

void adapter_whole(struct adapter *a, const struct model *m, const char *name, int weight)
{
	a->overlay.replaced[weight] = own_param(a, m, name, weight);
}

static const char *saved_name(struct adapter *a, const char *weight)
{
	return arena_printf(&a->mem, "%s%s", prefix_of(a), weight);
}

static void save_whole(struct adapter *a, const struct model *m, int weight)
{
	adapter_whole(a, m, saved_name(a, m->weights[weight].name), weight);
}

/* What becomes of a tied model's head, which is no weight of its own. */
static void save_head(struct adapter *a, const struct model *m, bool head, bool embedding)
{
	int weight = model_head(m);
	if (json_is_true(json_object_get(a->config, "ensure_weight_tying"))) {
		if (!embedding)
			save_whole(a, m, weight);
		a->tied_name = saved_name(a, m->config.arch->head);
		a->tied = a->overlay.replaced[weight];
	} else {
		a->overlay.head = head ? own_param(a, m, saved_name(a, m->config.arch->head), weight) : HEAD_OF_MODEL;
	}
}

int adapter_add_saved(struct adapter *a, const struct model *m, const json_t *modules, struct err *e)
{
	if (modules && !json_is_null(modules) && !json_is_array(modules))
		return err_set(e, "modules_to_save is no list of names");
	if (json_array_size(modules) == 0)
		return 0;
	if (check_entries(m, modules, e) < 0)
		return -1;
	for (size_t i = 0; i < m->n_weights; i++)
		if (list_saves(modules, weight_module(&a->mem, m->weights[i].name)))
			save_whole(a, m, (int)i);
	bool head = list_saves(modules, weight_module(&a->mem, m->config.arch->head)),
	     embedding = list_saves(modules, weight_module(&a->mem, m->config.arch->embedding));
	if (m->config.tied && (head || embedding))
		save_head(a, m, head, embedding);
	return 0;
}

int adapter_seal(struct adapter *a, const struct model *m, struct err *e)
{
	a->overlay.ctx = a->own;
	if (params_seal(&a->overlay.params, e) < 0)
		return -1;
	if (a->overlay.fixed.n_items && !a->overlay.fixed.w && params_seal(&a->overlay.fixed, e) < 0)
		return -1;
	for (size_t i = 0; i < a->overlay.params.n_items; i++) {
		const struct param *p = &a->overlay.params.items[i];
		if (p->weight < 0)
			continue;
		model_weight_float(m, p->weight, a->overlay.params.w + p->offset);
		weight_convert(m, p->weight, a->overlay.params.w + p->offset, false);
	}
	return 0;
}

int *adapter_site_map(struct adapter *a, const struct model *m)
{
	int *site_of = arena_array(&a->mem, m->n_weights + 1, sizeof(*site_of));

	for (size_t i = 0; i <= m->n_weights; i++)
		site_of[i] = -1;
	return site_of;
}

void adapter_init_linear(struct adapter *a, int param, uint64_t seed)
{
	const struct param *p = &a->overlay.params.items[param];
	float *w = a->overlay.params.w + p->offset, most = (float)(1 / sqrt((double)p->dim[1]));
	struct rng_key key = { seed, RNG_INIT };

	for (size_t i = 0; i < p->n; i++)
		w[i] = most * (2 * rng_uniform(key, i, p->site, 0) - 1);
}

void adapter_init_normal(struct adapter *a, int param, double deviation, uint64_t seed)
{
	const struct param *p = &a->overlay.params.items[param];
	float *w = a->overlay.params.w + p->offset;
	struct rng_key key = { seed, RNG_INIT };

	for (size_t i = 0; i < p->n; i++)
		w[i] = (float)deviation * rng_normal(key, i, p->site, 0);
}

/* --- life --- */

void adapter_begin(struct adapter *a, const struct model *m, const struct adapter_type *type)
{
	*a = (struct adapter){ .type = type };
	overlay_init(&a->overlay, m);
	a->overlay.hooks = type->hooks;
}

bool adapter_rows(size_t i, struct opt_row *out)
{
	const struct adapter_type *t = adapter_type_table[i];
	if (t)
		*out = (struct opt_row){ .name = t->name,
			                 .summary = t->summary,
			                 .standard = t->standard,
			                 .opts = t->opts,
			                 .options_size = t->options_size };
	return t;
}

const struct adapter_type *adapter_standard(void)
{
	for (size_t i = 0; adapter_type_table[i]; i++)
		if (adapter_type_table[i]->standard)
			return adapter_type_table[i];
	BUG("no adapter type is the standard one");
}

int adapter_new(struct adapter *a, const struct adapter_type *type, const struct model *m, const void *options,
                uint64_t seed, struct err *e)
{
	adapter_begin(a, m, type);
	if (type->attach(a, m, options, seed, e) == 0)
		return 0;
	adapter_release(a);
	return -1;
}

int adapter_feed(struct adapter *a, const struct model *m, struct adapter_feed *f, struct err *e)
{
	return a->by_rows ? a->type->feed(a, m, f, e) : 0;
}

int adapter_start(struct adapter *a, const struct model *m, struct pool *p, struct err *e)
{
	if (a->by_rows)
		return err_set(e, "the adapter begins by training's rows (init_lora_weights eva), and there are none");
	return a->type->start ? a->type->start(a, m, p, e) : 0;
}

int adapter_new_named(struct adapter *a, const char *type, const struct model *m, const char *const *options,
                      uint64_t seed, struct err *e)
{
	static const struct opt none[] = { OPT_END };
	struct opt_row row;
	struct opt_parse p;
	size_t i;
	int status = 0;
	*a = (struct adapter){ 0 };
	if (!opt_row_find(adapter_rows, type, &row, &i))
		return err_set(e, "there is no adapter type '%s'", type);
	void *own = mem_alloc(row.options_size);
	opt_begin(&p, row.opts ? row.opts : none, own, e);
	for (; *options && status == 0; options += 2)
		status = opt_assign(&p, options[0], options[1], e);
	if (status == 0)
		status = adapter_new(a, adapter_type_table[i], m, own, seed, e);
	opt_release(&p);
	mem_free(own);
	return status;
}

/* --- working into weights --- */

/* The model's own numbers, or those that the file brought. */
static void base_float(const struct adapter *a, const struct model *m, int weight, float *out)
{
	const float *base = a->overlay.base[weight];
	const struct weight *w = &m->weights[weight];

	if (a->parent)
		adapter_merged(a->parent, m, weight, out);
	else if (base)
		memcpy(out, base, w->dim[0] * w->dim[1] * sizeof(*out));
	else
		model_weight_float(m, weight, out);
}

void adapter_follow(struct adapter *a, const struct model *m, const struct kernels *k, struct pool *p)
{
	if (a->type->follow)
		a->type->follow(a, m, k, p);
}

int adapter_plan(struct adapter *a, long steps, struct err *e)
{
	return a->type->plan ? a->type->plan(a, steps, e) : 0;
}

double adapter_term(struct adapter *a, float *g, double weight, const struct kernels *k, struct pool *p)
{
	return a->type->term ? a->type->term(a, g, weight, k, p) : 0;
}

void adapter_updated(struct adapter *a, const struct adapter_update *u, struct pool *p)
{
	if (a->type->updated)
		a->type->updated(a, u, p);
}

int adapter_check_rank(size_t r, size_t most, struct err *e)
{
	if (!most || r <= most)
		return 0;
	return err_set(e, "a rank of %zu, and of the modules that are meant none has more than %zu rows and columns: "
	                  "at most so many", r, most);
}

int adapter_check_merge(const struct adapter *a, struct err *e)
{
	if (a->parent && adapter_check_merge(a->parent, e) < 0)
		return -1;
	if (!a->type->merge)
		return err_set(e, "an adapter of the type %s cannot be worked into a model's weights", a->type->name);
	return a->no_merge ? err_set(e, "the adapter cannot be worked into the model's weights: %s", a->no_merge) : 0;
}

void adapter_merge_none(const struct adapter *a, const struct model *m, int weight, float *w)
{
	(void)a;
	(void)m;
	(void)weight;
	(void)w;
}

/* A bias that is trained may be added to as well. */
void adapter_merged(const struct adapter *a, const struct model *m, int weight, float *w)
{
	int replaced = a->overlay.replaced[weight];
	if (replaced >= 0) {
		const struct param *p = &a->overlay.params.items[replaced];
		memcpy(w, a->overlay.params.w + p->offset, p->n * sizeof(*w));
		weight_convert(m, weight, w, true);
	} else {
		base_float(a, m, weight, w);
	}
	a->type->merge(a, m, weight, w);
}

size_t adapter_products(const struct adapter *a, double *flops)
{
	const struct params *p = &a->overlay.params;
	size_t n = 0;

	*flops = 0;
	for (size_t i = 0; i < p->n_items && a->overlay.hooks && a->overlay.hooks->sublayer; i++)
		if (p->items[i].n_dims == 2 && p->items[i].weight < 0) {
			*flops += 2 * (double)p->items[i].n;
			n++;
		}
	return n;
}

enum adapter_more adapter_more(const struct adapter *a, const struct model *m)
{
	bool whole = a->overlay.head != HEAD_AS_EMBEDDING, base = false;

	for (size_t i = 0; i < m->n_weights; i++) {
		whole |= a->overlay.replaced[i] >= 0;
		base |= a->overlay.base[i] != NULL;
	}
	return a->no_pairs ? PAIRS_HINDERED : whole ? PAIRS_AND_WHOLE : base ? PAIRS_AND_BASE :
	       !a->type->pairs ? PAIRS_NONE : PAIRS_ALONE;
}

const struct adapter_factors *adapter_pair_of(const struct adapter_factors *pairs, size_t n, int weight)
{
	for (size_t i = 0; i < n; i++)
		if (pairs[i].weight == weight && pairs[i].scale != 0)
			return &pairs[i];
	return NULL;
}

bool adapter_unties(const struct adapter *a)
{
	return a->overlay.head != HEAD_AS_EMBEDDING || a->parts || (a->parent && adapter_unties(a->parent));
}

void adapter_merged_head(const struct adapter *a, const struct model *m, float *w)
{
	const struct param *p = a->overlay.head >= 0 ? &a->overlay.params.items[a->overlay.head] : NULL;
	if (p)
		memcpy(w, a->overlay.params.w + p->offset, p->n * sizeof(*w));
	else if (a->parent && adapter_unties(a->parent))
		adapter_merged_head(a->parent, m, w);
	else
		base_float(a, m, model_head(m), w);
	a->type->merge(a, m, (int)m->n_weights, w);
}

void adapter_release(struct adapter *a)
{
	overlay_release(&a->overlay);
	params_release(&a->kept);
	for (size_t i = 0; i < a->n_taken; i++)
		adapter_release(&a->taken[i]);
	if (a->parent)
		adapter_release(a->parent);
	mem_free(a->parent);
	json_decref(a->config);
	arena_release(&a->mem);
	*a = (struct adapter){ 0 };
}
