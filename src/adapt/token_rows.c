/* token_rows: see token_rows.h. The rows are kept in the order in which the tokens are named, as PEFT has them. */
#include "adapt/token_rows.h"

#include <stdlib.h>
#include <string.h>

#include "adapt/peft_config.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/weights.h"

/* --- adding --- */

json_t *token_rows_list(const char *text, const char *option, struct err *e)
{
	json_t *list = json_array();

	for (const char *at = text ? text : ""; *at; at += strspn(at, ", \t")) {
		char *end;
		long id = strtol(at, &end, 10);
		if (end == at || (*end && !strchr(", \t", *end))) {
			json_decref(list);
			err_set(e, "--%s: '%.40s' is no number of a token; kungfu tokenize shows them", option, at);
			return NULL;
		}
		json_array_append_new(list, json_integer(id));
		at = end;
	}
	if (json_array_size(list))
		return list;
	json_decref(list);
	err_set(e, "no tokens were named: --%s LIST, as 5,17; kungfu tokenize shows a text's", option);
	return NULL;
}

json_t *token_rows_with_new(json_t *list, const struct model *m)
{
	if (m->n_new && !json_is_array(list)) {
		json_decref(list);
		list = json_array();
	}
	for (int i = 0; i < m->n_new; i++) {
		bool there = false;
		for (size_t k = 0; k < json_array_size(list); k++)
			there |= json_integer_value(json_array_get(list, k)) == m->first_new + i;
		if (!there)
			json_array_append_new(list, json_integer(m->first_new + i));
	}
	return list;
}

static int read_tokens(struct adapter *a, const struct model *m, const json_t *list, struct token_site *s,
                       struct err *e)
{
	size_t i, V = (size_t)m->config.V;
	json_t *entry;
	int32_t *tokens = arena_array(&a->mem, json_array_size(list), sizeof(*tokens));
	uint8_t *seen = mem_array(V, 1);
	int status = json_array_size(list) ? 0 : err_set(e, "token_indices is no list of tokens' numbers");

	json_array_foreach(list, i, entry) {
		json_int_t id = json_is_integer(entry) ? json_integer_value(entry) : -1;
		if (status == 0 && (id < 0 || (size_t)id >= V))
			status = err_set(e, "token_indices: number %zu is no token of this model, which has 0 to %zu",
			                 i + 1, V - 1);
		else if (status == 0 && seen[id])
			status = err_set(e, "token_indices: %lld stands there twice", (long long)id);
		if (status == 0)
			seen[tokens[i] = (int32_t)id] = 1;
	}
	mem_free(seen);
	s->tokens = tokens;
	s->n = json_array_size(list);
	return status;
}

static int add_fixed(struct adapter *a, const char *what, int n_dims, const size_t *dim)
{
	char *name = mem_printf("token_rows.%s.%zu", what, a->overlay.fixed.n_items);
	int item = params_add(&a->overlay.fixed, name, n_dims, dim, -1);

	mem_free(name);
	return item;
}

/* The constants of a site, by whether it is looked up or multiplied with. */
static void add_site(struct token_rows *t, struct adapter *a, const struct model *m, struct token_site s)
{
	size_t V = (size_t)m->config.V, C = (size_t)m->config.C;
	bool looked_up = weight_is_embedding(m, s.weight);

	s.slot = looked_up ? add_fixed(a, "slot", 1, &V) : -1;
	s.minus = looked_up ? -1 : add_fixed(a, "minus", 2, (size_t[]){ s.n, C });
	s.up = looked_up ? -1 : add_fixed(a, "up", 2, (size_t[]){ V, s.n });
	if (t->n == TOKEN_SITES)
		BUG("rows of more than an embedding and a head");
	t->site[t->n++] = s;
}

int token_rows_add(struct token_rows *t, struct adapter *a, const struct model *m, int weight, const json_t *list,
                   const char *name, struct err *e)
{
	static const struct file_layout plain = { .rows_of = -1 };
	struct token_site s = { .weight = weight };

	if (read_tokens(a, m, list, &s, e) < 0)
		return -1;
	s.param = adapter_param(a, name, 2, (size_t[]){ s.n, (size_t)m->config.C }, -1, plain);
	a->overlay.params.items[s.param].role = PARAM_EMBEDDING;
	add_site(t, a, m, s);
	if (m->config.tied && weight == model_head(m)) {
		s.weight = (int)m->n_weights;
		add_site(t, a, m, s);
	} else if (weight == (int)m->n_weights) {
		a->parts = true;
	}
	return 0;
}

/* The embedding or the head that the module's name means by its end; −1: neither. */
static int end_named(struct adapter *a, const struct model *m, const char *name)
{
	int embedding = model_weight(m, m->config.arch->embedding, -1);
	const char *module = weight_module(&a->mem, m->config.arch->embedding);

	if (text_ends(module, name))
		return embedding;
	return !m->config.tied && text_ends(weight_module(&a->mem, m->config.arch->head), name) ? model_head(m) : -1;
}

static int add_beside(struct token_rows *t, struct adapter *a, const struct model *m, int weight, const json_t *list,
                      struct err *e)
{
	const char *module = weight_module(&a->mem, m->weights[weight].name), *prefix = peft_name(a, module, "");

	for (size_t i = 0; i < a->overlay.params.n_items; i++)
		if (!strncmp(a->overlay.params.items[i].name, prefix, strlen(prefix)))
			return err_set(e, "trainable_token_indices: '%s' is adapted or saved whole already",
			               module);
	return token_rows_add(t, a, m, weight, list, peft_name(a, module, "token_adapter.trainable_tokens_delta"), e);
}

int token_rows_beside(struct token_rows *t, struct adapter *a, const struct model *m, struct err *e)
{
	const json_t *v = json_object_get(a->config, "trainable_token_indices");
	const char *key;
	json_t *list;

	if (!v || json_is_null(v))
		return 0;
	if (json_is_array(v))
		return add_beside(t, a, m, model_weight(m, m->config.arch->embedding, -1), v, e);
	if (!json_is_object(v))
		return peft_refuse("trainable_token_indices", v, e);
	json_object_foreach((json_t *)(uintptr_t)v, key, list) {
		int weight = end_named(a, m, key);
		if (weight < 0)
			return err_set(e, "trainable_token_indices: '%.80s' is neither the embedding nor a head of its "
			               "own", key);
		if (add_beside(t, a, m, weight, list, e) < 0)
			return -1;
	}
	return 0;
}

/* --- numbers --- */

/* Row `row` of the matrix that the site's module has in the model. */
static void own_row(const struct model *m, const struct token_site *s, int32_t row, float *out)
{
	const struct weight *w = weight_or_head(m, s->weight);
	const struct dtype_info *d = &dtypes[w->dtype];
	size_t C = w->dim[1], bytes = C / d->block * d->bytes;

	d->to_float((const char *)w->data + (size_t)row * bytes, out, C);
}

int token_rows_seal(struct token_rows *t, struct adapter *a, const struct model *m, struct err *e)
{
	struct params *f = &a->overlay.fixed;
	size_t C = (size_t)m->config.C;

	if (t->n == 0)
		return 0;
	if (params_seal(f, e) < 0)
		return -1;
	for (int i = 0; i < t->n; i++) {
		const struct token_site *s = &t->site[i];
		for (size_t j = 0; j < s->n; j++) {
			if (s->slot >= 0) {
				f->w[f->items[s->slot].offset + (size_t)s->tokens[j]] = (float)(j + 1);
				continue;
			}
			float *row = f->w + f->items[s->minus].offset + j * C;
			own_row(m, s, s->tokens[j], row);
			for (size_t c = 0; c < C; c++)
				row[c] = -row[c];
			f->w[f->items[s->up].offset + (size_t)s->tokens[j] * s->n + j] = 1;
		}
	}
	return 0;
}

void token_rows_fill(const struct token_rows *t, struct adapter *a, const struct model *m)
{
	struct params *p = &a->overlay.params;
	size_t C = (size_t)m->config.C;

	for (int i = 0; i < t->n; i++)
		for (size_t j = 0; j < t->site[i].n; j++)
			own_row(m, &t->site[i], t->site[i].tokens[j],
			        p->w + p->items[t->site[i].param].offset + j * C);
}

/* --- use --- */

static const struct token_site *site_of(const struct token_rows *t, int w)
{
	for (int i = 0; i < t->n; i++)
		if (t->site[i].weight == w)
			return &t->site[i];
	return NULL;
}

uint32_t token_rows_lookup(const struct token_rows *t, struct graph *g, const struct overlay *o, int w,
                           enum embed_source source, uint32_t table)
{
	const struct token_site *s = site_of(t, w);

	if (!s || s->slot < 0)
		return TENSOR_NONE;
	return op_embed_some(g->tape, table, nn_fixed(g, o, s->slot), nn_param(g, o, s->param), source,
	                     nn_spare(g, source));
}

void token_rows_linear(const struct token_rows *t, struct graph *g, const struct overlay *o, int w, struct linear *l)
{
	const struct token_site *s = site_of(t, w);
	int k = 0;

	if (!s || s->up < 0)
		return;
	uint32_t own = op_linear(g->tape, &(struct linear){ .x = l->x, .w = nn_fixed(g, o, s->minus) });
	uint32_t u = op_linear(g->tape, &(struct linear){ .x = l->x, .w = nn_param(g, o, s->param), .residual = own });
	while (l->term[k].u)
		k++;
	l->term[k] = (struct linear_term){ u, nn_fixed(g, o, s->up) };
}

void token_rows_merge(const struct token_rows *t, const struct adapter *a, const struct model *m, int weight, float *w)
{
	const struct token_site *s = site_of(t, weight);
	const struct params *p = &a->overlay.params;
	size_t C = (size_t)m->config.C;

	for (size_t j = 0; s && j < s->n; j++)
		memcpy(w + (size_t)s->tokens[j] * C, p->w + p->items[s->param].offset + j * C, C * sizeof(*w));
}
