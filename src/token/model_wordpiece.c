/* model_wordpiece: WordPiece (Schuster & Nakajima 2012), as BERT has it. A word becomes the longest piece that it
 * begins with, then the longest that goes on, written with a prefix ("##"), and so forth; a word that cannot be written
 * so, or that is too long, is one unknown token. In GGUF no word is too long. */
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/gguf_write.h"
#include "token/gguf_texts.h"
#include "token/marks.h"

#define BEHIND "tokenizer.ggml.seperator_token_id" /* spelt so */

struct wordpiece {
	char prefix[32];           /* of what continues a word */
	int32_t unknown;
	long long longest;         /* characters of a word */
	size_t most;               /* bytes of a piece */
};

struct scratch { struct token_at *token; size_t cap; struct buf text; };

/* --- reading --- */

static bool is(const json_t *j, const json_t *model, const char *type)
{
	(void)j;
	return type ? !strcmp(type, "WordPiece") :
	              json_object_get(model, "continuing_subword_prefix") && !json_object_get(model, "merges");
}

static int begin(struct tokenizer *t, const char *prefix, const char *unknown, struct err *e)
{
	struct wordpiece *w = tokenizer_own(t);
	if (strlen(prefix) >= sizeof(w->prefix))
		return err_set(e, "model.continuing_subword_prefix is \"%.64s\", at most %zu bytes are supported",
		               prefix, sizeof(w->prefix) - 1);
	strcpy(w->prefix, prefix);
	for (size_t i = 0; i < tokenizer_vocab(t)->n; i++)
		w->most = MAX(w->most, tokenizer_vocab(t)->piece[i].n);
	w->unknown = vocab_find(tokenizer_vocab(t), unknown, strlen(unknown));
	if (w->unknown < 0)
		return err_set(e, "model.unk_token is \"%.64s\", which is not in the vocabulary", unknown);
	return 0;
}

static int load(struct tokenizer *t, const json_t *model, struct err *e)
{
	struct wordpiece *w = tokenizer_own(t);
	const char *prefix, *unknown;
	if (vocab_read(tokenizer_vocab(t), json_object_get(model, "vocab"), e) ||
	    jsonx_string(model, "continuing_subword_prefix", "##", &prefix, e) ||
	    jsonx_string(model, "unk_token", "[UNK]", &unknown, e) ||
	    jsonx_int(model, "max_input_chars_per_word", 100, &w->longest, e))
		return -1;
	return begin(t, prefix, unknown, e);
}

/* --- GGUF: what begins a word has a mark in front, what goes on in it has nothing --- */

static int gguf_text(const char *text, size_t n, bool control, struct buf *out)
{
	size_t mark = strlen(MARK);
	bool begins = n > mark && memcmp(text, MARK, mark) == 0;
	if (!control && !begins)
		buf_adds(out, "##");
	buf_add(out, text + (begins ? mark : 0), n - (begins ? mark : 0));
	return 0;
}

static void put_text(const struct piece *p, bool control, struct buf *out)
{
	bool goes_on = p->n > 2 && !strncmp(p->text, "##", 2);

	buf_adds(out, control || goes_on ? "" : MARK);
	buf_add(out, p->text + (!control && goes_on ? 2 : 0), p->n - (!control && goes_on ? 2 : 0));
}

static int load_gguf(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	struct wordpiece *w = tokenizer_own(t);
	int64_t unknown;
	if (gguf_int(g, "tokenizer.ggml.unknown_token_id", false, 100, &unknown, e))
		return -1;
	if (unknown < 0 || (uint64_t)unknown >= tokenizer_vocab(t)->n || !tokenizer_vocab(t)->piece[unknown].text)
		return err_set(e, "tokenizer.ggml.unknown_token_id is %lld, none of the %zu tokens", (long long)unknown,
		               tokenizer_vocab(t)->n);
	w->longest = 1 << 20; /* llama.cpp has no bound */
	return begin(t, "##", tokenizer_vocab(t)->piece[unknown].text, e);
}

/* [text, id] of the token that the key names, or of the one that llama.cpp means without it; NULL: there is none. */
static json_t *around(const struct gguf *g, const char *key, int64_t init, struct err *e)
{
	const struct gguf_kv *list = gguf_texts(g, "tokenizer.ggml.tokens", e);
	int64_t id;

	if (!list || gguf_int(g, key, false, init, &id, e))
		return NULL;
	if (id < 0 || (uint64_t)id >= list->n_items) {
		err_set(e, "%s is %lld, none of the %zu tokens", key, (long long)id, list->n_items);
		return NULL;
	}
	const struct gguf_string *s = (const struct gguf_string *)list->items + id;
	return json_pack("[o, I]", json_stringn(s->data, s->len), (json_int_t)id);
}

/* Of a file's own normalizing llama.cpp keeps two words; [CLS] and [SEP] always go around a text. */
static json_t *gguf_rules(const struct gguf *g, bool *add_bos, struct err *e)
{
	json_t *cls = around(g, "tokenizer.ggml.bos_token_id", 101, e),
	       *sep = cls ? around(g, BEHIND, 102, e) : NULL;
	bool lower, strip;

	*add_bos = false;
	if (!sep || gguf_bool(g, "tokenizer.ggml.normalizer.lowercase", false, true, &lower, e) ||
	    gguf_bool(g, "tokenizer.ggml.normalizer.strip_accents", false, lower, &strip, e)) {
		json_decref(cls);
		json_decref(sep);
		return NULL;
	}
	return json_pack("{s:{s:s,s:b,s:b,s:b,s:b},s:{s:s},s:{s:s,s:o,s:o},s:{s:s,s:s,s:b},s:{s:s,s:s,s:s,s:i}}",
	                 "normalizer", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1,
	                 "strip_accents", (int)strip, "lowercase", (int)lower, "pre_tokenizer", "type",
	                 "BertPreTokenizer", "post_processor", "type", "BertProcessing", "sep", sep, "cls", cls,
	                 "decoder", "type", "WordPiece", "prefix", "##", "cleanup", 1, "model", "type", "WordPiece",
	                 "unk_token", "[UNK]", "continuing_subword_prefix", "##", "max_input_chars_per_word", 1 << 20);
}

static int put_gguf(const struct tokenizer *t, struct gguf_meta *meta, size_t rows, struct err *e)
{
	const struct wordpiece *w = tokenizer_own(t);
	const json_t *normalizer = json_object_get(tokenizer_rules(t), "normalizer"),
	             *strip = json_object_get(normalizer, "strip_accents");
	bool lower = json_is_true(json_object_get(normalizer, "lowercase"));

	if ((size_t)w->unknown >= rows)
		return err_set(e, "its unknown token is %d, beyond the model's %zu rows", w->unknown, rows);
	if (strcmp(w->prefix, "##") != 0)
		return err_set(e, "GGUF has no word for continuing_subword_prefix \"%s\"", w->prefix);
	gguf_put_str(meta, "tokenizer.ggml.pre", "default");
	gguf_put_u32(meta, "tokenizer.ggml.unknown_token_id", (uint32_t)w->unknown);
	gguf_put_bool(meta, "tokenizer.ggml.normalizer.lowercase", lower);
	gguf_put_bool(meta, "tokenizer.ggml.normalizer.strip_accents",
	              json_is_boolean(strip) ? json_is_true(strip) : lower);
	return 0;
}

/* --- words and pieces --- */

static void *scratch_new(void) { return mem_alloc(sizeof(struct scratch)); }

static void scratch_free(void *scratch)
{
	struct scratch *s = scratch;
	mem_free(s->token);
	buf_release(&s->text);
	mem_free(s);
}

/* The longest piece with which word[begin, n) begins, and where it ends; −1: none. */
static int32_t longest(const struct tokenizer *t, struct buf *text, const char *word, size_t begin, size_t n,
                       size_t *end)
{
	const struct wordpiece *w = tokenizer_own(t);
	size_t head = begin ? strlen(w->prefix) : 0, most = MIN(n - begin, w->most);
	buf_clear(text);
	buf_add(text, w->prefix, head);
	buf_add(text, word + begin, most);
	for (*end = begin + most; *end > begin; --*end) {
		int32_t id = vocab_find(tokenizer_vocab(t), text->data, head + (*end - begin));
		if (id >= 0)
			return id;
	}
	return -1;
}

static long long characters(const char *word, size_t n)
{
	long long count = 0;
	for (size_t i = 0; i < n; i++)
		count += ((unsigned char)word[i] & 0xC0) != 0x80;
	return count;
}

static const struct token_at *encode(const struct tokenizer *t, void *scratch, const char *word, size_t n,
                                     size_t *n_tokens)
{
	const struct wordpiece *w = tokenizer_own(t);
	struct scratch *s = scratch;
	size_t end = 0, k = 0;
	bool bad = characters(word, n) > w->longest;
	if (n + 1 > s->cap) {
		s->cap = 2 * n + 1;
		s->token = mem_grow(s->token, s->cap, sizeof(*s->token));
	}
	for (size_t begin = 0; begin < n && !bad; begin = end) {
		int32_t id = longest(t, &s->text, word, begin, n, &end);
		bad = id < 0;
		s->token[k++] = (struct token_at){ id, (uint32_t)begin };
	}
	if (bad)
		s->token[0] = (struct token_at){ w->unknown, 0 };
	*n_tokens = bad ? 1 : k;
	return s->token;
}

static int32_t find(const struct tokenizer *t, const char *bytes, size_t n)
{
	const struct wordpiece *w = tokenizer_own(t);
	if (n > 1 && *bytes == ' ')
		return vocab_find(tokenizer_vocab(t), bytes + 1, n - 1);
	struct buf text = BUF_INIT;
	buf_adds(&text, w->prefix);
	buf_add(&text, bytes, n);
	int32_t id = n ? vocab_find(tokenizer_vocab(t), text.data, text.len) : -1;
	buf_release(&text);
	return id;
}

static bool begins_word(const struct tokenizer *t, const char *text, size_t n)
{
	const struct wordpiece *w = tokenizer_own(t);
	size_t mark = strlen(w->prefix);

	return !mark || n <= mark || memcmp(text, w->prefix, mark) != 0;
}

static void save(const struct tokenizer *t, json_t *model)
{
	json_object_set_new(model, "vocab", vocab_json(tokenizer_vocab(t)));
}

const struct token_model token_model_wordpiece = {
	.name = "WordPiece",
	.type = "WordPiece",
	.gguf = "bert",
	.own_size = sizeof(struct wordpiece),
	.is = is,
	.load = load,
	.gguf_text = gguf_text,
	.put_text = put_text,
	.gguf_behind = BEHIND,
	.put_gguf = put_gguf,
	.load_gguf = load_gguf,
	.gguf_rules = gguf_rules,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.encode = encode,
	.find = find,
	.begins_word = begins_word,
	.save = save,
};
