/* vocab_json: byte-level BPE from vocab.json and merges.txt (or encoder.json and vocab.bpe, OpenAI's names). They say
 * nothing of pre-tokenizing: the class that tokenizer_config.json names implies it, and what is put around a text. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/text.h"
#include "token/bpe.h"
#include "token/gguf_pre.h"
#include "token/tokenizer_files.h"
#include "token/tokenizer_parts.h"

/* Those of a class, where the configuration says nothing. */
static const struct class
{
	const char *names; /* apart by spaces, without "Fast" */
	const char *pre;   /* the pre-tokenizer by its name in a GGUF */
	bool nfc;
	const char *front, *back; /* around a text */
	const char *bos, *eos, *unk, *mask, *suffix;
} classes[] = {
	{ .names = "GPT2Tokenizer CodeGenTokenizer",
	  .pre = "gpt-2",
	  .bos = "<|endoftext|>",
	  .eos = "<|endoftext|>",
	  .unk = "<|endoftext|>" },
	{ .names = "Qwen2Tokenizer",
	  .pre = "qwen2",
	  .nfc = true,
	  .bos = "<|endoftext|>",
	  .eos = "<|endoftext|>",
	  .unk = "<|endoftext|>" },
	{ .names = "RobertaTokenizer LongformerTokenizer LEDTokenizer BartTokenizer MvpTokenizer",
	  .pre = "gpt-2",
	  .front = "<s>",
	  .back = "</s>",
	  .bos = "<s>",
	  .eos = "</s>",
	  .unk = "<unk>",
	  .mask = "<mask>" },
};

static bool is_named(const char *list, const char *name, size_t n)
{
	for (const char *at = list; n && *at; at += strcspn(at, " "), at += strspn(at, " "))
		if (strcspn(at, " ") == n && memcmp(at, name, n) == 0)
			return true;
	return false;
}

static const struct class *find_class(const json_t *config, struct err *e)
{
	const char *name;
	struct buf known = BUF_INIT;
	if (jsonx_string(config, "tokenizer_class", "GPT2Tokenizer", &name, e))
		return NULL;
	size_t slow = text_stem(name, "Fast"), k = slow ? slow : strlen(name);
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if (is_named(classes[i].names, name, k)) {
			buf_release(&known);
			return &classes[i];
		}
		buf_addf(&known, "%s%s", i ? " " : "", classes[i].names);
	}
	err_set(e, "vocab.json and merges.txt are of a %.64s; without a tokenizer.json only these can be read: %s",
	        name, buf_str(&known));
	buf_release(&known);
	return NULL;
}

static void name_token(json_t *config, const json_t *vocab, const char *key, const char *text)
{
	if (text && !json_object_get(config, key) && json_object_get(vocab, text))
		json_object_set_new(config, key, json_string(text));
}

/* The special tokens of a class that the vocabulary has, and what the mask swallows. */
static json_t *added_tokens(const struct class *c, const json_t *vocab)
{
	const char *text[] = { c->bos, c->eos, c->unk, c->mask, c->mask ? "<pad>" : NULL };
	json_t *list = json_array();
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		const json_t *id = text[i] ? json_object_get(vocab, text[i]) : NULL;
		if (json_is_integer(id))
			json_array_append_new(list, json_pack("{s:I,s:s,s:b,s:b,s:b}", "id", json_integer_value(id),
			                                      "content", text[i], "special", 1, "normalized", 0,
			                                      "lstrip", c->mask && text[i] == c->mask));
	}
	return list;
}

static json_t *pre_tokenizer(const struct class *c, bool prefix, struct err *e)
{
	bool ignore_merges, add_bos;
	json_t *steps = gguf_pre(c->pre, &ignore_merges, &add_bos, e);
	json_t *list = json_object_get(steps, "pretokenizers"), *last = json_array_get(list, json_array_size(list) - 1);
	json_object_set_new(last, "add_prefix_space", json_boolean(prefix));
	return steps;
}

static json_t *post_processor(const struct class *c, const json_t *vocab)
{
	if (!c->front)
		return json_pack("{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 0,
		                 "use_regex", 1);
	return json_pack("{s:s,s:[s,O],s:[s,O],s:b,s:b}", "type", "RobertaProcessing", "sep", c->back,
	                 json_object_get(vocab, c->back), "cls", c->front, json_object_get(vocab, c->front),
	                 "trim_offsets", 1, "add_prefix_space", 0);
}

static json_t *class_rules(const struct class *c, json_t *config, const json_t *vocab, struct err *e)
{
	int prefix;
	if (jsonx_bool(config, "add_prefix_space", false, &prefix, e))
		return NULL;
	if (c->front && (!json_object_get(vocab, c->front) || !json_object_get(vocab, c->back))) {
		err_set(e, "the vocabulary lacks %s or %s", c->front, c->back);
		return NULL;
	}
	name_token(config, vocab, "bos_token", c->bos);
	name_token(config, vocab, "eos_token", c->eos);
	name_token(config, vocab, "unk_token", c->unk);
	name_token(config, vocab, "pad_token", c->mask ? "<pad>" : NULL);
	json_object_del(config, "add_prefix_space");
	json_t *rules = json_pack("{s:n, s:o, s:o, s:{s:s,s:b,s:b,s:b}, s:{s:s}, s:o}", "normalizer", "pre_tokenizer",
	                          pre_tokenizer(c, prefix, e), "post_processor", post_processor(c, vocab), "decoder",
	                          "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1,
	                          "model", "type", "BPE", "added_tokens", added_tokens(c, vocab));
	if (c->nfc)
		json_object_set_new(rules, "normalizer", json_pack("{s:s}", "type", "NFC"));
	return rules;
}

static struct tokenizer *make(const json_t *vocab, const struct buf *merges, json_t *config, struct err *e)
{
	const struct class *c = find_class(config, e);
	json_t *rules = c ? class_rules(c, config, vocab, e) : NULL;
	if (!rules)
		return NULL;
	struct tokenizer *t = tokenizer_new(token_model_of("byte-level BPE"));
	if (vocab_read(&t->vocab, vocab, e) || byte_bpe_read(t, buf_str(merges), merges->len, e) ||
	    tokenizer_set_rules(t, rules, config, e)) {
		tokenizer_free(t);
		t = NULL;
	}
	json_decref(rules);
	return t;
}

/* Where the merges are: X-merges.txt beside X-vocab.json, vocab.bpe beside encoder.json; mem_free. */
static char *merges_of(const char *path)
{
	static const char *const pairs[][2] = { { "vocab.json", "merges.txt" }, { "encoder.json", "vocab.bpe" } };
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (text_ends(path, pairs[i][0]))
			return mem_printf("%.*s%s", (int)text_stem(path, pairs[i][0]), path, pairs[i][1]);
	return NULL;
}

struct tokenizer *vocab_json_open(const char *path, json_t *config, struct err *e)
{
	char *merges_path = merges_of(path);
	struct buf merges = BUF_INIT;
	json_t *vocab = merges_path ? jsonx_load_file(path, e) : NULL;
	struct tokenizer *t = NULL;
	if (!merges_path)
		err_set(e, "%s is neither a tokenizer.json nor a vocab.json with merges beside it", path);
	if (vocab && io_read(&merges, merges_path, e) == 0 && !(t = make(vocab, &merges, config, e)))
		err_prefix(e, "%s", path);
	json_decref(vocab);
	buf_release(&merges);
	mem_free(merges_path);
	return t;
}
