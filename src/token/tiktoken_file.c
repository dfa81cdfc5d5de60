/* tiktoken_file: rank files of tiktoken: a line has the bytes of a token in base64 and its rank, which is its id. Two
 * neighbours are joined where their joined bytes are a token, that of the lowest rank first, and a word that is a token
 * is that token.
 *
 * The file says neither how words are cut nor which special tokens there are: its name does, or how many ranks it has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "token/alphabet.h"
#include "token/gguf_pre.h"
#include "token/tokenizer_files.h"
#include "token/tokenizer_parts.h"

struct named {
	int32_t id;
	const char *text;
};
struct numbered {
	const char *format;
	int from, to;
	int32_t first;
}; /* texts with a number, from `first` on */

static const struct encoding {
	const char *name; /* what the file's name has in it */
	size_t ranks;
	const char *pre; /* the pre-tokenizer by its name in a GGUF */
	bool nfc, bos;
	struct named special[12];
	struct numbered more;
} encodings[] = {
	{ "r50k_base", 50256, "gpt-2", false, false, { { 50256, "<|endoftext|>" } }, { 0 } },
	{ "p50k_base", 50280, "gpt-2", false, false, { { 50256, "<|endoftext|>" } }, { 0 } },
	{ "cl100k_base",
	  100256,
	  "dbrx",
	  false,
	  false,
	  { { 100257, "<|endoftext|>" },
	    { 100258, "<|fim_prefix|>" },
	    { 100259, "<|fim_middle|>" },
	    { 100260, "<|fim_suffix|>" },
	    { 100276, "<|endofprompt|>" } },
	  { 0 } },
	{ "o200k_base",
	  199998,
	  "gpt-4o",
	  false,
	  false,
	  { { 199999, "<|endoftext|>" }, { 200018, "<|endofprompt|>" } },
	  { 0 } },
	{ "qwen",
	  151643,
	  "qwen2",
	  true,
	  false,
	  { { 151643, "<|endoftext|>" }, { 151644, "<|im_start|>" }, { 151645, "<|im_end|>" } },
	  { "<|extra_%d|>", 0, 205, 151646 } },
	{ "llama",
	  128000,
	  "llama-bpe",
	  false,
	  true,
	  { { 128000, "<|begin_of_text|>" },
	    { 128001, "<|end_of_text|>" },
	    { 128002, "<|reserved_special_token_0|>" },
	    { 128003, "<|reserved_special_token_1|>" },
	    { 128004, "<|finetune_right_pad_id|>" },
	    { 128005, "<|step_id|>" },
	    { 128006, "<|start_header_id|>" },
	    { 128007, "<|end_header_id|>" },
	    { 128008, "<|eom_id|>" },
	    { 128009, "<|eot_id|>" },
	    { 128010, "<|python_tag|>" } },
	  { "<|reserved_special_token_%d|>", 2, 247, 128011 } },
};

/* The one that the last part of the path names, or that has as many ranks. */
static const struct encoding *find_encoding(const char *path, size_t ranks, struct err *e)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	for (size_t i = 0; i < ARRAY_LEN(encodings); i++)
		if (strstr(name, encodings[i].name) && ranks == encodings[i].ranks)
			return &encodings[i];
	for (size_t i = 0; i < ARRAY_LEN(encodings); i++)
		if (ranks == encodings[i].ranks)
			return &encodings[i];
	err_set(e,
	        "%zu ranks: that is none of the encodings that are known (r50k_base, p50k_base, cl100k_base, "
	        "o200k_base, Qwen's, Llama 3's), so neither is how it cuts words",
	        ranks);
	return NULL;
}

static int read_line(struct tokenizer *t, const char *line, size_t n, size_t number, struct err *e)
{
	struct buf bytes = BUF_INIT, text = BUF_INIT;
	const char *space = memchr(line, ' ', n);
	char *end;
	long rank = space ? strtol(space + 1, &end, 10) : -1;
	int rc = 0;
	if (!space || end != line + n || base64_read(&bytes, line, (size_t)(space - line)) || !bytes.len)
		rc = err_set(e, "line %zu is no base64 text and a rank", number);
	if (rc == 0) {
		alphabet_write(&text, bytes.data, bytes.len);
		rc = vocab_put(&t->vocab, text.data, text.len, rank, PIECE_MODEL, e);
	}
	buf_release(&bytes);
	buf_release(&text);
	return rc;
}

static int read_ranks(struct tokenizer *t, const struct buf *file, struct err *e)
{
	const char *text = buf_str(file);
	size_t number = 1;
	for (size_t at = 0; at < file->len; number++) {
		size_t n = strcspn(text + at, "\n"), length = n && text[at + n - 1] == '\r' ? n - 1 : n;
		if (length && read_line(t, text + at, length, number, e))
			return -1;
		at += n + 1;
	}
	return vocab_check_sparse(&t->vocab, e);
}

static json_t *added_tokens(const struct encoding *c)
{
	json_t *list = json_array();
	for (size_t i = 0; i < ARRAY_LEN(c->special) && c->special[i].text; i++)
		json_array_append_new(list, json_pack("{s:i,s:s,s:b,s:b}", "id", c->special[i].id, "content",
		                                      c->special[i].text, "special", 1, "normalized", 0));
	for (int i = c->more.from; i < c->more.to; i++) {
		char *text = mem_printf("%.*s%d%s", (int)strcspn(c->more.format, "%"), c->more.format, i,
		                        c->more.format + strcspn(c->more.format, "%") + 2);
		json_array_append_new(list, json_pack("{s:i,s:s,s:b,s:b}", "id", c->more.first + i - c->more.from,
		                                      "content", text, "special", 1, "normalized", 0));
		mem_free(text);
	}
	return list;
}

static int set_rules(struct tokenizer *t, const struct encoding *c, json_t *config, struct err *e)
{
	bool ignore_merges, add_bos;
	json_t *rules = json_pack("{s:n,s:o,s:n,s:{s:s,s:b,s:b,s:b},s:{s:s,s:b},s:o}", "normalizer", "pre_tokenizer",
	                          gguf_pre(c->pre, &ignore_merges, &add_bos, e), "post_processor", "decoder", "type",
	                          "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model",
	                          "type", "BPE", "ignore_merges", 1, "added_tokens", added_tokens(c));
	if (c->nfc)
		json_object_set_new(rules, "normalizer", json_pack("{s:s}", "type", "NFC"));
	if (c->bos && !json_object_get(config, "bos_token"))
		json_object_set_new(config, "bos_token", json_string(c->special[0].text));
	if (c->bos && !json_object_get(config, "add_bos_token"))
		json_object_set_new(config, "add_bos_token", json_true());
	if (!json_object_get(config, "eos_token"))
		json_object_set_new(config, "eos_token", json_string(c->special[c->bos].text));
	int rc = tokenizer_set_rules(t, rules, config, e);
	json_decref(rules);
	return rc;
}

static int make(struct tokenizer *t, const char *path, const struct buf *file, json_t *config, struct err *e)
{
	if (read_ranks(t, file, e))
		return -1;
	const struct encoding *c = find_encoding(path, t->vocab.count, e);
	if (!c)
		return -1;
	float *score = mem_array(t->vocab.n, sizeof(*score));
	for (size_t i = 0; i < t->vocab.n; i++)
		score[i] = -(float)i;
	int rc = t->model->load_scores(t, score, e);
	mem_free(score);
	return rc ? -1 : set_rules(t, c, config, e);
}

struct tokenizer *tiktoken_open(const char *path, json_t *config, struct err *e)
{
	struct tokenizer *t = tokenizer_new(token_model_of("byte-level BPE"));
	struct buf file = BUF_INIT;
	int rc = io_read(&file, path, e);
	if (rc == 0 && (rc = make(t, path, &file, config, e)))
		err_prefix(e, "%s", path);
	buf_release(&file);
	if (rc == 0)
		return t;
	tokenizer_free(t);
	return NULL;
}
