/* lora_eva: a LoRA that begins as training's rows vary (Paischer et al. 2024, EVA; PEFT's tuners/lora/eva.py). A [r,in]
 * are the r directions in which what comes into a module varies most, B is zero.
 *
 * Modules that read the same rows (q, k and v; gate and up) have one incremental PCA, of rho·r components. Batch after
 * batch goes through the model with nothing over it. After each the ranks, as many as were asked for in all, are dealt
 * out anew to the components that explain most of their own rows' variance, at most rho·r to a module; one whose
 * ranks' directions no longer turn (a cosine of tau with those of the batch before) is left alone until it is given
 * more. When all are so, it is done. A module may have no rank at all: it is no target of the adapter then. alpha
 * follows the rank (adjust_scaling_factors), so that the scale is what it was.
 *
 * Batches are the run's own micro-batches, from its first step on, so the data, their order and --micro-batch-tokens
 * decide, and nothing else. Beside PEFT: the decomposition is theirs but for their random start, which is rougher
 * (torch.svd_lowrank); whiten divides by √S once, where theirs does for each of the modules that read the same rows;
 * rows that repeat are computed once and counted; after MOST_BATCHES what still turns is taken as it is, where PEFT
 * goes on for ever.
 *
 * What was found is kept in env_state_file("eva/KEY.safetensors"), A of each module, so that planning, beginning and
 * going on after a stop look at the rows once; without the file the same bits are made again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapt/incremental_pca.h"
#include "adapt/lora.h"
#include "adapt/peft_asked.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/hash.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/weights.h"
#include "op/watch.h"

enum { MOST_BATCHES = 512, FORMAT = 1 };
#define SAID 2.0                       /* seconds after which it is told how far it is */
static const char KEY[] = "eva_config";

/* --- what is asked --- */

struct eva_config { double rho, tau; int mask, whiten, adjust, mask_value; };

static const char *const known[] = { "adjust_scaling_factors", "label_mask_value", "rho",
	                             "tau",                    "use_label_mask",   "whiten" };

static int read_config(const json_t *j, struct eva_config *c, struct err *e)
{
	long long value;

	if (jsonx_real(j, "rho", 2, &c->rho, e) < 0 || jsonx_real(j, "tau", 0.99, &c->tau, e) < 0 ||
	    jsonx_bool(j, "use_label_mask", 1, &c->mask, e) < 0 || jsonx_bool(j, "whiten", 0, &c->whiten, e) < 0 ||
	    jsonx_bool(j, "adjust_scaling_factors", 1, &c->adjust, e) < 0 ||
	    jsonx_int(j, "label_mask_value", -100, &value, e) < 0)
		return err_prefix(e, "eva_config");
	c->mask_value = (int)value;
	if (value != -100)
		return err_set(e, "eva_config: label_mask_value is %lld; what is not learnt is -100 here", value);
	if (!(c->rho >= 1))
		return err_set(e, "eva_config: rho is %g, at least 1 was wanted", c->rho);
	return c->tau >= 0 && c->tau <= 1 ? 0 : err_set(e, "eva_config: tau is %g, 0 to 1 was wanted", c->tau);
}

static int check_keys(const json_t *j, struct err *e)
{
	const char *key;
	json_t *value;

	if (!json_is_object(j))
		return err_set(e, "eva_config is no object");
	json_object_foreach((json_t *)(uintptr_t)j, key, value) {
		bool there = false;
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			there |= !strcmp(key, known[i]);
		if (!there)
			return err_set(e, "eva_config has no '%.40s': rho, tau, use_label_mask, whiten and "
			                  "adjust_scaling_factors are known", key);
	}
	return 0;
}

int lora_eva_put(json_t *own, const char *text, struct err *e)
{
	json_t *asked = text ? peft_object(KEY, text, true, e) : json_object();
	struct eva_config c;

	if (!asked || check_keys(asked, e) < 0 || read_config(asked, &c, e) < 0) {
		json_decref(asked);
		return -1;
	}
	json_decref(asked);
	json_object_set_new(own, KEY, json_pack("{s:b, s:i, s:o, s:o, s:b, s:b}", known[0], c.adjust, known[1],
	                                        c.mask_value, known[2], json_real(c.rho), known[3], json_real(c.tau),
	                                        known[4], c.mask, known[5], c.whiten));
	return 0;
}

static size_t components(const struct lora_site *s, const struct eva_config *c)
{
	return (size_t)nearbyint((double)s->r * c->rho); /* halves to even, as Python */
}

int lora_eva_site(struct adapter *a, const struct lora_site *s, const struct weight *w, const char *module,
                  struct err *e)
{
	bool head = w->spec->flags & WEIGHT_HEAD;
	struct eva_config c;

	if (s->embedding || w->expert >= 0 || head)
		return err_set(e, "init_lora_weights eva: target_modules means '%s', %s, which it does not begin",
		               module, s->embedding ? "an embedding" : head ? "the head" : "an expert's matrix");
	if (read_config(json_object_get(a->config, KEY), &c, e) < 0)
		return -1;
	if (components(s, &c) > s->in)
		return err_set(e, "init_lora_weights eva: r times rho is %zu, and '%s' has rows of %zu numbers",
		               components(s, &c), module, s->in);
	return 0;
}

/* --- looking on --- */

/* What the modules that read one tensor have in common. */
struct reading {
	struct incremental_pca pca;
	uint32_t tensor;
	size_t first, rank;            /* the first of its sites; ranks that it is given now, the most of its sites' */
	bool still;                    /* its directions no longer turn: it is not looked at */
};

struct eva {
	struct adapter *a;
	const struct model *m;
	struct adapter_feed *feed;
	struct eva_config config;
	struct reading *source;         /* [n] in the order of their first modules */
	size_t n;
	size_t *source_of;             /* [sites] */
	size_t *rank;                  /* [sites] */
	size_t budget;                 /* ranks in all */
	size_t rows;                   /* of the largest batch so far */
};

static const struct lora *lora_of(const struct eva *v) { return v->a->own; }

static void add_rows(struct reading *s, const struct eva *v, const struct watched *w)
{
	const struct batch *b = w->batch;
	size_t n = (size_t)b->n_targets;
	int32_t *times = mem_array(n, sizeof(*times));
	struct pca_rows rows = { w->x, b->target_row, times, n };

	for (int32_t i = 0; i < b->n_labels; i++)
		times[b->label_target[i]]++;
	incremental_pca_add(&s->pca, &rows, v->feed->kernels, v->feed->pool);
	mem_free(times);
}

struct seeing { struct eva *eva; size_t source; };

static void see(void *ctx, struct pool *p, const struct watched *w)
{
	const struct seeing *x = ctx;
	struct reading *s = &x->eva->source[x->source];
	(void)p;

	x->eva->rows = MAX(x->eva->rows, (size_t)w->batch->n_labels);
	if (!s->still && (size_t)w->batch->n_labels >= s->pca.n)
		add_rows(s, x->eva, w);
}

static bool watch_linear(struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	struct eva *v = (struct eva *)(uintptr_t)o->ctx;
	int site = lora_of(v)->site_of[w];
	size_t i = 0;

	if (site < 0)
		return false;
	while (i < v->n && v->source[i].tensor != l->x)
		i++;
	v->source_of[site] = i;
	if (i < v->n)
		return false;
	v->source[v->n++] = (struct reading){ .tensor = l->x };
	struct seeing *seeing = arena_alloc(&v->a->mem, sizeof(*seeing));
	*seeing = (struct seeing){ v, i };
	op_watch(g->tape, l->x, TENSOR_NONE, TENSOR_NONE, lora_of(v)->sites[site].in, &(struct watch){ see, seeing });
	return false;
}

static const struct overlay_hooks looking = { .linear = watch_linear };

/* --- ranks --- */

struct entry { double share; size_t order, site; };

static int entry_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->share != y->share)
		return x->share < y->share ? 1 : -1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static struct entry *add_entries(const struct eva *v, size_t site, struct entry *to)
{
	const struct reading *s = &v->source[v->source_of[site]];

	for (size_t k = 0; k < s->pca.n; k++, to++)
		*to = (struct entry){ s->pca.share[k], 0, site };
	return to;
}

/* The first module of each source, then the others in the order of their sources: what is equal goes by that. */
static struct entry *all_entries(const struct eva *v, size_t *n)
{
	size_t sites = lora_of(v)->n, most = 0;

	for (size_t i = 0; i < sites; i++)
		most += v->source[v->source_of[i]].pca.n;
	struct entry *all = mem_array(most, sizeof(*all)), *end = all;
	for (size_t i = 0; i < v->n; i++)
		end = add_entries(v, v->source[i].first, end);
	for (size_t i = 0; i < v->n; i++)
		for (size_t k = v->source[i].first + 1; k < sites; k++)
			end = v->source_of[k] == i ? add_entries(v, k, end) : end;
	for (size_t i = 0; i < most; i++)
		all[i].order = i;
	*n = most;
	return all;
}

static void deal(struct eva *v)
{
	size_t n, sites = lora_of(v)->n;
	struct entry *all = all_entries(v, &n);

	qsort(all, n, sizeof(*all), entry_order);
	memset(v->rank, 0, sites * sizeof(*v->rank));
	for (size_t i = 0; i < MIN(v->budget, n); i++)
		v->rank[all[i].site]++;
	mem_free(all);
	for (size_t i = 0; i < sites; i++) {
		size_t first = v->source[v->source_of[i]].first, r = v->rank[i];
		if (r <= v->rank[first])
			continue;
		v->rank[i] = v->rank[first];
		v->rank[first] = r;
	}
	for (size_t i = 0; i < v->n; i++)
		v->source[i].rank = v->rank[v->source[i].first];
}

/* --- the loop --- */

static bool stands_still(const struct reading *s, double tau)
{
	for (size_t k = 0; k < s->rank; k++)
		if (s->pca.seen == 0 || s->pca.alike[k] < tau)
			return false;
	return true;
}

static size_t settled(struct eva *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		v->source[i].still = stands_still(&v->source[i], v->config.tau);
		n += v->source[i].still;
	}
	return n;
}

static bool all_begun(const struct eva *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->source[i].pca.seen == 0)
			return false;
	return true;
}

static int refuse_few(const struct eva *v, struct err *e)
{
	size_t most = 0;

	for (size_t i = 0; i < v->n; i++)
		most = MAX(most, v->source[i].pca.n);
	return err_set(e, "init_lora_weights eva: no micro-batch has more than %zu tokens %s, and r times rho, %zu, "
	                  "are wanted: a larger --batch-size, a lower --lora-r%s", v->rows,
	               v->config.mask ? "that are trained on" : "", most,
	               v->config.mask ? ", or --eva-config use_label_mask=false" : "");
}

/* Until all stand still. */
static int look(struct eva *v, struct err *e)
{
	double begin = clock_seconds();
	size_t still = 0, batches = 0;
	bool said = false;
	int status = 0;

	for (; (still = settled(v)) < v->n && batches < MOST_BATCHES && status == 0; batches++) {
		if (batches == v->feed->n && !all_begun(v))
			return refuse_few(v, e);
		status = v->feed->next(v->feed->ctx, e);
		if (status == 0 && all_begun(v))
			deal(v);
		if (clock_seconds() - begin > SAID) {
			log_live("the adapter's start: %zu of %zu kinds of rows known after %zu batches, %.0f s", still,
			         v->n, batches + 1, clock_seconds() - begin);
			said = true;
		}
	}
	if (said)
		log_live_end();
	if (status == 0 && still < v->n)
		log_warn("init_lora_weights eva: %zu of %zu kinds of rows still turn after %d batches, taken so",
		         v->n - still, v->n, MOST_BATCHES);
	return status;
}

/* Sources get their components, the most that a module of theirs wants. */
static void open_sources(struct eva *v)
{
	const struct lora *o = lora_of(v);

	for (size_t i = 0; i < v->n; i++) {
		struct reading *s = &v->source[i];
		s->first = SIZE_MAX;
		for (size_t k = 0; k < o->n; k++) {
			if (v->source_of[k] != i)
				continue;
			s->first = MIN(s->first, k);
			s->rank = MAX(s->rank, components(&o->sites[k], &v->config));
		}
		incremental_pca_init(&s->pca, s->rank, o->sites[s->first].in);
	}
	for (size_t k = 0; k < o->n; k++)
		v->rank[k] = v->source[v->source_of[k]].rank;
}

/* --- what is kept --- */

/* Directions of each module, one under the other, of so many ranks. */
struct found { float **a; size_t *rank; size_t n; };

static void found_release(struct found *f)
{
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->a[i]);
	mem_free(f->a);
	mem_free(f->rank);
}

static struct found found_new(size_t n)
{
	return (struct found){ mem_array(n, sizeof(float *)), mem_array(n, sizeof(size_t)), n };
}

static char *kept_path(const struct adapter *a, const struct adapter_feed *f)
{
	char *config = jsonx_line(a->config), hex[33];
	char *all = mem_printf("%d %s %s", FORMAT, f->key, config);

	hash_hex(all, strlen(all), hex);
	char *name = mem_printf("eva/%s.safetensors", hex), *path = env_state_file(name);
	mem_free(config);
	mem_free(all);
	mem_free(name);
	return path;
}

static const char *module_of(struct arena *mem, const struct model *m, const struct lora_site *s)
{
	return weight_module(mem, m->weights[s->weight].name);
}

static bool take_kept(struct found *f, const struct adapter *a, const struct model *m, const struct safetensors *s)
{
	const struct lora *o = a->own;
	struct arena mem = ARENA_INIT;
	size_t there = 0;
	bool fits = true;

	for (size_t i = 0; i < o->n && fits; i++) {
		const struct st_tensor *x = st_find(s, module_of(&mem, m, &o->sites[i]));
		if (!x)
			continue;
		fits = x->dtype == DTYPE_F32 && x->n_dims == 2 && x->dim[1] == o->sites[i].in;
		there++;
		f->rank[i] = x->dim[0];
		f->a[i] = mem_alloc(x->bytes);
		memcpy(f->a[i], x->data, x->bytes);
	}
	arena_release(&mem);
	return fits && there && there == s->n_tensors;
}

/* false: there is nothing to go by. */
static bool recall(struct found *f, const struct adapter *a, const struct model *m, const char *path)
{
	struct safetensors s;
	struct err why = ERR_INIT;

	*f = found_new(((const struct lora *)a->own)->n);
	if (path && io_exists(path)) {
		bool open = st_open(&s, path, &why) == 0, fits = open && take_kept(f, a, m, &s);
		if (open)
			st_close(&s);
		if (fits)
			return true;
		log_warn("%s: %s; the rows are looked at again", path,
		         open ? "it is of another adapter's start" : why.msg);
	}
	found_release(f);
	return false;
}

static void keep(const struct found *f, const struct adapter *a, const struct model *m, const char *path)
{
	const struct lora *o = a->own;
	struct st_tensor *t = mem_array(f->n, sizeof(*t));
	struct arena mem = ARENA_INIT;
	struct err why = ERR_INIT;
	size_t n = 0;
	char *folder = path ? io_parent(path) : NULL;

	for (size_t i = 0; i < f->n; i++)
		if (f->rank[i])
			t[n++] = (struct st_tensor){ .name = module_of(&mem, m, &o->sites[i]), .n_dims = 2,
				                     .dim = { f->rank[i], o->sites[i].in }, .data = f->a[i],
				                     .bytes = f->rank[i] * o->sites[i].in * sizeof(float) };
	if (path && (io_mkdirs(folder, &why) < 0 || st_write(path, t, n, NULL, 0, NULL, NULL, &why) < 0))
		log_warn("how the adapter begins is not kept: %s", why.msg);
	mem_free(folder);
	mem_free(t);
	arena_release(&mem);
}

/* --- the adapter that it makes --- */

static struct found found_of(const struct eva *v)
{
	const struct lora *o = lora_of(v);
	struct found f = found_new(o->n);

	for (size_t i = 0; i < o->n; i++) {
		const struct incremental_pca *p = &v->source[v->source_of[i]].pca;
		f.rank[i] = v->rank[i];
		f.a[i] = mem_array(f.rank[i] * p->cols, sizeof(float));
		for (size_t k = 0; k < f.rank[i]; k++) {
			double by = v->config.whiten ? 1 / sqrt(p->s[k]) : 1;
			for (size_t j = 0; j < p->cols; j++)
				f.a[i][k * p->cols + j] = (float)(by * (double)p->v[k * p->cols + j]);
		}
	}
	return f;
}

/* A module's rank and alpha, where they are not those of all. */
static void put_patterns(json_t *config, const struct adapter *a, const char *module, double r, double was, bool adjust)
{
	double all = json_number_value(json_object_get(a->config, "r"));
	double alpha_of_all = json_number_value(json_object_get(a->config, "lora_alpha")), alpha = alpha_of_all;
	struct err none = ERR_INIT;

	peft_pattern_number(a->config, PEFT_ALPHAS, module, alpha_of_all, &alpha, &none);
	alpha *= adjust ? r / was : 1;
	if (r != all)
		json_object_set_new(json_object_get(config, PEFT_RANKS), module, peft_number(r));
	if (alpha != alpha_of_all)
		json_object_set_new(json_object_get(config, PEFT_ALPHAS), module, peft_number(alpha));
}

/* As PEFT's: ranks and alphas by whole names, and where modules fall out those that are left. */
static json_t *config_of(const struct adapter *a, const struct model *m, const struct found *f,
                         const struct eva_config *c)
{
	const struct lora *o = a->own;
	json_t *config = json_deep_copy(a->config), *left = json_array();
	struct arena mem = ARENA_INIT;

	json_object_set_new(config, PEFT_RANKS, json_object());
	json_object_set_new(config, PEFT_ALPHAS, json_object());
	for (size_t i = 0; i < o->n; i++) {
		const char *module = module_of(&mem, m, &o->sites[i]);
		if (!f->rank[i])
			continue;
		json_array_append_new(left, json_string(module));
		put_patterns(config, a, module, (double)f->rank[i], (double)o->sites[i].r, c->adjust);
	}
	if (json_array_size(left) < o->n) {
		json_object_set(config, "target_modules", left);
		json_object_set_new(config, "exclude_modules", json_null());
		json_object_set_new(config, "layers_to_transform", json_null());
		json_object_set_new(config, "layers_pattern", json_null());
	}
	json_decref(left);
	arena_release(&mem);
	return config;
}

/* The sites that are left come in the order in which they were. */
static int adopt(struct adapter *a, const struct model *m, const struct found *f, const struct eva_config *c,
                 struct err *e)
{
	size_t n = 0;

	if (lora_remake(a, m, config_of(a, m, f, c), e) < 0)
		return -1;
	const struct lora *o = a->own;
	for (size_t i = 0; i < f->n; i++) {
		if (!f->rank[i])
			continue;
		const struct lora_site *s = &o->sites[n++];
		if (s->r != f->rank[i])
			BUG("a module of rank %zu that was given %zu", s->r, f->rank[i]);
		memcpy(a->overlay.params.w + a->overlay.params.items[s->a].offset, f->a[i],
		       s->r * s->in * sizeof(float));
	}
	return 0;
}

static int find(struct eva *v, struct found *f, struct err *e)
{
	size_t sites = lora_of(v)->n;
	struct overlay watching;

	v->source = mem_array(sites, sizeof(*v->source));
	v->source_of = mem_array(sites, sizeof(*v->source_of));
	v->rank = mem_array(sites, sizeof(*v->rank));
	for (size_t i = 0; i < sites; i++)
		v->budget += lora_of(v)->sites[i].r;
	overlay_init(&watching, v->m);
	watching.hooks = &looking;
	watching.ctx = v;
	int status = v->feed->begin(v->feed->ctx, &watching, v->config.mask, e);
	if (status == 0) {
		open_sources(v);
		status = look(v, e);
	}
	if (status == 0)
		*f = found_of(v);
	overlay_release(&watching);
	for (size_t i = 0; i < v->n; i++)
		incremental_pca_release(&v->source[i].pca);
	mem_free(v->source);
	mem_free(v->source_of);
	mem_free(v->rank);
	return status;
}

int lora_eva_feed(struct adapter *a, const struct model *m, struct adapter_feed *feed, struct err *e)
{
	struct eva v = { .a = a, .m = m, .feed = feed };
	char *path = kept_path(a, feed);
	struct found f = { 0 };
	int status = read_config(json_object_get(a->config, KEY), &v.config, e);

	if (status == 0 && !recall(&f, a, m, path)) {
		status = find(&v, &f, e);
		if (status == 0)
			keep(&f, a, m, path);
	}
	mem_free(path);
	if (status < 0)
		return -1;
	status = adopt(a, m, &f, &v.config, e);
	found_release(&f);
	return status;
}
