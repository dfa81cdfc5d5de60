/* config: walks an architecture's tables over one open file, and back into a config.json. See config.h.
 *
 * GGUF's reals are f32; they come back as the shortest decimal that is the same f32, so that 1e-05 of a config.json is
 * 1e-05 again. */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "format/quantized.h"
#include "model/config_known.h"
#include "model/config_rows.h"
#include "model/weights.h"

/* --- tables --- */

static bool same_key(const struct config_field *a, const struct config_field *b)
{
	if (a->hf || b->hf)
		return a->hf && b->hf && !strcmp(a->hf, b->hf);
	return a->gguf && b->gguf && !strcmp(a->gguf, b->gguf);
}

static const struct config_field *find_key(const struct config_field *table, const struct config_field *like)
{
	while (table->kind && !same_key(table, like))
		table++;
	return table->kind ? table : NULL;
}

const struct config_field *config_next(struct config_walk *w)
{
	for (; w->tables[w->table]; w->table++, w->row = 0)
		while (w->tables[w->table][w->row].kind) {
			const struct config_field *f = &w->tables[w->table][w->row++], *later;
			bool seen = false;
			for (size_t i = 0; i < w->table && !seen; i++)
				seen = find_key(w->tables[i], f) != NULL;
			for (size_t i = w->table + 1; w->tables[i]; i++)
				f = (later = find_key(w->tables[i], f)) ? later : f;
			if (!seen)
				return f;
		}
	return NULL;
}

void *config_place(const struct config *c, const struct config_field *f)
{
	return (char *)(f->own ? c->own : (void *)(uintptr_t)c) + f->at;
}

/* --- expressions --- */

/* A row that stands in an earlier one's place has its letter too, so any of them will do. */
static const struct config_field *find_letter(const struct config *c, char letter)
{
	for (const struct config_field *const *table = c->arch->fields; *table; table++)
		for (const struct config_field *f = *table; f->kind; f++)
			if (f->letter == letter)
				return f;
	return NULL;
}

static int64_t letter_value(const struct config *c, char letter)
{
	const struct config_field *f = find_letter(c, letter);

	if (!f)
		return letter == 'Y' ? c->labels : -1;
	return f->kind == CONFIG_KIND_FLAG ? *(const bool *)config_place(c, f) : *(const int *)config_place(c, f);
}

/* One factor at *at, which goes on behind it. */
static int64_t factor(const struct config *c, const char *s, size_t n, size_t *at)
{
	int64_t x = 0;

	if (s[*at] < '0' || s[*at] > '9')
		return letter_value(c, s[(*at)++]);
	for (; *at < n && s[*at] >= '0' && s[*at] <= '9' && x <= CONFIG_MAX; (*at)++)
		x = 10 * x + (s[*at] - '0');
	return x;
}

int64_t config_value(const struct config *c, const char *expression, size_t n)
{
	int64_t sum = 0, product = 1;

	for (size_t at = 0; at < n;) {
		if (expression[at] == '+') {
			product = 1;
			at++;
		}
		while (at < n && expression[at] != '+') {
			int64_t x = factor(c, expression, n, &at);
			if (x < 0)
				return -1;
			if (__builtin_mul_overflow(product, x, &product))
				product = INT64_MAX;
		}
		if (__builtin_add_overflow(sum, product, &sum))
			sum = INT64_MAX;
	}
	return sum;
}

static bool none_is_meant(const struct config_field *f, const json_t *value)
{
	return f->maybe && (json_is_null(value) || (f->zero && json_is_number(value) && json_number_value(value) == 0));
}

/* The name by which the file's reader knows a quotient's side. */
static const char *name_of(const struct config *c, const char *side, size_t n)
{
	const struct config_field *f = n == 1 ? find_letter(c, *side) : NULL;

	return f && f->hf ? f->hf : "";
}

static int default_int(const struct config *c, const char *init, const char *where, int64_t *out, struct err *e)
{
	const char *slash = strchr(init, '/');
	size_t n = slash ? (size_t)(slash - init) : strlen(init);

	*out = config_value(c, init, n);
	if (*out >= 0 && slash) {
		int64_t by = config_value(c, slash + 1, strlen(slash + 1));
		if (by > 0 && *out % by)
			return err_set(e, "%s: %s %lld is no multiple of %s %lld", where, name_of(c, init, n),
			               (long long)*out, name_of(c, slash + 1, strlen(slash + 1)), (long long)by);
		*out = by > 0 ? *out / by : -1;
	}
	if (*out < 0)
		BUG("the default %s", init);
	return 0;
}

/* --- values --- */

static int in_range(int64_t x, const char *key, const char *where, int *out, struct err *e)
{
	if (x < 1 || x > CONFIG_MAX)
		return err_set(e, "%s: %s is %lld, wanted a number from 1 to %d", where, key, (long long)x, CONFIG_MAX);
	*out = (int)x;
	return 0;
}

static int positive(double x, const char *key, const char *where, double *out, struct err *e)
{
	if (!(x > 0) || isinf(x))
		return err_set(e, "%s: %s is missing or not above 0", where, key);
	*out = x;
	return 0;
}

int config_real(const json_t *j, const char *key, double init, double *out, const char *where, struct err *e)
{
	double x;

	if (jsonx_real(j, key, init, &x, e) < 0)
		return err_prefix(e, "%s", where);
	return positive(x, key, where, out, e);
}

double config_shortest(double x)
{
	char text[40];

	for (int digits = 6; digits <= 9; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, x);
		if ((float)strtod(text, NULL) == (float)x)
			return strtod(text, NULL);
	}
	return x;
}

/* --- what is computed in one way only --- */

/* A word that is no number is an expression to a number. */
static bool is_word(const struct config *c, const json_t *value, const char *word, size_t n)
{
	char *end;

	if (setting_is_word(value, word, n))
		return true;
	strtod(word, &end);
	return json_is_number(value) && end < word + n && json_number_value(value) == (double)config_value(c, word, n);
}

static bool is_any(const struct config *c, const json_t *value, const char *words)
{
	for (size_t n; *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		if (is_word(c, value, words, n))
			return true;
	}
	return false;
}

static int check_is(const struct config *c, const json_t *value, const char *key, const char *words, const char *where,
                    struct err *e)
{
	int n = (int)strcspn(words, " ");
	const char *quote = json_is_string(value) ? "\"" : "";

	if (!value || json_is_null(value) || is_any(c, value, words))
		return 0;
	char *found = jsonx_line(value);
	int64_t number = json_is_number(value) ? config_value(c, words, (size_t)n) : -1;
	if (!strcmp(words, "false") || !strcmp(words, "true"))
		err_set(e, "%s: %s is %.80s, this architecture is computed with%s", where, key, found,
		        *words == 't' ? " it" : "out");
	else if (number >= 0)
		err_set(e, "%s: %s is %.80s, this architecture is computed with %lld", where, key, found,
		        (long long)number);
	else
		err_set(e, "%s: %s is %.80s, this architecture is computed with %s%.*s%s", where, key, found, quote, n,
		        words, quote);
	mem_free(found);
	return -1;
}

int config_is(const struct config *c, const json_t *j, const char *key, const char *words, const char *where,
              struct err *e)
{
	return check_is(c, json_object_get(j, key), key, words, where, e);
}

/* --- config.json --- */

/* The name by which the file calls a fact: the last of its other names that it has, else its own. */
static const char *key_of(const struct config *c, const struct config_field *f, const json_t *j)
{
	const char *key = f->hf;

	for (const struct config_field *const *table = c->arch->fields; *table; table++)
		for (const struct config_field *other = *table; other->kind; other++)
			if (other->kind == CONFIG_KIND_ALSO && !strcmp(other->hf_init, f->hf) &&
			    json_object_get(j, other->hf))
				key = other->hf;
	return key;
}

static int read_hf_int(struct config *c, const struct config_field *f, const struct config_source *s,
                       struct err *e)
{
	const char *key = key_of(c, f, s->json);
	const json_t *value = json_object_get(s->json, key);
	int64_t init = 0;
	long long x;

	if (none_is_meant(f, value)) {
		*(int *)config_place(c, f) = 0;
		return 0;
	}
	if ((!value || json_is_null(value)) && f->hf_init && default_int(c, f->hf_init, s->where, &init, e) < 0)
		return -1;
	if (f->maybe && !value && f->hf_init && init == 0) {
		*(int *)config_place(c, f) = 0;
		return 0;
	}
	if (jsonx_int(s->json, key, init, &x, e) < 0)
		return err_prefix(e, "%s", s->where);
	return in_range(x, key, s->where, config_place(c, f), e);
}

static int check_each(const struct config *c, const struct config_field *f, const struct config_source *s,
                      struct err *e)
{
	const json_t *list = json_object_get(s->json, f->hf);
	size_t i;
	json_t *item;

	if (list && !json_is_null(list) && !json_is_array(list))
		return err_set(e, "%s: %s is no list", s->where, f->hf);
	json_array_foreach((json_t *)(uintptr_t)list, i, item)
		if (check_is(c, item, f->hf, f->hf_init, s->where, e) < 0)
			return -1;
	return 0;
}

/* Word number of a value, −1: none of them. */
static int word_number(const struct config *c, const json_t *value, const char *words)
{
	for (int i = 0; *words; i++) {
		size_t n = strcspn(words, " ");
		if (is_word(c, value, words, n))
			return i;
		words += n + (words[n] == ' ');
	}
	return -1;
}

static bool is_of_layers(const struct config_field *f)
{
	return f->kind == CONFIG_KIND_LAYERS || f->kind == CONFIG_KIND_THESE;
}

static void default_layers(struct config *c, const struct config_field *f)
{
	int64_t every = config_value(c, f->every, strlen(f->every));
	uint8_t *kind = config_place(c, f);

	if (every < 0)
		BUG("%s: every %s-th layer", f->hf, f->every);
	for (int i = 0; i < MIN(c->n_layers, CONFIG_LAYERS_MAX); i++)
		kind[i] = every == 0 || (i + 1) % every != 0;
}

static int read_layers(struct config *c, const struct config_field *f, const struct config_source *s, struct err *e)
{
	const json_t *list = json_object_get(s->json, f->hf);
	uint8_t *kind = config_place(c, f);

	default_layers(c, f);
	if (!list || json_is_null(list))
		return 0;
	if (json_array_size(list) < (size_t)c->n_layers)
		return err_set(e, "%s: %s is no list of %d words, one for each layer", s->where, f->hf, c->n_layers);
	for (int i = 0; i < MIN(c->n_layers, CONFIG_LAYERS_MAX); i++) {
		int word = word_number(c, json_array_get(list, (size_t)i), f->hf_init);
		if (word < 0)
			return check_is(c, json_array_get(list, (size_t)i), f->hf, f->hf_init, s->where, e);
		kind[i] = (uint8_t)word;
	}
	return 0;
}

static int read_these(struct config *c, const struct config_field *f, const struct config_source *s, struct err *e)
{
	const json_t *list = json_object_get(s->json, f->hf);
	uint8_t *kind = config_place(c, f);
	size_t i;
	json_t *item;

	default_layers(c, f);
	if (list && !json_is_null(list) && !json_is_array(list))
		return err_set(e, "%s: %s is no list of layers' numbers", s->where, f->hf);
	json_array_foreach((json_t *)(uintptr_t)list, i, item) {
		json_int_t layer = json_integer_value(item);
		if (!json_is_integer(item))
			return err_set(e, "%s: %s is no list of layers' numbers", s->where, f->hf);
		if (layer >= 0 && layer < MIN(c->n_layers, CONFIG_LAYERS_MAX))
			kind[layer] = 1;
	}
	return 0;
}

static int read_hf_real(struct config *c, const struct config_field *f, const struct config_source *s, struct err *e)
{
	double *at = config_place(c, f), init = f->hf_init ? strtod(f->hf_init, NULL) : NAN;

	if (none_is_meant(f, json_object_get(s->json, f->hf)) ||
	    (f->maybe && init == 0 && !json_object_get(s->json, f->hf))) {
		*at = 0;
		return 0;
	}
	if (f->maybe && json_is_number(json_object_get(s->json, f->hf)) &&
	    json_number_value(json_object_get(s->json, f->hf)) == 0) /* transformers divides by it, or clamps to it */
		return err_set(e, "%s: %s is 0, wanted a number above 0, or null for none", s->where, f->hf);
	return config_real(s->json, f->hf, init, at, s->where, e);
}

static int read_hf(struct config *c, const struct config_field *f, const struct config_source *s, struct err *e)
{
	int flag;

	switch (f->kind) {
	case CONFIG_KIND_INT:
		return read_hf_int(c, f, s, e);
	case CONFIG_KIND_REAL:
		return read_hf_real(c, f, s, e);
	case CONFIG_KIND_FLAG:
		if (jsonx_bool(s->json, f->hf, f->hf_init && !strcmp(f->hf_init, "true"), &flag, e) < 0)
			return err_prefix(e, "%s", s->where);
		*(bool *)config_place(c, f) = flag;
		return 0;
	case CONFIG_KIND_IS:
		return config_is(c, s->json, f->hf, f->hf_init, s->where, e);
	case CONFIG_KIND_EACH:
		return check_each(c, f, s, e);
	case CONFIG_KIND_LAYERS:
		return read_layers(c, f, s, e);
	case CONFIG_KIND_THESE:
		return read_these(c, f, s, e);
	case CONFIG_KIND_ALSO: case CONFIG_KIND_HARMLESS:
		return 0;
	}
	BUG("%s: a row of kind %d", f->hf, (int)f->kind);
}

/* --- GGUF --- */

static int check_gguf_is(const struct config *c, const struct config_field *f, const struct gguf *g, const char *key,
                         struct err *e)
{
	const struct gguf_kv *kv = gguf_find(g, key);
	json_t *value = kv ? gguf_json(kv) : NULL;
	int status = check_is(c, value, key, f->gguf_init, g->path, e);

	json_decref(value);
	return status;
}

static int read_gguf_int(struct config *c, const struct config_field *f, const struct gguf *g, const char *key,
                         struct err *e)
{
	int64_t x, init = 0;

	if (f->gguf_init && !gguf_find(g, key) && default_int(c, f->gguf_init, g->path, &init, e) < 0)
		return -1;
	if (gguf_int(g, key, !f->gguf_init, init, &x, e) < 0)
		return -1;
	if (f->maybe && x == 0) {
		*(int *)config_place(c, f) = 0;
		return 0;
	}
	return in_range(x, key, g->path, config_place(c, f), e);
}

static int read_gguf(struct config *c, const struct config_field *f, const struct gguf *g, struct err *e)
{
	char key[160];
	double real;

	snprintf(key, sizeof(key), "%s.%s", c->arch->gguf, f->gguf);
	switch (f->kind) {
	case CONFIG_KIND_INT:
		return read_gguf_int(c, f, g, key, e);
	case CONFIG_KIND_REAL:
		if (gguf_real(g, key, !f->gguf_init, f->gguf_init ? strtod(f->gguf_init, NULL) : 0, &real, e) < 0)
			return -1;
		*(double *)config_place(c, f) = 0;
		return f->maybe && real == 0 ? 0 : positive(config_shortest(real), key, g->path, config_place(c, f), e);
	case CONFIG_KIND_FLAG:
		*(bool *)config_place(c, f) = gguf_find_tensor(g, f->gguf) != NULL;
		return 0;
	case CONFIG_KIND_ALSO: case CONFIG_KIND_HARMLESS:
		return 0;
	default:
		return check_gguf_is(c, f, g, key, e);
	}
}

/* --- both --- */

/* A fact that this kind of file does not say. */
static int take_default(struct config *c, const struct config_field *f, const char *init, const char *where,
                        struct err *e)
{
	int64_t x;

	if (is_of_layers(f))
		default_layers(c, f);
	if (!init || f->kind >= CONFIG_KIND_IS)
		return 0;
	if (f->kind == CONFIG_KIND_INT) {
		if (default_int(c, init, where, &x, e) < 0)
			return -1;
		*(int *)config_place(c, f) = 0;
		return f->maybe && x == 0 ? 0 : in_range(x, init, where, config_place(c, f), e);
	}
	if (f->kind == CONFIG_KIND_REAL)
		*(double *)config_place(c, f) = strtod(init, NULL);
	else
		*(bool *)config_place(c, f) = !strcmp(init, "true");
	return 0;
}

static int read_row(struct config *c, const struct config_field *f, const struct config_source *s, struct err *e)
{
	if (s->gguf)
		return f->gguf ? read_gguf(c, f, s->gguf, e) : take_default(c, f, f->gguf_init, s->where, e);
	return f->hf ? read_hf(c, f, s, e) : take_default(c, f, f->hf_init, s->where, e);
}

static int check(const struct config *c, const char *where, struct err *e)
{
	if (c->n_layers > CONFIG_LAYERS_MAX)
		return err_set(e, "%s: %d layers, at most %d are wanted", where, c->n_layers, CONFIG_LAYERS_MAX);
	if (c->H % c->G)
		return err_set(e, "%s: %d attention heads on %d key-value heads, wanted a multiple", where, c->H, c->G);
	if (c->D % 2)
		return err_set(e, "%s: heads of %d numbers, wanted an even number", where, c->D);
	if ((int64_t)c->H * c->D > CONFIG_MAX)
		return err_set(e, "%s: %d heads of %d numbers are more than %d", where, c->H, c->D, CONFIG_MAX);
	return 0;
}

/* What a GGUF says by its tensors: rows of the vocabulary, and no head where the embedding is one. */
static int read_tensors(struct config *c, const struct gguf *g, struct err *e)
{
	const struct weight_spec *embedding = weight_spec(c->arch, c->arch->embedding),
	                         *head = weight_spec(c->arch, c->arch->head);
	const struct gguf_tensor *t = gguf_find_tensor(g, embedding->gguf);

	if (!t || t->n_dims != 2 || t->dim[1] > CONFIG_MAX)
		return err_set(e, "%s: no matrix %s", g->path, embedding->gguf);
	c->V = (int)t->dim[1];
	c->tied = !head->gguf || !gguf_find_tensor(g, head->gguf);
	return 0;
}

/* --- keys that are no facts --- */

static bool is_fact(const struct config *c, const char *key, bool gguf)
{
	for (const struct config_field *const *table = c->arch->fields; *table; table++)
		for (const struct config_field *f = *table; f->kind; f++) {
			const char *own = gguf ? f->gguf : f->hf;
			if (own && !strcmp(own, key))
				return true;
		}
	return false;
}

/* Keys of other programs' name spaces ("quantize.", "mradermacher.") are theirs. */
static int judge_kv(const struct config *c, struct settings *arch, struct settings *other, const struct gguf_kv *kv,
                    struct err *e)
{
	size_t n = strlen(c->arch->gguf);
	bool own = !strncmp(kv->key, c->arch->gguf, n) && kv->key[n] == '.';
	const char *key = own ? kv->key + n + 1 : kv->key;

	if (c->arch->encoder && (!strcmp(key, "tokenizer.ggml.add_eos_token") ||
	                         !strcmp(key, "tokenizer.ggml.add_sep_token")))
		return 0;
	if (own ? is_fact(c, key, true) : !setting_find(gguf_other_known, key) && strncmp(key, "tokenizer.", 10))
		return 0;
	json_t *value = gguf_json(kv);
	int status = settings_judge(own ? arch : other, key, value, e);
	json_decref(value);
	return status;
}

static int judge_gguf(const struct config *c, const struct gguf *g, struct err *e)
{
	struct settings arch = { .where = g->path, .table = gguf_arch_known, .numbers = true },
	                other = { .where = g->path, .table = gguf_other_known };
	int status = 0;

	for (size_t i = 0; i < g->n_kv && status == 0; i++)
		status = judge_kv(c, &arch, &other, &g->kv[i], e);
	settings_tell(&arch);
	settings_tell(&other);
	return status;
}

static int judge_json(const struct config *c, const struct config_source *s, struct err *e)
{
	struct settings known = { .where = s->where, .table = config_known, .numbers = true };
	const char *key;
	json_t *value;
	int status = 0;

	json_object_foreach((json_t *)(uintptr_t)s->json, key, value)
		if (status == 0 && !is_fact(c, key, false) && !strcmp(key, "quantization_config"))
			status = quantized_check(value, s->where, e);
		else if (status == 0 && !is_fact(c, key, false))
			status = settings_judge(&known, key, value, e);
	settings_tell(&known);
	return status;
}

/* What is said of each layer comes last: its default may be an expression of any letter. */
static int read_rows(struct config *c, const struct config_source *s, bool layers, struct err *e)
{
	struct config_walk w = { .tables = c->arch->fields };
	const struct config_field *f;

	while ((f = config_next(&w)))
		if (is_of_layers(f) == layers && read_row(c, f, s, e) < 0)
			return -1;
	return 0;
}

/* A word for each layer, whether a row reads them or not: as transformers, which takes no list of another length. */
static int check_layer_types(const struct config *c, const struct config_source *s, struct err *e)
{
	const json_t *list = json_object_get(s->json, "layer_types");

	if (!list || json_is_null(list) || (json_is_array(list) && json_array_size(list) == (size_t)c->n_layers))
		return 0;
	return err_set(e, "%s: layer_types is no list of %d words, one for each layer", s->where, c->n_layers);
}

int config_read(struct config *c, const struct config_source *s, struct err *e)
{
	c->rotary = 1;
	if (read_rows(c, s, false, e) < 0 || read_rows(c, s, true, e) < 0)
		return -1;
	if (s->gguf && read_tensors(c, s->gguf, e) < 0)
		return -1;
	if (c->arch->config && c->arch->config(c, s, e) < 0)
		return -1;
	if (check(c, s->where, e) < 0 || check_layer_types(c, s, e) < 0)
		return -1;
	return s->gguf ? judge_gguf(c, s->gguf, e) : judge_json(c, s, e);
}

/* --- writing --- */

json_t *config_first_word(const char *words)
{
	size_t n = strcspn(words, " ");

	if (!strcmp(words, "true") || !strcmp(words, "false"))
		return json_boolean(*words == 't');
	if (*words >= '0' && *words <= '9')
		return json_integer(strtoll(words, NULL, 10));
	return json_stringn(words, n);
}

static json_t *layers_json(const struct config *c, const struct config_field *f)
{
	const uint8_t *kind = config_place(c, f);
	json_t *list = json_array();

	for (int i = 0; i < MIN(c->n_layers, CONFIG_LAYERS_MAX); i++) {
		const char *word = f->hf_init;
		for (int k = 0; k < kind[i]; k++)
			word += strcspn(word, " ") + 1;
		json_array_append_new(list, config_first_word(word));
	}
	return list;
}

static json_t *these_json(const struct config *c, const struct config_field *f)
{
	const uint8_t *kind = config_place(c, f);
	json_t *list = json_array();

	for (int i = 0; i < MIN(c->n_layers, CONFIG_LAYERS_MAX); i++)
		if (kind[i])
			json_array_append_new(list, json_integer(i));
	return list;
}

static json_t *number_or_null(const struct config_field *f, double x)
{
	return f->maybe && x == 0 ? json_null() : json_real(x);
}

json_t *config_value_json(const struct config *c, const struct config_field *f)
{
	switch (f->kind) {
	case CONFIG_KIND_INT:
		return f->maybe && !*(const int *)config_place(c, f) ? json_null() :
		                                                       json_integer(*(const int *)config_place(c, f));
	case CONFIG_KIND_REAL: return number_or_null(f, *(const double *)config_place(c, f));
	case CONFIG_KIND_LAYERS: return layers_json(c, f);
	case CONFIG_KIND_THESE: return these_json(c, f);
	case CONFIG_KIND_FLAG: return json_boolean(*(const bool *)config_place(c, f));
	default: return config_first_word(f->hf_init);
	}
}

json_t *config_json(const struct config *c, struct err *e)
{
	json_t *j = json_pack("{s:[s], s:s}", "architectures", c->arch->hf_class, "model_type", c->arch->hf_types[0]);
	struct config_walk w = { .tables = c->arch->fields };
	const struct config_field *f;

	while ((f = config_next(&w)))
		if (f->hf && f->kind < CONFIG_KIND_EACH)
			json_object_set_new(j, f->hf, config_value_json(c, f));
	if (c->rope_scaling.kind != ROPE_PLAIN || c->arch->rope_told) {
		json_t *rope = rope_json(&c->rope_scaling, c->rope_theta, c->rope.dims, e);
		if (!rope) {
			json_decref(j);
			return NULL;
		}
		json_object_set_new(j, "rope_scaling", rope);
	}
	return j;
}
