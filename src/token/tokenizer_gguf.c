/* tokenizer_gguf: tokenizers from GGUF metadata (tokenizer.ggml.*; ggml's docs/gguf.md, llama.cpp's llama-vocab.cpp).
 *
 * From them the fields of a tokenizer.json are made, which the rest reads. GGUF says nothing about normalizing, so
 * nothing is normalized, as in llama.cpp. Control and unknown tokens are special; user-defined ones are added but not
 * special. */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "token/tokenizer_parts.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED };

static const struct gguf_kv *find_strings(const struct gguf *g, const char *key, struct err *e)
{
	const struct gguf_kv *kv = gguf_find(g, key);
	if (kv && kv->type == GGUF_ARRAY && kv->item_type == GGUF_STRING)
		return kv;
	err_set(e, "%s is %s, wanted a list of texts", key, kv ? "of another type" : "missing");
	return NULL;
}

static int check_text(const struct gguf_string *s, const char *what, size_t i, struct err *e)
{
	if (!utf8_valid(s->data, s->len, NULL) || (s->len && memchr(s->data, 0, s->len)))
		return err_set(e, "%s %zu is not valid UTF-8", what, i);
	return 0;
}

static int read_tokens(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	const struct gguf_kv *kv = find_strings(g, "tokenizer.ggml.tokens", e);
	if (!kv)
		return -1;
	const struct gguf_string *text = kv->items;
	for (size_t i = 0; i < kv->n_items; i++)
		if (check_text(&text[i], "token", i, e) ||
		    vocab_put(&t->vocab, text[i].data ? text[i].data : "", text[i].len, (long long)i, PIECE_MODEL, e))
			return -1;
	bpe_begin(&t->bpe, &t->vocab);
	return vocab_check_sparse(&t->vocab, e);
}

static int read_merges(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	const struct gguf_kv *kv = find_strings(g, "tokenizer.ggml.merges", e);
	if (!kv)
		return -1;
	const struct gguf_string *text = kv->items;
	for (size_t i = 0; i < kv->n_items; i++) {
		size_t n = text[i].len;
		const char *space = n > 2 ? memchr(text[i].data + 1, ' ', n - 2) : NULL;
		if (!space)
			return err_set(e, "merge %zu is \"%.*s\", wanted two texts with a space between them", i,
			               (int)MIN(n, (size_t)64), text[i].data ? text[i].data : "");
		size_t left = (size_t)(space - text[i].data);
		if (check_text(&text[i], "merge", i, e) ||
		    bpe_add_merge(&t->bpe, text[i].data, left, space + 1, n - left - 1, e))
			return -1;
	}
	return 0;
}

/* Those tokens whose type says that they are split off first. */
static json_t *added_tokens(const struct tokenizer *t, const struct gguf *g, struct err *e)
{
	const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.token_type");
	json_t *list = json_array();
	if (kv && (kv->type != GGUF_ARRAY || (kv->item_type != GGUF_I32 && kv->item_type != GGUF_U32) ||
	           kv->n_items != t->vocab.n)) {
		err_set(e, "tokenizer.ggml.token_type is not a list of %zu 32-bit integers", t->vocab.n);
		json_decref(list);
		return NULL;
	}
	for (size_t i = 0; kv && i < kv->n_items; i++) {
		int32_t type;
		memcpy(&type, (const char *)kv->items + 4 * i, sizeof(type));
		if (type == TYPE_UNKNOWN || type == TYPE_CONTROL || type == TYPE_USER_DEFINED)
			json_array_append_new(list, json_pack("{s:I,s:s,s:b,s:b}", "id", (json_int_t)i, "content",
			                                      t->vocab.piece[i].text, "special",
			                                      type != TYPE_USER_DEFINED, "normalized", 0));
	}
	return list;
}

static int add_named(json_t *config, const char *name, const struct tokenizer *t, const struct gguf *g, const char *key,
                     struct err *e)
{
	int64_t id;
	if (gguf_int(g, key, false, -1, &id, e))
		return -1;
	if (id == -1 || id == UINT32_MAX) /* −1, written unsigned by some */
		return 0;
	if (id < 0 || (uint64_t)id >= t->vocab.n || !t->vocab.piece[id].n)
		return err_set(e, "%s is %lld, but there are %zu tokens", key, (long long)id, t->vocab.n);
	json_object_set_new(config, name, json_string(t->vocab.piece[id].text));
	return 0;
}

/* The model's longest text, as transformers calls it. */
static int add_length(json_t *config, const struct gguf *g, struct err *e)
{
	const char *arch;
	int64_t length = 0;
	if (gguf_str(g, "general.architecture", false, &arch, e))
		return -1;
	char *key = mem_printf("%.64s.context_length", arch ? arch : "");
	int rc = gguf_int(g, key, false, 0, &length, e);
	if (rc == 0 && length > 0)
		json_object_set_new(config, "model_max_length", json_integer(length));
	mem_free(key);
	return rc;
}

static int make_config(json_t *config, const struct tokenizer *t, const struct gguf *g, bool add_bos, struct err *e)
{
	const char *template;
	bool add;
	if (add_named(config, "bos_token", t, g, "tokenizer.ggml.bos_token_id", e) ||
	    add_named(config, "eos_token", t, g, "tokenizer.ggml.eos_token_id", e) ||
	    add_named(config, "pad_token", t, g, "tokenizer.ggml.padding_token_id", e) ||
	    add_named(config, "unk_token", t, g, "tokenizer.ggml.unknown_token_id", e) || add_length(config, g, e) ||
	    gguf_bool(g, "tokenizer.ggml.add_bos_token", false, add_bos, &add, e) ||
	    gguf_str(g, "tokenizer.chat_template", false, &template, e))
		return -1;
	json_object_set_new(config, "add_bos_token", json_boolean(add));
	if (!template)
		return 0;
	json_t *text = json_string(template);
	if (!text)
		return err_set(e, "tokenizer.chat_template is not valid UTF-8");
	json_object_set_new(config, "chat_template", text);
	return 0;
}

/* What transformers needs to put the beginning of sequence there itself. */
static json_t *post_processor(const struct tokenizer *t, const json_t *config)
{
	const char *bos = json_string_value(json_object_get(config, "bos_token"));
	if (!bos || !json_is_true(json_object_get(config, "add_bos_token")))
		return json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0,
		                 "use_regex", 1);
	json_t *begin = json_pack("{s:{s:s,s:i}}", "SpecialToken", "id", bos, "type_id", 0);
	json_t *a = json_pack("{s:{s:s,s:i}}", "Sequence", "id", "A", "type_id", 0),
	       *b = json_pack("{s:{s:s,s:i}}", "Sequence", "id", "B", "type_id", 1);
	json_t *begin_b = json_pack("{s:{s:s,s:i}}", "SpecialToken", "id", bos, "type_id", 1);
	return json_pack("{s:s, s:[O,O], s:[o,o,o,o], s:{s:{s:s,s:[i],s:[s]}}}", "type", "TemplateProcessing", "single",
	                 begin, a, "pair", begin, a, begin_b, b, "special_tokens", bos, "id", bos, "ids",
	                 vocab_find(&t->vocab, bos, strlen(bos)), "tokens", bos);
}

static int apply(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	const char *pre;
	bool ignore_merges = false, add_bos = false;
	json_t *added = NULL, *steps = NULL, *rules = NULL;
	json_t *config =
		json_pack("{s:s,s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces", 0);
	int rc = -1;
	if (gguf_str(g, "tokenizer.ggml.pre", true, &pre, e) ||
	    !(steps = tokenizer_pre(pre, &ignore_merges, &add_bos, e)) || !(added = added_tokens(t, g, e)) ||
	    make_config(config, t, g, add_bos, e))
		goto out;
	rules = json_pack("{s:O,s:n,s:O,s:o,s:{s:s,s:b,s:b,s:b},s:{s:s,s:b}}", "added_tokens", added, "normalizer",
	                  "pre_tokenizer", steps, "post_processor", post_processor(t, config), "decoder", "type",
	                  "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type", "BPE",
	                  "ignore_merges", ignore_merges);
	rc = tokenizer_set_rules(t, rules, config, e);
out:
	json_decref(added);
	json_decref(steps);
	json_decref(rules);
	json_decref(config);
	return rc;
}

struct tokenizer *tokenizer_from_gguf(const struct gguf *g, struct err *e)
{
	struct tokenizer *t = tokenizer_new();
	const char *model;
	if (gguf_str(g, "tokenizer.ggml.model", true, &model, e))
		goto fail;
	if (strcmp(model, "gpt2") != 0) {
		err_set(e, "a tokenizer of type \"%.64s\"%s is not supported, byte-level BPE (\"gpt2\") is", model,
		        strcmp(model, "llama") == 0 ? " (SentencePiece)" :
		        strcmp(model, "bert") == 0  ? " (WordPiece)" :
		        strcmp(model, "t5") == 0    ? " (Unigram)" :
		                                      "");
		goto fail;
	}
	if (read_tokens(t, g, e) || read_merges(t, g, e) || apply(t, g, e))
		goto fail;
	return t;
fail:
	if (e && strncmp(e->msg, g->path, strlen(g->path)) != 0) /* what reads single keys has said it already */
		err_prefix(e, "%s", g->path);
	tokenizer_free(t);
	return NULL;
}
