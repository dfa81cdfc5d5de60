/* tokenizer_save: the three files that transformers reads a tokenizer from. Vocabulary and added tokens are
 * written from the tables, everything else as it was read (or made from GGUF's metadata). */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "token/tokenizer_parts.h"

static int by_id(const void *a, const void *b)
{
	const struct added_token *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

/* In the order of their ids: readers number those outside of the vocabulary as they come. */
static json_t *added_json(const struct tokenizer *t)
{
	json_t *list = json_array();
	struct added_token *sorted = mem_array(t->n_added, sizeof(*sorted));
	for (size_t i = 0; i < t->n_added; i++)
		sorted[i] = t->added[i];
	if (t->n_added)
		qsort(sorted, t->n_added, sizeof(*sorted), by_id);
	for (size_t i = 0; i < t->n_added; i++)
		json_array_append_new(list, json_pack("{s:i,s:o,s:b,s:b,s:b,s:b,s:b}", "id", sorted[i].id, "content",
		                                      piece_json(&t->vocab.piece[sorted[i].id]), "single_word",
		                                      sorted[i].single_word, "lstrip", sorted[i].lstrip, "rstrip",
		                                      sorted[i].rstrip, "normalized", sorted[i].normalized, "special",
		                                      sorted[i].special));
	mem_free(sorted);
	return list;
}

static json_t *model_json(const struct tokenizer *t)
{
	json_t *model = json_copy(json_object_get(t->rules, "model"));
	json_object_set_new(model, "type", json_string(t->model->type));
	t->model->save(t, model);
	return model;
}

static json_t *tokenizer_json(const struct tokenizer *t)
{
	return json_pack("{s:s,s:n,s:n,s:o,s:O,s:O,s:O,s:O,s:o}", "version", "1.0", "truncation", "padding",
	                 "added_tokens", added_json(t), "normalizer", json_object_get(t->rules, "normalizer"),
	                 "pre_tokenizer", json_object_get(t->rules, "pre_tokenizer"), "post_processor",
	                 json_object_get(t->rules, "post_processor"), "decoder", json_object_get(t->rules, "decoder"),
	                 "model", model_json(t));
}

static void set_token(json_t *map, const struct tokenizer *t, const char *key, int32_t id)
{
	if (id >= 0)
		json_object_set_new(map, key, piece_json(&t->vocab.piece[id]));
}

static json_t *special_json(const struct tokenizer *t)
{
	json_t *map = json_object();
	set_token(map, t, "bos_token", t->bos);
	set_token(map, t, "eos_token", t->eos);
	set_token(map, t, "pad_token", t->pad);
	set_token(map, t, "unk_token", t->unk);
	return map;
}

/* As it was read; with the template, which may have come from a file of its own. */
static json_t *config_json(const struct tokenizer *t)
{
	json_t *config = json_copy(t->config), *map = special_json(t);
	json_object_update_missing(config, map);
	json_decref(map);
	if (!json_object_get(config, "tokenizer_class"))
		json_object_set_new(config, "tokenizer_class", json_string("PreTrainedTokenizerFast"));
	json_object_set_new(config, "add_bos_token", json_boolean(tokenizer_front(t) >= 0));
	return config;
}

static int write_one(const char *dir, const char *name, json_t *j, struct err *e)
{
	char *path = io_join(dir, name);
	int rc = jsonx_write_file(path, j, e);
	mem_free(path);
	json_decref(j);
	return rc;
}

struct tokenizer *tokenizer_extended(const struct tokenizer *t, const char *const *texts, size_t n, const char *where,
                                     struct err *e)
{
	json_t *j = tokenizer_json(t), *config = config_json(t), *added = json_object_get(j, "added_tokens");
	struct tokenizer *out = NULL;
	size_t i = 0;

	for (; i < n; i++) {
		int32_t id = tokenizer_find(t, texts[i], strlen(texts[i]));
		size_t same = 0;
		while (strcmp(texts[same], texts[i]) != 0)
			same++;
		if (id >= 0 || same < i) {
			err_set(e, "%s: \"%.80s\" is a token already, number %d", where, texts[i],
			        id >= 0 ? id : (int)(tokenizer_size(t) + same));
			break;
		}
		json_array_append_new(added, json_pack("{s:I,s:s,s:b,s:b,s:b,s:b,s:b}", "id",
		                                       (json_int_t)(tokenizer_size(t) + i), "content", texts[i],
		                                       "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
		                                       "special", 1));
	}
	if (i == n)
		out = tokenizer_from_json(j, config, where, e);
	if (out && tokenizer_size(out) != tokenizer_size(t) + n) {
		err_set(e, "%s: its tokenizer does not number %zu new tokens behind its own %zu", where, n,
		        tokenizer_size(t));
		tokenizer_free(out);
		out = NULL;
	}
	json_decref(j);
	json_decref(config);
	return out;
}

int tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e)
{
	if (io_mkdirs(dir, e) || write_one(dir, "tokenizer.json", tokenizer_json(t), e) ||
		write_one(dir, "tokenizer_config.json", config_json(t), e))
		return -1;
	return write_one(dir, "special_tokens_map.json", special_json(t), e);
}
