/* tokenizer_rules: what a tokenizer does besides its vocabulary and its kind's own, read from a tokenizer.json's fields
 * and a tokenizer_config.json (transformers' names). Whatever would change the ids and is not done here is refused by
 * its name.
 *
 * Tokens that the configuration names and the vocabulary lacks are added with the ids that transformers gives them:
 * first added_tokens_decoder's in the order of their ids, then the named ones, then the extra ones, each behind the
 * last added token or behind the model's pieces (tokenizers' AddedVocabulary::add_tokens). */
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "token/tokenizer_parts.h"

/* --- added tokens --- */

static int add_token(struct tokenizer *t, const struct added_token *token, struct err *e)
{
	int32_t known = vocab_find(&t->vocab, token->text, token->n);
	int flags = PIECE_ADDED | (token->special ? PIECE_SPECIAL : 0);
	if (token->n == 0)
		return 0;
	if (known >= 0 && known != token->id)
		return err_set(e, "added token \"%.64s\" has the id %d, but %d in the vocabulary", token->text,
		               token->id, known);
	if (known < 0 && vocab_put(&t->vocab, token->text, token->n, token->id, flags, e))
		return -1;
	if (!t->added || (t->n_added & (t->n_added - 1)) == 0) /* full at 0, 1, 2, 4, 8 … */
		t->added = mem_grow(t->added, MAX(t->n_added * 2, (size_t)1), sizeof(*t->added));
	t->vocab.piece[token->id].flags |= (uint8_t)flags;
	t->vocab.piece[token->id].added = (uint32_t)t->n_added;
	t->next = MAX(t->next, token->id + 1);
	t->added[t->n_added] = *token;
	t->added[t->n_added++].text = t->vocab.piece[token->id].text;
	return 0;
}

/* The added token with this text, or NULL. */
static struct added_token *find_added(struct tokenizer *t, const char *text)
{
	int32_t id = vocab_find_any(&t->vocab, text, strlen(text));
	return id >= 0 && t->vocab.piece[id].flags & PIECE_ADDED ? &t->added[t->vocab.piece[id].added] : NULL;
}

/* A token as files write it: an object with its attributes, or its text alone, which is special then. */
static int read_token(const json_t *j, struct added_token *token, struct err *e)
{
	const char *text = json_string_value(j);
	int special = text != NULL, single = false, left = false, right = false, normalized = false;
	if (!text && !json_is_object(j))
		return err_set(e, "an added token that is not an object");
	if (!text && (jsonx_string(j, "content", NULL, &text, e) || jsonx_bool(j, "special", false, &special, e) ||
	              jsonx_bool(j, "single_word", false, &single, e) || jsonx_bool(j, "lstrip", false, &left, e) ||
	              jsonx_bool(j, "rstrip", false, &right, e) ||
	              jsonx_bool(j, "normalized", !special, &normalized, e)))
		return -1;
	if (!text)
		return err_set(e, "an added token without content");
	*token = (struct added_token){ .text = text, .n = strlen(text), .special = special, .single_word = single,
		                       .lstrip = left, .rstrip = right, .normalized = normalized };
	return 0;
}

static int apply_added(struct tokenizer *t, const json_t *list, struct err *e)
{
	struct added_token token;
	const json_t *item;
	size_t i;
	json_array_foreach(list, i, item) {
		const json_t *id = json_object_get(item, "id");
		if (!json_is_integer(id))
			return err_set(e, "added token %zu has no id", i);
		if (read_token(item, &token, e))
			return -1;
		if (json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
			return err_set(e, "an added token with the id %lld", (long long)json_integer_value(id));
		token.id = (int32_t)json_integer_value(id);
		if (!find_added(t, token.text) && add_token(t, &token, e))
			return -1;
	}
	return 0;
}

/* --- tokens that the configuration names --- */

static const char *const named_tokens[] = { "bos_token", "eos_token",  "unk_token", "sep_token",
	                                    "pad_token", "cls_token", "mask_token" };

static const char *content_of(const json_t *v)
{
	return json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
}

static bool is_named(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(named_tokens); i++)
		if (strcmp(key, named_tokens[i]) == 0)
			return true;
	return false;
}

bool tokenizer_own_token(const char *key) { return text_stem(key, "_token") && !is_named(key); }

/* An object that says of itself that it is a token. */
static bool is_typed(const json_t *v)
{
	const char *type = json_string_value(json_object_get(v, "__type"));
	return type && strcmp(type, "AddedToken") == 0;
}

/* Is it one of those with a name of their own, or one that this model alone has ("image_token")? The latter are texts
 * and typed objects. */
static bool is_token_key(const char *key, const json_t *v)
{
	return is_named(key) || (tokenizer_own_token(key) && content_of(v) && (json_is_string(v) || is_typed(v)));
}

/* Adds a token under the id that it has or is given; of one that was added already `change` sets the attributes. */
static int put_token(struct tokenizer *t, struct added_token token, bool change, struct err *e)
{
	struct added_token *known = find_added(t, token.text);
	if (token.n == 0)
		return 0;
	token.id = known ? known->id : vocab_find(&t->vocab, token.text, token.n);
	if (!known) {
		token.id = token.id >= 0 ? token.id : t->next;
		return add_token(t, &token, e);
	}
	token.text = known->text;
	if (change)
		*known = token;
	known->special |= token.special;
	t->vocab.piece[known->id].flags &= (uint8_t)~PIECE_SPECIAL;
	t->vocab.piece[known->id].flags |= known->special ? PIECE_SPECIAL : 0;
	return 0;
}

/* The texts that keys of the configuration name, as the keys of an object; new reference. */
static json_t *named_texts(const struct tokenizer *t)
{
	json_t *texts = json_object();
	const char *key;
	json_t *v;
	json_object_foreach(t->config, key, v)
		if (is_token_key(key, v) && content_of(v))
			json_object_set_new(texts, content_of(v), json_true());
	return texts;
}

struct listed { long long id; const json_t *token; };

static int by_listed_id(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static int put_listed(struct tokenizer *t, const struct listed *l, const json_t *named, struct err *e)
{
	struct added_token token;
	if (read_token(l->token, &token, e))
		return err_prefix(e, "added_tokens_decoder");
	token.special |= json_object_get(named, token.text) != NULL;
	if (put_token(t, token, true, e))
		return -1;
	int32_t id = vocab_find_any(&t->vocab, token.text, token.n);
	if (id != l->id)
		log_warn("added_tokens_decoder says %lld for \"%.64s\", which gets the id %d, as transformers counts",
		         l->id, token.text, id);
	return 0;
}

/* tokenizer_config.json's own list of them, by id: their attributes count, and those that are not there are added in
 * the order of their ids. */
static int apply_listed(struct tokenizer *t, json_t *list, struct err *e)
{
	struct listed *sorted = mem_array(json_object_size(list), sizeof(*sorted));
	json_t *named = named_texts(t);
	size_t n = 0;
	int rc = 0;
	const char *key;
	json_t *item;
	json_object_foreach(list, key, item) {
		size_t digits = strspn(key, "0123456789");
		if (rc == 0 && (digits == 0 || digits > 9 || key[digits]))
			rc = err_set(e, "added_tokens_decoder has the key \"%.64s\", wanted an id", key);
		for (const char *d = key; rc == 0 && *d; d++)
			sorted[n].id = sorted[n].id * 10 + (*d - '0');
		sorted[n++].token = item;
	}
	if (n)
		qsort(sorted, n, sizeof(*sorted), by_listed_id);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = put_listed(t, &sorted[i], named, e);
	json_decref(named);
	mem_free(sorted);
	return rc;
}

/* Was the same value named before? */
static bool is_repeated(json_t *seen, const json_t *v)
{
	char *line = jsonx_line(v);
	bool repeated = json_object_get(seen, line) != NULL;
	json_object_set_new(seen, line, json_true());
	mem_free(line);
	return repeated;
}

/* A token that the configuration calls special is so, and is added where the vocabulary lacks it. Of several values
 * that name one text the last new one has its attributes, unless a list of added tokens has. */
static int apply_named(struct tokenizer *t, const char *key, const json_t *v, json_t *seen, struct err *e)
{
	const char *text = content_of(v);
	const struct added_token *known = text ? find_added(t, text) : NULL;
	struct added_token token;
	if (!v || json_is_null(v) || (text && !*text))
		return 0;
	if (!text)
		return err_set(e, "%s is no token", key);
	if (read_token(v, &token, e))
		return err_prefix(e, "%s", key);
	token.special = true;
	if (is_repeated(seen, v))
		return 0;
	return put_token(t, token, !known || (size_t)(known - t->added) >= t->listed, e);
}

/* This model's own: typed ones or texts. What the object says of a name counts. */
static int apply_own_tokens(struct tokenizer *t, json_t *object, bool typed, json_t *seen, struct err *e)
{
	const char *key;
	json_t *item;
	json_object_foreach (t->config, key, item) {
		const json_t *other = json_object_get(object, key);
		if (!is_named(key) && is_token_key(key, item) && is_typed(item) == typed &&
		    apply_named(t, key, other ? other : item, seen, e))
			return -1;
	}
	return 0;
}

/* Those with a name: of every model, then this model's own, then an object's. */
static int apply_named_tokens(struct tokenizer *t, json_t *object, json_t *seen, struct err *e)
{
	const char *key;
	json_t *item;
	for (size_t k = 0; k < ARRAY_LEN(named_tokens); k++)
		if (apply_named(t, named_tokens[k], json_object_get(t->config, named_tokens[k]), seen, e))
			return -1;
	if (apply_own_tokens(t, object, true, seen, e) || apply_own_tokens(t, object, false, seen, e))
		return -1;
	json_object_foreach (object, key, item) {
		const json_t *known = json_object_get(t->config, key);
		if (!(known && is_token_key(key, known)) && apply_named(t, key, item, seen, e))
			return -1;
	}
	return 0;
}

static int32_t id_of(const struct tokenizer *t, const char *key)
{
	const char *text = content_of(json_object_get(t->config, key));
	return text && *text ? vocab_find_any(&t->vocab, text, strlen(text)) : -1;
}

/* The object of this model's own tokens: newer versions of transformers write one of its own, which counts where none
 * of them stands outside of it. */
static json_t *own_object(const struct tokenizer *t, json_t *extra)
{
	const char *key;
	json_t *item;

	if (json_object_size(extra))
		return extra;
	json_object_foreach (t->config, key, item)
		if (!is_named(key) && is_token_key(key, item))
			return extra;
	item = json_object_get(t->config, "model_specific_special_tokens");
	return json_object_size(item) ? item : extra;
}

/* In transformers' order, which decides the ids of those that the vocabulary lacks. */
static int apply_config_tokens(struct tokenizer *t, struct err *e)
{
	json_t *extra = json_object_get(t->config, "extra_special_tokens"), *item, *seen = json_object();
	json_t *older = json_object_get(t->config, "additional_special_tokens");
	size_t i;
	int rc = apply_listed(t, json_object_get(t->config, "added_tokens_decoder"), e);
	t->listed = t->n_added;
	if (!json_object_size(extra) && !json_array_size(extra))
		extra = older; /* its older name */
	if (rc == 0 && extra && !json_is_null(extra) && !json_is_array(extra) && !json_is_object(extra))
		rc = err_set(e, "extra_special_tokens is neither a list nor an object");
	if (rc == 0)
		rc = apply_named_tokens(t, own_object(t, extra), seen, e);
	json_array_foreach (json_is_object(extra) ? older : extra, i, item)
		if (rc == 0)
			rc = apply_named(t, "extra_special_tokens", item, seen, e);
	json_decref(seen);
	t->bos = id_of(t, "bos_token");
	t->eos = id_of(t, "eos_token");
	t->pad = id_of(t, "pad_token");
	t->unk = id_of(t, "unk_token");
	t->mask = id_of(t, "mask_token");
	return rc;
}

static int sort_added(struct tokenizer *t, struct err *e)
{
	for (size_t i = 0; i < t->n_added; i++) {
		struct added_token token = t->added[i];
		struct slice in = { .text = token.text, .n = token.n }, out;
		struct altered a = { 0 };
		if (token.normalized) {
			if (normalizer_run(&t->normalizer, &in, &out, &a, e))
				return -1;
			if (out.text != in.text) {
				token.text = arena_strndup(&t->vocab.mem, out.text, out.n);
				token.n = out.n;
			}
			altered_release(&a);
		}
		if (token.n && added_put(token.normalized ? &t->normal : &t->raw, &token, e))
			return -1;
	}
	return added_ready(&t->raw, e) || added_ready(&t->normal, e) ? -1 : 0;
}

/* --- tokens around a text, template --- */

static void take_id(const json_t *id, struct tokens *out)
{
	if (out && json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) <= INT32_MAX)
		tokens_add(out, (int32_t)json_integer_value(id));
}

/* Appends a token that a post-processor puts around a text: [text, id]. */
static void take_pair(const json_t *pair, struct tokens *out)
{
	take_id(json_array_get(pair, 1), out);
}

/* The tokens of a template that stand before $A and behind it. */
static int take_template(const json_t *j, struct tokens *front, struct tokens *back, struct err *e)
{
	const json_t *item, *known = json_object_get(j, "special_tokens");
	size_t i, k, texts = 0;
	json_array_foreach(json_object_get(j, "single"), i, item) {
		const json_t *token = json_object_get(item, "SpecialToken"), *id;
		const char *name = json_string_value(json_object_get(token, "id"));
		const json_t *ids = name ? json_object_get(json_object_get(known, name), "ids") : NULL;
		texts += json_object_get(item, "Sequence") != NULL;
		if (token && !ids)
			return err_set(e, "the post_processor's template has \"%.64s\", which its special_tokens lack",
			               name ? name : "");
		json_array_foreach(ids, k, id)
			take_id(id, texts ? back : front);
	}
	if (texts != 1)
		return err_set(e, "the post_processor's template has the text %zu times, wanted once", texts);
	return 0;
}

/* What a post-processor puts around a single text, of which one is wanted: `front` or `back`, the other is NULL. Of
 * several processors the later ones put theirs further out. */
static int take_around(const json_t *j, struct tokens *front, struct tokens *back, int depth, struct err *e)
{
	const char *type = json_string_value(json_object_get(j, "type"));
	if (!j || json_is_null(j) || (type && strcmp(type, "ByteLevel") == 0)) /* it changes offsets alone */
		return 0;
	if (type && strcmp(type, "Sequence") == 0 && depth < 16) {
		const json_t *list = json_object_get(j, "processors");
		for (size_t i = 0, n = json_array_size(list); i < n; i++)
			if (take_around(json_array_get(list, back ? i : n - 1 - i), front, back, depth + 1, e))
				return -1;
		return 0;
	}
	if (type && (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0)) {
		take_pair(json_object_get(j, "cls"), front);
		take_pair(json_object_get(j, "sep"), back);
		return 0;
	}
	if (type && strcmp(type, "TemplateProcessing") == 0)
		return take_template(j, front, back, e);
	return err_set(e, "post_processor \"%.64s\" is not supported (TemplateProcessing, BertProcessing, "
	                  "RobertaProcessing, ByteLevel, Sequence are)",
	               type ? type : "without a type");
}

/* A TemplateProcessing that puts the beginning of sequence in front, as add_bos_token asks for where there is no
 * tokenizer.json that says it. */
static json_t *bos_template(const struct tokenizer *t)
{
	const char *bos = t->vocab.piece[t->bos].text;
	json_t *begin = json_pack("{s:{s:s,s:i}}", "SpecialToken", "id", bos, "type_id", 0);
	json_t *a = json_pack("{s:{s:s,s:i}}", "Sequence", "id", "A", "type_id", 0),
	       *b = json_pack("{s:{s:s,s:i}}", "Sequence", "id", "B", "type_id", 1);
	json_t *begin_b = json_pack("{s:{s:s,s:i}}", "SpecialToken", "id", bos, "type_id", 1);
	return json_pack("{s:s, s:[O,O], s:[o,o,o,o], s:{s:{s:s,s:[i],s:[s]}}}", "type", "TemplateProcessing", "single",
	                 begin, a, "pair", begin, a, begin_b, b, "special_tokens", bos, "id", bos, "ids", t->bos,
	                 "tokens", bos);
}

static int check_around(const struct tokenizer *t, const struct tokens *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++)
		if ((size_t)list->id[i] >= t->vocab.n || !t->vocab.piece[list->id[i]].text)
			return err_set(e, "the post_processor adds token %d, but there are %zu", list->id[i],
			               t->vocab.n);
	return 0;
}

static int apply_around(struct tokenizer *t, struct err *e)
{
	int add = 0, end = 0;
	if (jsonx_bool(t->config, "add_bos_token", false, &add, e) ||
	    jsonx_bool(t->config, "add_eos_token", false, &end, e))
		return -1;
	if (add && t->bos >= 0)
		json_object_set_new(t->rules, "post_processor", bos_template(t));
	const json_t *processor = json_object_get(t->rules, "post_processor");
	if (take_around(processor, &t->front, NULL, 0, e) || take_around(processor, NULL, &t->back, 0, e) ||
	    check_around(t, &t->front, e) || check_around(t, &t->back, e))
		return -1;
	if (end && t->eos >= 0)
		tokens_add(&t->back, t->eos);
	if (t->bos < 0)
		t->bos = tokenizer_front(t);
	return 0;
}

/* A text, or a list of {name, template}, or an object of them by name: "default", and "tool_use" where there are tools
 * (transformers). */
static int apply_template(struct tokenizer *t, struct err *e)
{
	const json_t *v = json_object_get(t->config, "chat_template"), *item;
	const char *text = json_string_value(v), *with_tools = NULL;
	size_t i;

	if (json_is_object(v)) {
		text = json_string_value(json_object_get(v, "default"));
		with_tools = json_string_value(json_object_get(v, "tool_use"));
	}
	json_array_foreach(v, i, item) {
		const char *name = json_string_value(json_object_get(item, "name")),
			   *source = json_string_value(json_object_get(item, "template"));
		if (!name || !source)
			return err_set(e, "chat_template: number %zu has no name or no template", i + 1);
		if (!strcmp(name, "default"))
			text = source;
		if (!strcmp(name, "tool_use"))
			with_tools = source;
	}
	if (!text && v && !json_is_null(v) && !json_is_array(v) && !with_tools)
		return err_set(e, "chat_template is neither a text, nor a list or object of them by name");
	t->template = text ? mem_strdup(text) : NULL;
	t->tool_template = with_tools ? mem_strdup(with_tools) : NULL;
	return 0;
}

static json_t *copy_rules(const json_t *rules)
{
	static const char *const keys[] = { "normalizer", "pre_tokenizer", "post_processor", "decoder", "model" };
	json_t *out = json_object();
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *v = json_object_get(rules, keys[i]), *copy = json_null();
		if (v && strcmp(keys[i], "model") == 0) { /* its small fields */
			v = json_copy(v);
			json_object_del(v, "vocab");
			json_object_del(v, "merges");
			copy = json_deep_copy(v);
			json_decref(v);
		} else if (v) {
			copy = json_deep_copy(v);
		}
		json_object_set_new(out, keys[i], copy);
	}
	return out;
}

/* Words of this kind are bytes, or text. */
static int check_words(const struct tokenizer *t, const json_t *pre, struct err *e)
{
	if (!t->model->bytes || pretokenizer_has_bytes(t->pretokenizer))
		return 0;
	if (!pre || json_is_null(pre))
		return err_set(e, "there is no pre_tokenizer, so this is no %s", t->model->name);
	return err_set(e, "the pre_tokenizer has no ByteLevel, so this is no %s", t->model->name);
}

int tokenizer_set_rules(struct tokenizer *t, const json_t *rules, const json_t *config, struct err *e)
{
	const json_t *pre = json_object_get(rules, "pre_tokenizer"), *added = json_object_get(rules, "added_tokens");
	t->next = (int32_t)t->vocab.count;
	t->rules = copy_rules(rules);
	t->config = json_is_object(config) ? json_deep_copy(config) : json_object();
	t->decoder = decoder_parse(json_object_get(rules, "decoder"), t->model->bytes, e);
	if (!t->decoder || (t->model->rules && t->model->rules(t, rules, e)) ||
	    normalizer_parse(&t->normalizer, json_object_get(rules, "normalizer"), e))
		return -1;
	t->pretokenizer = pretokenizer_parse(pre, e);
	if (!t->pretokenizer || check_words(t, pre, e) || apply_added(t, added, e))
		return -1;
	t->own_n = t->vocab.n;
	if (apply_config_tokens(t, e) || vocab_check_sparse(&t->vocab, e) || sort_added(t, e) || apply_around(t, e))
		return -1;
	return apply_template(t, e);
}
