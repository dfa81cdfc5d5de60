/* tokenizer_gguf: tokenizers from GGUF metadata (tokenizer.ggml.*; ggml's docs/gguf.md, llama.cpp's llama-vocab.cpp).
 *
 * From them the fields of a tokenizer.json are made, which the rest reads. GGUF says nothing about normalizing, so
 * nothing is normalized, as in llama.cpp. Control and unknown tokens are special; user-defined ones are added but not
 * special; what llama.cpp knows by its text is so whatever its type says (gguf_known.h). */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "token/gguf_known.h"
#include "token/gguf_texts.h"
#include "token/tokenizer_parts.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED };

/* The type of token i, NORMAL where the file says none. */
static int32_t type_of(const struct gguf *g, size_t i)
{
	const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.token_type");
	int32_t type = TYPE_NORMAL;
	if (kv && kv->type == GGUF_ARRAY && (kv->item_type == GGUF_I32 || kv->item_type == GGUF_U32) && i < kv->n_items)
		memcpy(&type, (const char *)kv->items + 4 * i, sizeof(type));
	return type;
}

static int read_token(struct tokenizer *t, const struct gguf *g, const struct gguf_string *s, size_t i, struct err *e)
{
	struct buf text = BUF_INIT;
	if (gguf_check_text(s, "token", i, e))
		return -1;
	int rc = 0;
	if (!t->model->gguf_text)
		buf_add(&text, s->data, s->len);
	else if (t->model->gguf_text(s->data ? s->data : "", s->len, type_of(g, i) == TYPE_CONTROL, &text))
		rc = err_set(e, "token %zu is \"%.*s\", which is none of a tokenizer of this kind", i,
		             (int)MIN(s->len, (size_t)64), s->data);
	if (rc == 0)
		rc = vocab_put(&t->vocab, buf_str(&text), text.len, (long long)i, PIECE_MODEL, e);
	buf_release(&text);
	return rc;
}

static int read_tokens(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	const struct gguf_kv *kv = gguf_texts(g, "tokenizer.ggml.tokens", e);
	if (!kv)
		return -1;
	for (size_t i = 0; i < kv->n_items; i++)
		if (read_token(t, g, (const struct gguf_string *)kv->items + i, i, e))
			return -1;
	return vocab_check_sparse(&t->vocab, e);
}

/* The type in any file of a text that llama.cpp knows. */
static int32_t known_type(const struct piece *p, int32_t type)
{
	enum gguf_known known = gguf_known(p->text, p->n);
	return known == GGUF_KNOWN_NOT ? type : known == GGUF_KNOWN_CONTROL ? TYPE_CONTROL : TYPE_USER_DEFINED;
}

/* Those tokens whose type, or text, says that they are split off first. */
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
	for (size_t i = 0; i < t->vocab.n; i++) {
		int32_t type = known_type(&t->vocab.piece[i], type_of(g, i));
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

/* *around: something stands around texts already; then whether bos would stand in front. */
static int make_config(json_t *config, const struct tokenizer *t, const struct gguf *g, bool add_bos, bool *around,
                       struct err *e)
{
	const char *template, *tools;
	bool add;
	if (add_named(config, "bos_token", t, g, "tokenizer.ggml.bos_token_id", e) ||
	    add_named(config, "eos_token", t, g, "tokenizer.ggml.eos_token_id", e) ||
	    add_named(config, "pad_token", t, g, "tokenizer.ggml.padding_token_id", e) ||
	    add_named(config, "unk_token", t, g, "tokenizer.ggml.unknown_token_id", e) || add_length(config, g, e) ||
	    gguf_bool(g, "tokenizer.ggml.add_bos_token", false, add_bos, &add, e) ||
	    gguf_str(g, "tokenizer.chat_template", false, &template, e) ||
	    gguf_str(g, "tokenizer.chat_template.tool_use", false, &tools, e))
		return -1;
	json_object_set_new(config, "add_bos_token", json_boolean(add && !*around));
	*around = add;
	if (!template && !tools)
		return 0;
	json_t *text = template && !tools ? json_string(template) : json_array();
	if (tools && template)
		json_array_append_new(text, json_pack("{s:s, s:s}", "name", "default", "template", template));
	if (tools)
		json_array_append_new(text, json_pack("{s:s, s:s}", "name", "tool_use", "template", tools));
	if (!text || (tools && json_array_size(text) < 1 + (template != NULL))) {
		json_decref(text);
		return err_set(e, "tokenizer.chat_template is not valid UTF-8");
	}
	json_object_set_new(config, "chat_template", text);
	return 0;
}

/* Does the model see both ways? Then eos stands behind a text, too, where the file says so. */
static int reads_both_ways(const struct gguf *g, bool *both, struct err *e)
{
	const char *arch;
	bool causal = true;

	if (gguf_str(g, "general.architecture", false, &arch, e))
		return -1;
	char *key = mem_printf("%.64s.attention.causal", arch ? arch : "");
	int rc = gguf_bool(g, key, false, true, &causal, e);
	mem_free(key);
	*both = !causal;
	return rc;
}

static json_t *named_pair(const struct tokenizer *t, const json_t *config, const char *name)
{
	const char *text = json_string_value(json_object_get(config, name));
	int32_t id = text ? vocab_find(&t->vocab, text, strlen(text)) : -1;

	return id < 0 ? NULL : json_pack("[s,i]", text, id);
}

/* An encoder's: bos in front, eos behind. */
static int put_around(const struct tokenizer *t, const struct gguf *g, json_t *rules, json_t *config, struct err *e)
{
	bool both, eos;

	if (reads_both_ways(g, &both, e) || gguf_bool(g, "tokenizer.ggml.add_eos_token", false, false, &eos, e))
		return -1;
	json_t *front = both && eos ? named_pair(t, config, "bos_token") : NULL;
	json_t *back = front ? named_pair(t, config, "eos_token") : NULL;
	if (back) {
		json_object_set_new(rules, "post_processor",
		                    json_pack("{s:s,s:O,s:O,s:b,s:b}", "type", "RobertaProcessing", "sep", back,
		                              "cls", front, "trim_offsets", 1, "add_prefix_space", 0));
		json_object_set_new(config, "add_bos_token", json_false());
	}
	json_decref(front);
	json_decref(back);
	return 0;
}

static int apply(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	bool add_bos = false;
	json_t *rules = t->model->gguf_rules(g, &add_bos, e), *added = rules ? added_tokens(t, g, e) : NULL;
	json_t *config =
		json_pack("{s:s,s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces", 0);
	bool around = rules && json_is_object(json_object_get(rules, "post_processor")), given = around;
	int rc = !added || make_config(config, t, g, add_bos, &around, e) ? -1 : 0;
	if (rc == 0 && !given && around)
		rc = put_around(t, g, rules, config, e);
	if (rc == 0) {
		json_object_set(rules, "added_tokens", added);
		rc = tokenizer_set_rules(t, rules, config, e);
	}
	json_decref(added);
	json_decref(rules);
	json_decref(config);
	return rc;
}

static const struct token_model *find_model(const struct gguf *g, struct err *e)
{
	const char *name;
	struct buf names = BUF_INIT;
	if (gguf_str(g, "tokenizer.ggml.model", true, &name, e))
		return NULL;
	for (size_t i = 0; token_model_table[i]; i++) {
		const struct token_model *m = token_model_table[i];
		if (m->gguf && strcmp(m->gguf, name) == 0) {
			buf_release(&names);
			return m;
		}
		if (m->gguf)
			buf_addf(&names, "%s%s (\"%s\")", names.len ? ", " : "", m->name, m->gguf);
	}
	err_set(e, "a tokenizer of type \"%.64s\" is not supported, %s is", name, buf_str(&names));
	buf_release(&names);
	return NULL;
}

/* The row's own, from tokenizer.ggml.scores where that says it all. */
static int load_own(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	const struct gguf_kv *kv = gguf_find(g, "tokenizer.ggml.scores");
	size_t n = t->vocab.n;
	if (t->model->load_gguf)
		return t->model->load_gguf(t, g, e);
	if (!kv || kv->type != GGUF_ARRAY || kv->item_type != GGUF_F32 || kv->n_items != n)
		return err_set(e, "tokenizer.ggml.scores is not a list of %zu 32-bit floats", n);
	float *score = mem_array(n, sizeof(*score));
	memcpy(score, kv->items, n * sizeof(*score));
	for (size_t i = 0; i < n; i++)
		if (isnan(score[i])) {
			mem_free(score);
			return err_set(e, "tokenizer.ggml.scores holds no number for token %zu", i);
		}
	for (size_t i = 0; t->model->only_normal && i < n; i++)
		score[i] = type_of(g, i) == TYPE_NORMAL ? score[i] : -INFINITY;
	int rc = t->model->load_scores(t, score, e);
	mem_free(score);
	return rc;
}

struct tokenizer *tokenizer_from_gguf(const struct gguf *g, struct err *e)
{
	const struct token_model *model = find_model(g, e);
	struct tokenizer *t = model ? tokenizer_new(model) : NULL;
	if (t && read_tokens(t, g, e) == 0 && load_own(t, g, e) == 0 && apply(t, g, e) == 0)
		return t;
	if (e && strncmp(e->msg, g->path, strlen(g->path)) != 0) /* what reads single keys has said it already */
		err_prefix(e, "%s", g->path);
	tokenizer_free(t);
	return NULL;
}
