/* model_bpe: byte-level BPE (GPT-2). A word's bytes become one symbol each, written in the alphabet of
 * token/alphabet.h, and are merged by rank (token/bpe.h). Where the model has a prefix for what goes on in a word, or a
 * suffix for what ends it (CLIP's "</w>"), the symbols of a word's bytes have it too.
 *
 * In tokenizer.json this is type BPE with a ByteLevel among its pre-tokenizers (without, it is model_spm's), in GGUF
 * "gpt2"; vocab.json and merges.txt: vocab_json.c. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/gguf_write.h"
#include "token/alphabet.h"
#include "token/bpe.h"
#include "token/gguf_pre.h"
#include "token/token_model.h"

struct byte_bpe {
	struct bpe bpe;
	/* by place in a word: + 1 where it ends it, + 2 where it does not begin it; −1: the vocabulary lacks it */
	int32_t byte_id[4][256];
	int32_t unknown;           /* what stands for such a byte; −1: it is left out */
	bool fuse_unknown;         /* several in a row become one */
	bool ignore_merges;        /* a word that is a piece is that piece, whatever its merges */
};

struct scratch { struct bpe_scratch *bpe; struct buf text; };

/* --- reading --- */

static bool has_byte_level(const json_t *pre, int depth)
{
	const char *type = json_string_value(json_object_get(pre, "type"));
	const json_t *item;
	size_t i;
	json_array_foreach(depth ? json_object_get(pre, "pretokenizers") : NULL, i, item)
		if (has_byte_level(item, depth - 1))
			return true;
	return type && !strcmp(type, "ByteLevel");
}

bool bpe_is_bytes(const json_t *j) { return has_byte_level(json_object_get(j, "pre_tokenizer"), 16); }

static bool is(const json_t *j, const json_t *model, const char *type)
{
	return (type ? !strcmp(type, "BPE") : json_object_get(model, "merges") != NULL) && bpe_is_bytes(j);
}

static int begin(struct tokenizer *t, const json_t *model, struct err *e)
{
	struct byte_bpe *b = tokenizer_own(t);
	if (bpe_begin(&b->bpe, tokenizer_vocab(t), model, e))
		return -1;
	for (int i = 0; i < 4 * 256; i++) {
		struct buf text = BUF_INIT;
		char byte = (char)(i % 256);
		buf_adds(&text, i / 512 ? b->bpe.prefix : "");
		alphabet_write(&text, &byte, 1);
		buf_adds(&text, i / 256 % 2 ? b->bpe.suffix : "");
		b->byte_id[i / 256][i % 256] = vocab_find(b->bpe.vocab, text.data, text.len);
		buf_release(&text);
	}
	return 0;
}

static int load(struct tokenizer *t, const json_t *model, struct err *e)
{
	struct byte_bpe *b = tokenizer_own(t);
	if (vocab_read(tokenizer_vocab(t), json_object_get(model, "vocab"), e) || begin(t, model, e))
		return -1;
	return bpe_read_json(&b->bpe, json_object_get(model, "merges"), e);
}

static int load_scores(struct tokenizer *t, const float *score, struct err *e)
{
	struct byte_bpe *b = tokenizer_own(t);
	if (begin(t, NULL, e))
		return -1;
	bpe_read_scores(&b->bpe, score);
	return 0;
}

int byte_bpe_read(struct tokenizer *t, const char *merges, size_t n, struct err *e)
{
	struct byte_bpe *b = tokenizer_own(t);
	return begin(t, NULL, e) || bpe_read_text(&b->bpe, merges, n, e) ? -1 : 0;
}

static int load_gguf(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	struct byte_bpe *b = tokenizer_own(t);
	return begin(t, NULL, e) || bpe_read_gguf(&b->bpe, g, e) ? -1 : 0;
}

static json_t *gguf_rules(const struct gguf *g, bool *add_bos, struct err *e)
{
	const char *pre;
	bool ignore_merges = false;
	json_t *steps;
	if (gguf_str(g, "tokenizer.ggml.pre", true, &pre, e) || !(steps = gguf_pre(pre, &ignore_merges, add_bos, e)))
		return NULL;
	return json_pack("{s:n,s:o,s:{s:s,s:b,s:b,s:b},s:{s:s,s:b,s:b,s:b},s:{s:s,s:b}}", "normalizer", "pre_tokenizer",
	                 steps, "post_processor", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0,
	                 "use_regex", 1, "decoder", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1,
	                 "use_regex", 1, "model", "type", "BPE", "ignore_merges", ignore_merges);
}

/* --- the rules --- */

static int rules(struct tokenizer *t, const json_t *all, struct err *e)
{
	const json_t *model = json_object_get(all, "model");
	struct byte_bpe *b = tokenizer_own(t);
	const char *unknown;
	int fuse, ignore, fallback, missing = 0;
	if (jsonx_string(model, "unk_token", NULL, &unknown, e) ||
	    jsonx_bool(model, "fuse_unk", false, &fuse, e) || jsonx_bool(model, "ignore_merges", false, &ignore, e) ||
	    jsonx_bool(model, "byte_fallback", false, &fallback, e))
		return -1;
	b->unknown = unknown ? vocab_find(tokenizer_vocab(t), unknown, strlen(unknown)) : -1;
	b->fuse_unknown = fuse;
	b->ignore_merges = ignore;
	for (int i = 0; i < 256; i++)
		missing += b->byte_id[0][i] < 0;
	return fallback && missing ?
	               err_set(e, "model.byte_fallback is set beside ByteLevel, and the vocabulary lacks bytes") :
	               0;
}

static void release(struct tokenizer *t) { bpe_release(&((struct byte_bpe *)tokenizer_own(t))->bpe); }

/* --- words and pieces --- */

static void *scratch_new(void)
{
	struct scratch *s = mem_alloc(sizeof(*s));
	s->bpe = bpe_scratch_new();
	return s;
}

static void scratch_free(void *scratch)
{
	struct scratch *s = scratch;
	bpe_scratch_free(s->bpe);
	buf_release(&s->text);
	mem_free(s);
}

/* The piece that the word is, −1. */
static int32_t whole(const struct byte_bpe *b, struct buf *text, const char *word, size_t n)
{
	buf_clear(text);
	alphabet_write(text, word, n);
	return vocab_find(b->bpe.vocab, text->data, text->len);
}

static size_t symbols(const struct byte_bpe *b, struct token_at *to, const char *word, size_t n)
{
	size_t count = 0;
	bool was_unknown = false;
	for (size_t i = 0; i < n; i++) {
		int32_t id = b->byte_id[(i > 0) * 2 + (i + 1 == n)][(uint8_t)word[i]];
		bool unknown = id < 0;
		if (unknown && (b->unknown < 0 || (was_unknown && b->fuse_unknown)))
			continue;
		was_unknown = unknown;
		to[count++] = (struct token_at){ unknown ? b->unknown : id, (uint32_t)i };
	}
	return count;
}

static const struct token_at *encode(const struct tokenizer *t, void *scratch, const char *word, size_t n,
                                     size_t *n_tokens)
{
	const struct byte_bpe *b = tokenizer_own(t);
	struct scratch *s = scratch;
	struct token_at *token = bpe_symbols(s->bpe, n);
	int32_t id = b->ignore_merges && n ? whole(b, &s->text, word, n) : -1;
	if (id < 0)
		return bpe_merge(&b->bpe, s->bpe, symbols(b, token, word, n), n_tokens);
	token[0] = (struct token_at){ id, 0 };
	*n_tokens = 1;
	return token;
}

static int32_t find(const struct tokenizer *t, const char *bytes, size_t n)
{
	return vocab_find_bytes(tokenizer_vocab(t), bytes, n);
}

/* --- writing --- */

static void save(const struct tokenizer *t, json_t *model)
{
	bpe_save(&((const struct byte_bpe *)tokenizer_own(t))->bpe, model);
}

static int put_gguf(const struct tokenizer *t, struct gguf_meta *meta, size_t rows, struct err *e)
{
	const struct byte_bpe *b = tokenizer_own(t);
	const json_t *rules = tokenizer_rules(t), *normalizer = json_object_get(rules, "normalizer");
	const char *type = json_string_value(json_object_get(normalizer, "type")), *pre;

	if (normalizer && !json_is_null(normalizer) && (!type || strcmp(type, "NFC")))
		return err_set(e, "GGUF has no word for the normalizer %.64s", type ? type : "without a type");
	if (*b->bpe.prefix || *b->bpe.suffix)
		return err_set(e, "GGUF has no word for a prefix or suffix of words' parts (\"%.16s\")",
		               *b->bpe.prefix ? b->bpe.prefix : b->bpe.suffix);
	if (b->unknown >= 0)
		return err_set(e, "GGUF has no word for the unk_token of a byte-level BPE");
	if (!(pre = gguf_pre_name(json_object_get(rules, "pre_tokenizer"), b->ignore_merges, e)))
		return -1;
	if (type)
		log_warn("the tokenizer composes letters and their marks (NFC), which GGUF has no word for: a text "
		         "that is not composed gets other ids");
	gguf_put_str(meta, "tokenizer.ggml.pre", pre);
	return bpe_put_merges(&b->bpe, meta, rows, e);
}

static void hash(const struct tokenizer *t, struct buf *out)
{
	bpe_hash(&((const struct byte_bpe *)tokenizer_own(t))->bpe, out);
}

const struct token_model token_model_bpe = {
	.name = "byte-level BPE",
	.type = "BPE",
	.gguf = "gpt2",
	.bytes = true,
	.own_size = sizeof(struct byte_bpe),
	.is = is,
	.load = load,
	.load_scores = load_scores,
	.load_gguf = load_gguf,
	.gguf_rules = gguf_rules,
	.rules = rules,
	.release = release,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.encode = encode,
	.find = find,
	.save = save,
	.put_gguf = put_gguf,
	.hash = hash,
};
