/* gguf_adapter: a LoRA between llama.cpp's file and ours. Reading goes through PEFT's form, so that everything that
 * is checked of a PEFT folder is checked of a GGUF file too. Each module is named in full; where ranks differ,
 * rank_pattern says so. An alpha of 0 means a scale of 1 to llama.cpp.
 *
 * What is added to the experts of a layer is one tensor there, of a dimension more; here each expert has a pair of its
 * own.
 *
 * Writing: the file has one alpha. Where the scales of the adapter do not all come from one (rsLoRA with several ranks,
 * alpha_pattern), the rest is multiplied into B. */
#include "adapt/gguf_adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapt/peft_config.h"
#include "base/mem.h"
#include "format/gguf_write.h"
#include "model/weights.h"

static const char INVOCATION[] = "adapter.alora.invocation_tokens"; /* an activated LoRA waits for them */

/* The two halves of what is added to one weight. */
struct pair {
	const struct gguf_tensor *a, *b;
};

/* --- names --- */

static const struct weight *weight_at(const struct model *m, size_t i, struct weight *head)
{
	if (i < m->n_weights)
		return &m->weights[i];
	*head = model_tied_head(m);
	return head;
}

/* --- reading --- */

struct reading {
	const struct gguf *g;
	const struct model *m;
	const struct adapter_type *type;
	struct pair *pairs;         /* [n_weights + 1], the last a tied model's head */
	struct safetensors *s;
	struct err *e;
};

bool gguf_adapter_is(const char *path)
{
	struct err ignored = ERR_INIT;
	struct mapping map;
	if (io_is_dir(path) || !io_exists(path) || io_map(&map, path, &ignored) < 0)
		return false;
	bool is = map.size >= 4 && !memcmp(map.data, "GGUF", 4);
	io_unmap(&map);
	return is;
}

static int wants_word(const struct reading *r, const char *key, const char *word)
{
	const char *found;
	if (gguf_str((struct gguf *)r->g, key, true, &found, r->e) < 0)
		return -1;
	return !strcmp(found, word) ? 0 :
	                              err_set(r->e, "%s: %s is '%.80s', '%s' was wanted", r->g->path, key, found, word);
}

/* A model's file says "model", or nothing. */
static int wants_adapter(const struct reading *r)
{
	const char *found = NULL;
	if (gguf_str((struct gguf *)r->g, "general.type", false, &found, r->e) < 0)
		return -1;
	if (!found || !strcmp(found, "model"))
		return err_set(r->e, "%s: a model, where a GGUF file of an adapter was wanted", r->g->path);
	return wants_word(r, "general.type", "adapter");
}

static int find_type(struct reading *r)
{
	const char *found;
	if (gguf_str((struct gguf *)r->g, "adapter.type", true, &found, r->e) < 0)
		return -1;
	for (size_t i = 0; adapter_type_table[i] && !r->type; i++)
		if (adapter_type_table[i]->gguf_type && !strcmp(adapter_type_table[i]->gguf_type, found))
			r->type = adapter_type_table[i];
	return r->type ? 0 : err_set(r->e, "%s: adapter.type is '%.80s', which this program does not do", r->g->path,
	                             found);
}

static int check_kind(struct reading *r)
{
	const char *arch = r->m->config.arch->gguf;
	if (!arch)
		return err_set(r->e, "%s: models of the kind %s are not read from GGUF, and so not their adapters",
		               r->g->path, r->m->config.arch->name);
	return wants_adapter(r) < 0 || find_type(r) < 0 || wants_word(r, "general.architecture", arch) < 0 ? -1 : 0;
}

/* The part of expert `expert` of E. */
static const struct gguf_tensor *slice(struct reading *r, const struct gguf_tensor *t, size_t expert)
{
	struct gguf_tensor *one = arena_alloc(&r->s->mem, sizeof(*one));

	*one = *t;
	one->n_dims = 2;
	one->bytes = t->bytes / t->dim[2];
	one->data = t->data + expert * one->bytes;
	return one;
}

/* Number i is the first weight of that name. */
static int place_at(struct reading *r, size_t i, const struct gguf_tensor *t, bool a)
{
	const struct weight *w = i < r->m->n_weights ? &r->m->weights[i] : NULL;
	size_t experts = w && w->expert >= 0 ? (size_t)weight_experts(&r->m->config, w->spec) : 0;

	if (t->n_dims != (experts ? 3 : 2) || (experts && t->dim[2] != experts))
		return err_set(r->e, "%s: tensor '%.200s' has %d dimensions, %d were wanted%s", r->g->path, t->name,
		               t->n_dims, experts ? 3 : 2, experts ? ", the last as many as there are experts" : "");
	for (size_t e = 0; e < MAX(experts, 1); e++)
		*(a ? &r->pairs[i + e].a : &r->pairs[i + e].b) = experts ? slice(r, t, e) : t;
	return 0;
}

static int place_tensor(struct reading *r, const char *const *names, const struct gguf_tensor *t)
{
	size_t n = strlen(t->name), end = strlen(".lora_a");
	bool a = n > end && !strcmp(t->name + n - end, ".lora_a"), b = n > end && !strcmp(t->name + n - end, ".lora_b");
	if (!a && !b)
		return err_set(r->e, "%s: tensor '%.200s' is neither a .lora_a nor a .lora_b", r->g->path, t->name);
	for (size_t i = 0; i <= r->m->n_weights; i++)
		if (names[i] && strlen(names[i]) == n - end && !strncmp(names[i], t->name, n - end))
			return place_at(r, i, t, a);
	return err_set(r->e, "%s: tensor '%.200s' is for no weight of %s", r->g->path, t->name, r->m->source.path);
}

static int pair_tensors(struct reading *r)
{
	struct arena mem = ARENA_INIT;
	struct weight head;
	const char **names = arena_array(&mem, r->m->n_weights + 1, sizeof(*names));
	int status = 0;

	for (size_t i = 0; i < r->m->n_weights + r->m->config.tied; i++) {
		const struct weight *w = weight_at(r->m, i, &head);
		names[i] = w->spec->flags & WEIGHT_BIAS ? NULL : weight_gguf_name(&mem, w);
	}
	for (size_t i = 0; i < r->g->n_tensors && !status; i++)
		status = place_tensor(r, names, &r->g->tensors[i]);
	for (size_t i = 0; i <= r->m->n_weights && !status; i++) {
		const struct pair *p = &r->pairs[i];
		if (!p->a != !p->b)
			status = err_set(r->e, "%s: tensor '%s' is without its other half", r->g->path,
			                 (p->a ? p->a : p->b)->name);
	}
	arena_release(&mem);
	return status;
}

/* A tensor of `rows` × `cols` for PEFT. Its own bytes where the order is the same, else f32. */
static void add_tensor(struct reading *r, const char *name, const struct gguf_tensor *t, bool transposed,
                       struct row_order order)
{
	struct st_tensor *to = &r->s->tensors[r->s->n_tensors++];
	size_t rows = (size_t)t->dim[1], cols = (size_t)t->dim[0];
	*to = (struct st_tensor){ .name = name,
		                  .dtype = t->dtype,
		                  .n_dims = 2,
		                  .dim = { rows, cols },
		                  .data = t->data,
		                  .bytes = t->bytes,
		                  .dtype_name = dtypes[t->dtype].name };
	bool head = order.kind != ROWS_ALIKE;
	if ((!transposed && !head) || !dtypes[t->dtype].to_float)
		return;
	float *own = arena_array(&r->s->mem, rows * cols, sizeof(*own));
	to->dtype = DTYPE_F32;
	to->dtype_name = "F32";
	to->bytes = rows * cols * sizeof(*own);
	to->data = own;
	dtypes[t->dtype].to_float(t->data, own, rows * cols);
	if (head) {
		weight_permute_rows(own, rows, cols, order, true);
	} else {
		float *other = arena_array(&r->s->mem, rows * cols, sizeof(*other));
		for (size_t i = 0; i < rows * cols; i++)
			other[i % cols * rows + i / cols] = own[i];
		to->data = other;
		to->dim[0] = cols;
		to->dim[1] = rows;
	}
}

/* The pair of weight i under PEFT's names; *rank: of it. */
static int add_pair(struct reading *r, size_t i, const char **module, size_t *rank)
{
	struct weight tied;
	const struct weight *w = weight_at(r->m, i, &tied);
	const struct pair *p = &r->pairs[i];
	bool embedding = w->spec->flags & WEIGHT_EMBED;
	struct row_order order = weight_row_order(r->m, (int)i), alike = { 0 };

	*rank = (size_t)p->b->dim[0];
	*module = weight_module(&r->s->mem, w->name);
	if (p->a->dim[!embedding] != p->b->dim[0])
		return err_set(r->e, "%s: '%s' and '%s' do not have one rank", r->g->path, p->a->name, p->b->name);
	if (order.kind != ROWS_ALIKE && p->b->dim[1] != w->dim[0])
		return err_set(r->e, "%s: '%s' has %llu rows, the weight it is for %zu", r->g->path, p->b->name,
		               (unsigned long long)p->b->dim[1], w->dim[0]);
	const char *kind = embedding ? "lora_embedding_" : "lora_", *end = embedding ? "" : ".weight";
	add_tensor(r, arena_printf(&r->s->mem, PEFT_PREFIX "%s.%sA%s", *module, kind, end), p->a, embedding, alike);
	add_tensor(r, arena_printf(&r->s->mem, PEFT_PREFIX "%s.%sB%s", *module, kind, end), p->b, false, order);
	return 0;
}

static int by_name(const void *x, const void *y)
{
	return strcmp((*(const struct st_tensor *const *)x)->name, (*(const struct st_tensor *const *)y)->name);
}

/* The config that says what the tensors are. An alpha for each module where the file has none. */
static json_t *make_config(struct reading *r, double alpha)
{
	json_t *targets = json_array(), *ranks = json_object(), *alphas = json_object(), *first = NULL;
	for (size_t i = 0; i <= r->m->n_weights; i++) {
		const char *module;
		size_t rank;
		if (!r->pairs[i].a)
			continue;
		if (add_pair(r, i, &module, &rank) < 0) {
			json_decref(targets);
			json_decref(ranks);
			json_decref(alphas);
			json_decref(first);
			return NULL;
		}
		first = first ? first : json_integer((json_int_t)rank);
		json_array_append_new(targets, json_string(module));
		if ((json_int_t)rank != json_integer_value(first))
			json_object_set_new(ranks, module, json_integer((json_int_t)rank));
		if (alpha == 0)
			json_object_set_new(alphas, module, json_integer((json_int_t)rank));
	}
	return json_pack("{s:s, s:s, s:s?, s:s, s:b, s:o, s:f, s:f, s:o, s:o, s:o}", "peft_type", r->type->peft_type,
	                 "task_type", "CAUSAL_LM", "base_model_name_or_path", peft_base(&r->s->mem, r->m), "bias",
	                 "none", "inference_mode", 1, "r", first ? first : json_integer(1), "lora_alpha", alpha,
	                 "lora_dropout", 0.0, "target_modules", targets, "rank_pattern", ranks, "alpha_pattern",
	                 alphas);
}

/* Whole numbers of four bytes. */
static int read_invocation(struct reading *r, json_t *config)
{
	const struct gguf_kv *kv = gguf_find(r->g, INVOCATION);
	json_t *list;
	int32_t id;

	if (!kv)
		return 0;
	if (kv->type != GGUF_ARRAY || (kv->item_type != GGUF_U32 && kv->item_type != GGUF_I32))
		return err_set(r->e, "%s: %s is no list of tokens' numbers", r->g->path, INVOCATION);
	json_object_set_new(config, "alora_invocation_tokens", list = json_array());
	for (size_t i = 0; i < kv->n_items; i++) {
		memcpy(&id, (const char *)kv->items + i * sizeof(id), sizeof(id));
		json_array_append_new(list, json_integer(id));
	}
	return 0;
}

static int read_adapter(struct reading *r, json_t **config)
{
	double alpha;
	if (check_kind(r) < 0 || gguf_real((struct gguf *)r->g, "adapter.lora.alpha", true, 0, &alpha, r->e) < 0)
		return -1;
	if (!isfinite(alpha))
		return err_set(r->e, "%s: adapter.lora.alpha is no number", r->g->path);
	if (pair_tensors(r) < 0 || !(*config = make_config(r, alpha)))
		return -1;
	if (read_invocation(r, *config) < 0)
		return -1;
	r->s->by_name = arena_array(&r->s->mem, r->s->n_tensors, sizeof(*r->s->by_name));
	for (size_t i = 0; i < r->s->n_tensors; i++)
		r->s->by_name[i] = &r->s->tensors[i];
	qsort(r->s->by_name, r->s->n_tensors, sizeof(*r->s->by_name), by_name);
	return r->s->n_tensors ? 0 : err_set(r->e, "%s: no tensors", r->g->path);
}

int gguf_adapter_read(json_t **config, struct safetensors *s, const struct gguf *g, const struct model *m,
                      struct err *e)
{
	*config = NULL;
	*s = (struct safetensors){ 0 };
	s->path = arena_strdup(&s->mem, g->path);
	s->tensors = arena_array(&s->mem, 2 * (m->n_weights + 1), sizeof(*s->tensors));
	struct reading r = {
		.g = g, .m = m, .s = s, .e = e, .pairs = arena_array(&s->mem, m->n_weights + 1, sizeof(*r.pairs))
	};
	if (read_adapter(&r, config) == 0)
		return 0;
	json_decref(*config);
	*config = NULL;
	st_close(s);
	return -1;
}

int gguf_adapter_open(json_t **config, struct safetensors *s, const char *path, const struct model *m, struct err *e)
{
	struct gguf g;
	*config = NULL;
	*s = (struct safetensors){ 0 };
	if (gguf_open(&g, path, e) < 0)
		return -1;
	int status = gguf_adapter_read(config, s, &g, m, e);
	if (status == 0) { /* its tensors point into the mapping */
		s->map = g.map;
		g.map = (struct mapping){ 0 };
	}
	gguf_close(&g);
	return status;
}

/* --- writing --- */

struct writing {
	const struct adapter *a;
	const struct model *m;
	const struct adapter_factors *pairs;
	size_t n_pairs;
	const struct adapter_factors **of; /* [n] what tensors 2i and 2i + 1 are of, of experts one of them */
	size_t n;
	double alpha;
	enum dtype dtype;
	float *scratch;
};

/* The weight, NULL: it is no expert's. */
static const struct weight *expert_of(const struct writing *x, const struct adapter_factors *p)
{
	const struct weight *w = (size_t)p->weight < x->m->n_weights ? &x->m->weights[p->weight] : NULL;

	return w && w->expert >= 0 ? w : NULL;
}

/* One tensor for each pair, and for the experts of a layer. */
static void list_tensors(struct writing *x)
{
	for (size_t i = 0; i < x->n_pairs; i++) {
		const struct weight *w = expert_of(x, &x->pairs[i]);
		bool listed = false;
		for (size_t k = 0; w && k < x->n && !listed; k++) {
			const struct weight *other = expert_of(x, x->of[k]);
			listed = other && other->spec == w->spec && other->layer == w->layer;
		}
		if (!listed)
			x->of[x->n++] = &x->pairs[i];
	}
}

static void fill_pair(const struct writing *x, const struct adapter_factors *p, size_t i, void *out)
{
	const struct param *param = &x->a->overlay.params.items[i % 2 ? p->b : p->a];
	float *w = x->scratch, factor = (float)(p->scale * (double)p->r / x->alpha);
	memcpy(w, x->a->overlay.params.w + param->offset, param->n * sizeof(*w));
	if (i % 2) {
		/* A model from a GGUF has its rows in that order already. */
		struct row_order order = weight_row_order(x->m, p->weight);
		if (order.kind != ROWS_ALIKE && !x->m->source.is_gguf)
			weight_permute_rows(w, param->dim[0], param->n / param->dim[0], order, false);
		for (size_t k = 0; k < param->n && factor != 1; k++)
			w[k] *= factor;
	}
	dtypes[x->dtype].from_float(w, out, param->n);
}

/* Of experts that nothing is added to, zeros. */
static void fill(void *ctx, size_t i, void *out)
{
	const struct writing *x = ctx;
	const struct adapter_factors *p = x->of[i / 2];
	const struct weight *w = expert_of(x, p);
	size_t bytes = x->a->overlay.params.items[i % 2 ? p->b : p->a].n * dtypes[x->dtype].bytes;

	for (int e = 0; w && e < (int)weight_experts(&x->m->config, w->spec); e++) {
		const struct adapter_factors *own = adapter_pair_of(x->pairs, x->n_pairs, p->weight - w->expert + e);
		if (own)
			fill_pair(x, own, i, (char *)out + (size_t)e * bytes);
		else
			memset((char *)out + (size_t)e * bytes, 0, bytes);
	}
	if (!w)
		fill_pair(x, p, i, out);
}

static int refuse(struct err *e, const char *what)
{
	return err_set(e, "%s; a GGUF adapter has no place for that, kungfu merge works it into the weights", what);
}

/* What an activated LoRA waits for has a place there. */
static int check_adapter(const struct adapter *a, const struct model *m, size_t n, struct err *e)
{
	struct adapter plain = *a;
	if (!m->config.arch->gguf)
		return err_set(e, "models of the kind %s have no GGUF here", m->config.arch->name);
	plain.no_pairs = a->overlay.invocation.n ? NULL : a->no_pairs;
	enum adapter_more more = adapter_more(&plain, m);
	if (more == PAIRS_HINDERED)
		return refuse(e, a->no_pairs);
	if (!a->type->merge)
		return err_set(e, "an adapter of the type %s has no place in GGUF", a->type->name);
	if (!a->type->gguf_type || n == 0)
		return refuse(e, "the adapter is not of low rank");
	if (more == PAIRS_AND_BASE)
		return refuse(e, "the adapter brings numbers of its own for what it adds to");
	return more == PAIRS_ALONE ? 0 : refuse(e, "the adapter saves modules whole");
}

static int describe(struct arena *mem, const struct writing *x, struct gguf_tensor *t, struct err *e)
{
	for (size_t i = 0; i < 2 * x->n; i++) {
		const struct adapter_factors *p = x->of[i / 2];
		const struct param *param = &x->a->overlay.params.items[i % 2 ? p->b : p->a];
		struct weight tied;
		const struct weight *w = weight_at(x->m, (size_t)p->weight, &tied);
		const char *name = weight_gguf_name(mem, w);
		if (x->m->config.tied && (p->weight == (int)x->m->n_weights || p->weight == model_head(x->m)))
			return refuse(e, "the adapter adds to the embedding or the head of a model that has one matrix "
			                 "for both");
		if (!name)
			return err_set(e, "%s has no name in GGUF", w->name);
		size_t experts = w->expert >= 0 ? (size_t)weight_experts(&x->m->config, w->spec) : 0;
		t[i] = (struct gguf_tensor){ .name = arena_printf(mem, "%s.lora_%c", name, i % 2 ? 'b' : 'a'),
			                     .dtype = x->dtype,
			                     .n_dims = experts ? 3 : 2,
			                     .dim = { param->dim[1], param->dim[0], experts } };
		if (dtype_bytes(x->dtype, param->n * MAX(experts, 1), &t[i].bytes, e) < 0)
			return -1;
	}
	return 0;
}

/* The alpha that makes alpha/r the scale of every pair; where there is none, the first one's. */
static double alpha_of(const struct adapter_factors *pairs)
{
	double alpha = pairs[0].scale * (double)pairs[0].r;
	return alpha != 0 ? (double)(float)alpha : 1;
}

static int write_file(const struct writing *x, const char *path, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct gguf_meta meta = { 0 };
	const struct invocation *invocation = &x->a->overlay.invocation;
	struct gguf_tensor *t = arena_array(&mem, 2 * x->n, sizeof(*t));
	int status = describe(&mem, x, t, e);
	if (status == 0) {
		gguf_put_str(&meta, "general.architecture", x->m->config.arch->gguf);
		gguf_put_str(&meta, "general.type", "adapter");
		gguf_put_str(&meta, "adapter.type", x->a->type->gguf_type);
		gguf_put_f32(&meta, "adapter.lora.alpha", (float)x->alpha);
		if (invocation->n)
			gguf_put_numbers(&meta, INVOCATION, GGUF_U32, invocation->ids, (size_t)invocation->n);
		gguf_put_u32(&meta, "general.file_type", x->dtype == DTYPE_F16 ? 1 : 0);
		gguf_put_u32(&meta, "general.quantization_version", 2);
		status = gguf_write(path, &meta, t, 2 * x->n, fill, (void *)x, e);
	}
	buf_release(&meta.bytes);
	arena_release(&mem);
	return status;
}

int gguf_adapter_save(const struct adapter *a, const struct model *m, const char *path, enum dtype dtype, struct err *e)
{
	struct adapter_factors *pairs = mem_array(m->n_weights + 1, sizeof(*pairs));
	const struct param *items = a->overlay.params.items;
	size_t n = a->type->pairs ? a->type->pairs(a, pairs) : 0, largest = 0;
	void *scratch = NULL;
	int status = check_adapter(a, m, n, e);

	for (size_t i = 0; i < n; i++)
		largest = MAX(largest, MAX(items[pairs[i].a].n, items[pairs[i].b].n) * sizeof(float));
	if (status == 0)
		status = mem_map(&scratch, largest, "a tensor to be written", e);
	if (status == 0) {
		struct writing x = { .a = a, .m = m, .pairs = pairs, .n_pairs = n, .alpha = alpha_of(pairs),
			             .dtype = dtype, .scratch = scratch, .of = mem_array(n, sizeof(*x.of)) };
		list_tensors(&x);
		status = write_file(&x, path, e);
		mem_free(x.of);
		mem_unmap(scratch, largest);
	}
	mem_free(pairs);
	return status;
}
