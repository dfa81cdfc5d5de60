/* config_gguf: facts as GGUF's metadata, by the same rows that read them.
 *
 * Numbers are u32 and f32, as llama.cpp's converter writes them. Not every fact has a word there (which layers see a
 * window, what a query is divided by …): therefore whoever writes a file reads its metadata again and compares. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "format/gguf_write.h"
#include "model/config_rows.h"

static void put_word(struct gguf_meta *meta, const struct config *c, const char *key, const char *words)
{
	json_t *word = config_first_word(words);
	int64_t x = json_is_string(word) ? config_value(c, words, strcspn(words, " ")) : -1;

	if (json_is_boolean(word))
		gguf_put_bool(meta, key, json_is_true(word));
	else if (json_is_integer(word) || x >= 0)
		gguf_put_u32(meta, key, (uint32_t)(x >= 0 ? x : json_integer_value(word)));
	else
		gguf_put_str(meta, key, json_string_value(word));
	json_decref(word);
}

/* A row's value; one that the model is without, and a flag, which is a tensor's presence, are not written. */
static void put_row(struct gguf_meta *meta, const struct config *c, const struct config_field *f)
{
	char key[160];

	snprintf(key, sizeof(key), "%s.%s", c->arch->gguf, f->gguf);
	switch (f->kind) {
	case CONFIG_KIND_INT:
		if (*(const int *)config_place(c, f))
			gguf_put_u32(meta, key, (uint32_t)*(const int *)config_place(c, f));
		return;
	case CONFIG_KIND_REAL:
		if (*(const double *)config_place(c, f) > 0)
			gguf_put_f32(meta, key, (float)*(const double *)config_place(c, f));
		return;
	case CONFIG_KIND_IS:
		put_word(meta, c, key, f->gguf_init);
		return;
	case CONFIG_KIND_FLAG: case CONFIG_KIND_LAYERS: case CONFIG_KIND_THESE: case CONFIG_KIND_EACH:
	case CONFIG_KIND_ALSO: case CONFIG_KIND_HARMLESS:
		return;
	}
}

void config_put_gguf(struct gguf_meta *meta, const struct config *c)
{
	struct config_walk w = { .tables = c->arch->fields };
	const struct config_field *f;
	bool original = false;
	char key[160];

	snprintf(key, sizeof(key), "%s.vocab_size", c->arch->gguf);
	gguf_put_u32(meta, key, (uint32_t)c->V);
	while ((f = config_next(&w))) {
		if (f->gguf)
			put_row(meta, c, f);
		original |= f->gguf && !strcmp(f->gguf, "rope.scaling.original_context_length");
	}
	if (c->rope.dims > 0)
		rope_put_gguf(meta, c->arch->gguf, &c->rope_scaling, &c->rope, !original, c->n_ctx);
}

/* --- comparing --- */

static bool near(double a, double b) { return fabs(a - b) <= 1e-6 * fabs(a); }

/* A row whose letter only says which layers are what: the layers are compared. */
static bool says_layers(const struct config *c, const struct config_field *row)
{
	struct config_walk w = { .tables = c->arch->fields };
	const struct config_field *f;

	while ((f = config_next(&w)))
		if ((f->kind == CONFIG_KIND_LAYERS || f->kind == CONFIG_KIND_THESE) && row->letter && f->every &&
		    *f->every == row->letter)
			return true;
	return false;
}

static bool is_alike(const struct config *a, const struct config *b, const struct config_field *f)
{
	const void *x = config_place(a, f), *y = config_place(b, f);

	if (f->unsaid)
		return true;
	switch (f->kind) {
	case CONFIG_KIND_INT: return *(const int *)x == *(const int *)y || says_layers(a, f);
	case CONFIG_KIND_REAL: return near(*(const double *)x, *(const double *)y);
	case CONFIG_KIND_FLAG: return *(const bool *)x == *(const bool *)y;
	case CONFIG_KIND_LAYERS: case CONFIG_KIND_THESE:
		return !memcmp(x, y, (size_t)MIN(a->n_layers, CONFIG_LAYERS_MAX));
	default: return true;
	}
}

static bool turns_alike(const struct rope *a, const struct rope *b)
{
	for (int i = 0; i < a->dims / 2; i++)
		if (fabsf(a->frequency[i] - b->frequency[i]) > 1e-5F * fabsf(a->frequency[i]))
			return false;
	return a->dims == b->dims && near((double)a->scale, (double)b->scale);
}

int config_check_alike(const struct config *wanted, const struct config *read, const char *where, struct err *e)
{
	struct config_walk w = { .tables = wanted->arch->fields };
	const struct config_field *f;

	while ((f = config_next(&w))) {
		if (is_alike(wanted, read, f))
			continue;
		json_t *value = config_value_json(wanted, f);
		char *text = jsonx_line(value);
		err_set(e, "%s: GGUF's files of %s have no word for %s as this model has it (%.80s)", where,
		        wanted->arch->name, f->hf ? f->hf : f->gguf, text);
		mem_free(text);
		json_decref(value);
		return -1;
	}
	if (!turns_alike(&wanted->rope, &read->rope))
		return err_set(e, "%s: GGUF's files of %s have no word for its rotary positions", where,
		               wanted->arch->name);
	return 0;
}
