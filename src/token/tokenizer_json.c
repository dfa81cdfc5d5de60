/* tokenizer_json: tokenizers from Hugging Face's files: tokenizer.json, or GPT-2's older vocab.json and merges.txt,
 * with tokenizer_config.json beside them (and, in folders, special_tokens_map.json and chat_template.jinja). */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/tokenizer_parts.h"

static int read_vocab(struct tokenizer *t, json_t *vocab, struct err *e)
{
	const char *text;
	json_t *id;
	if (!json_is_object(vocab))
		return err_set(e, "the vocabulary is no object of texts and ids");
	json_object_foreach(vocab, text, id) {
		if (!json_is_integer(id))
			return err_set(e, "token \"%.64s\" has no integer as its id", text);
		if (vocab_put(&t->vocab, text, strlen(text), json_integer_value(id), PIECE_MODEL, e))
			return -1;
	}
	bpe_begin(&t->bpe, &t->vocab);
	return vocab_check_sparse(&t->vocab, e);
}

/* "a b", as in merges.txt */
static int read_merge_text(struct tokenizer *t, const char *text, size_t n, struct err *e)
{
	const char *space = memchr(text, ' ', n);
	size_t left = space ? (size_t)(space - text) : 0;
	if (!space || left == 0 || left + 1 == n || memchr(space + 1, ' ', n - left - 1))
		return err_set(e, "merge %zu is \"%.*s\", wanted two texts with a space between them", t->bpe.n_merges,
		               (int)MIN(n, (size_t)64), text);
	return bpe_add_merge(&t->bpe, text, left, space + 1, n - left - 1, e);
}

static int read_merges(struct tokenizer *t, const json_t *merges, struct err *e)
{
	const json_t *item;
	size_t i;
	if (!json_is_array(merges))
		return err_set(e, "\"merges\" is no list");
	json_array_foreach(merges, i, item) {
		const json_t *left = json_array_get(item, 0), *right = json_array_get(item, 1);
		if (json_is_string(item)) {
			if (read_merge_text(t, json_string_value(item), json_string_length(item), e))
				return -1;
		} else if (json_array_size(item) != 2 || !json_is_string(left) || !json_is_string(right)) {
			return err_set(e, "merge %zu is neither a text nor a pair of texts", i);
		} else if (bpe_add_merge(&t->bpe, json_string_value(left), json_string_length(left),
		                         json_string_value(right), json_string_length(right), e)) {
			return -1;
		}
	}
	return 0;
}

struct tokenizer *tokenizer_from_json(const json_t *j, const json_t *config, const char *where, struct err *e)
{
	struct tokenizer *t = tokenizer_new();
	const json_t *model = json_object_get(j, "model");
	if (tokenizer_check_model(model, e) || read_vocab(t, json_object_get(model, "vocab"), e) ||
		read_merges(t, json_object_get(model, "merges"), e) || tokenizer_set_rules(t, j, config, e)) {
		err_prefix(e, "%s", where);
		tokenizer_free(t);
		return NULL;
	}
	return t;
}

/* --- vocab.json and merges.txt --- */

static int read_merges_text(struct tokenizer *t, const char *text, size_t n, struct err *e)
{
	size_t bad;
	if (!utf8_valid(text, n, &bad))
		return err_set(e, "merges are not valid UTF-8 at byte %zu", bad);
	for (size_t at = 0; at < n;) {
		const char *newline = memchr(text + at, '\n', n - at);
		size_t end = newline ? (size_t)(newline - text) : n, length = end - at;
		bool comment = at == 0 && length >= 8 && memcmp(text, "#version", 8) == 0;
		if (length && text[end - 1] == '\r')
			length--;
		if (length && !comment && read_merge_text(t, text + at, length, e))
			return -1;
		at = end + 1;
	}
	return 0;
}

/* These files hold no pre-tokenizer; their class, which tokenizer_config.json names, implies it. */
static json_t *class_rules(const json_t *config, struct err *e)
{
	const char *class;
	int prefix;
	bool ignore_merges = false, add_bos = false;
	if (jsonx_string(config, "tokenizer_class", "GPT2Tokenizer", &class, e) ||
	    jsonx_bool(config, "add_prefix_space", false, &prefix, e))
		return NULL;
	if (strcmp(class, "GPT2Tokenizer") == 0 || strcmp(class, "GPT2TokenizerFast") == 0)
		return json_pack("{s:n, s:{s:s,s:b,s:b,s:b}, s:{s:s,s:b,s:b,s:b}, s:{s:s,s:b,s:b,s:b}, s:{s:s}}",
		                 "normalizer", "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", prefix,
		                 "trim_offsets", 1, "use_regex", 1, "post_processor", "type", "ByteLevel",
		                 "add_prefix_space", 1, "trim_offsets", 0, "use_regex", 1, "decoder", "type",
		                 "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type",
		                 "BPE");
	if (strcmp(class, "Qwen2Tokenizer") == 0 || strcmp(class, "Qwen2TokenizerFast") == 0)
		return json_pack("{s:{s:s}, s:o, s:{s:s,s:b,s:b,s:b}, s:{s:s,s:b,s:b,s:b}, s:{s:s}}", "normalizer",
		                 "type", "NFC", "pre_tokenizer", tokenizer_pre("qwen2", &ignore_merges, &add_bos, e),
		                 "post_processor", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0,
		                 "use_regex", 0, "decoder", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets",
		                 0, "use_regex", 0, "model", "type", "BPE");
	err_set(e,
	        "vocab.json and merges.txt are of a %.64s; without a tokenizer.json only GPT2Tokenizer and "
	        "Qwen2Tokenizer can be read",
	        class);
	return NULL;
}

/* GPT-2's class has <|endoftext|> in every role that the config leaves open. */
static json_t *class_config(const json_t *config, const json_t *vocab)
{
	static const char *const keys[] = { "bos_token", "eos_token", "unk_token" };
	json_t *out = json_is_object(config) ? json_deep_copy(config) :
	                                       json_pack("{s:s}", "tokenizer_class", "GPT2Tokenizer");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!json_object_get(out, keys[i]) && json_object_get(vocab, "<|endoftext|>"))
			json_object_set_new(out, keys[i], json_string("<|endoftext|>"));
	return out;
}

struct tokenizer *tokenizer_from_vocab(const json_t *vocab, const char *merges, size_t n, const json_t *config,
                                       const char *where, struct err *e)
{
	struct tokenizer *t = tokenizer_new();
	json_t *rules = class_rules(config, e), *full = class_config(config, vocab);
	if (!rules || read_vocab(t, (json_t *)vocab, e) || read_merges_text(t, merges, n, e) ||
	    tokenizer_set_rules(t, rules, full, e)) {
		err_prefix(e, "%s", where);
		tokenizer_free(t);
		t = NULL;
	}
	json_decref(rules);
	json_decref(full);
	return t;
}

/* --- folders --- */

static int load_optional(json_t **out, const char *dir, const char *name, struct err *e)
{
	char *path = io_join(dir, name);
	int rc = 0;
	*out = NULL;
	if (io_exists(path)) {
		*out = jsonx_load_file(path, e);
		rc = *out ? 0 : -1;
	}
	mem_free(path);
	return rc;
}

/* tokenizer_config.json, completed by the files that older and newer versions of transformers keep apart. */
static int load_config(json_t **out, const char *dir, struct err *e)
{
	json_t *config = NULL, *map = NULL;
	char *path = io_join(dir, "chat_template.jinja");
	struct buf template = BUF_INIT;
	int rc = -1;
	if (load_optional(&config, dir, "tokenizer_config.json", e) ||
	    load_optional(&map, dir, "special_tokens_map.json", e))
		goto out;
	if (!json_is_object(config)) {
		json_decref(config);
		config = json_object();
	}
	json_object_update_missing(config, map);
	if (io_exists(path)) {
		if (io_read(&template, path, e))
			goto out;
		json_t *text = json_stringn(buf_str(&template), template.len);
		if (!text) {
			err_set(e, "%s: not valid UTF-8", path);
			goto out;
		}
		json_object_set_new(config, "chat_template", text);
	}
	*out = json_incref(config);
	rc = 0;
out:
	json_decref(config);
	json_decref(map);
	buf_release(&template);
	mem_free(path);
	return rc;
}

static struct tokenizer *from_old_files(const char *dir, const json_t *config, struct err *e)
{
	char *vocab_path = io_join(dir, "vocab.json"), *merges_path = io_join(dir, "merges.txt");
	struct tokenizer *t = NULL;
	struct buf merges = BUF_INIT;
	json_t *vocab = NULL;
	if (!io_exists(vocab_path) || !io_exists(merges_path))
		err_set(e, "%s: no tokenizer there (wanted tokenizer.json, or vocab.json and merges.txt)", dir);
	else if ((vocab = jsonx_load_file(vocab_path, e)) && io_read(&merges, merges_path, e) == 0)
		t = tokenizer_from_vocab(vocab, buf_str(&merges), merges.len, config, dir, e);
	json_decref(vocab);
	buf_release(&merges);
	mem_free(vocab_path);
	mem_free(merges_path);
	return t;
}

struct tokenizer *tokenizer_from_dir(const char *dir, struct err *e)
{
	struct tokenizer *t = NULL;
	json_t *config = NULL, *j = NULL;
	char *path = io_join(dir, "tokenizer.json");
	if (load_config(&config, dir, e))
		goto out;
	if (!io_exists(path))
		t = from_old_files(dir, config, e);
	else if ((j = jsonx_load_file(path, e)))
		t = tokenizer_from_json(j, config, path, e);
out:
	json_decref(config);
	json_decref(j);
	mem_free(path);
	return t;
}
