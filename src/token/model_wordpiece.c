/* model_wordpiece: WordPiece (Schuster & Nakajima 2012), as BERT has it. A word becomes the longest piece that it
 * begins with, then the longest that goes on, written with a prefix ("##"), and so forth; a word that cannot be written
 * so, or that is too long, is one unknown token.
 *
 * What goes before is BERT's too: BertNormalizer (control characters go, CJK characters get spaces, then the accents
 * and capitals go) and BertPreTokenizer (words between white space, every punctuation character by itself). Its decoder
 * puts a space before what is no continuation, and takes it away again before some punctuation ("cleanup").
 *
 * Not done here: GGUF's "bert", and vocab.txt. Hugging Face's tables for this are those of Unicode 8: marks and
 * punctuation that are younger are none there, and are here. Marks that stay (they are not of Unicode's Mn) stay in
 * their order, which NFD might change. */
#include <string.h>
#include <utf8proc.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/token_model.h"

struct wordpiece {
	char prefix[32];           /* of what continues a word */
	int32_t unknown;
	long long longest;         /* characters of a word */
	size_t most;               /* bytes of a piece */
	bool cleanup;
};

struct scratch { struct token_at *token; size_t cap; struct buf text; };

/* --- BertNormalizer --- */

struct bert { int clean, chinese, strip, lower; };

static int parse_normalizer(const json_t *j, void **own, struct err *e)
{
	const json_t *strip = json_object_get(j, "strip_accents");
	struct bert b;
	if (jsonx_bool(j, "clean_text", true, &b.clean, e) ||
	    jsonx_bool(j, "handle_chinese_chars", true, &b.chinese, e) || jsonx_bool(j, "lowercase", true, &b.lower, e))
		return -1;
	b.strip = b.lower;
	if (strip && !json_is_null(strip) && jsonx_bool(j, "strip_accents", true, &b.strip, e))
		return -1;
	*own = mem_alloc(sizeof(b));
	memcpy(*own, &b, sizeof(b));
	return 0;
}

/* Categories C but for what is not assigned, tab and line ends. */
static bool is_control(uint32_t c)
{
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_CC: return c != '\t' && c != '\n' && c != '\r';
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CO: return true;
	default: return false;
	}
}

static bool is_chinese(uint32_t c)
{
	static const uint32_t blocks[][2] = {
		{ 0x3400, 0x4DBF },   { 0x4E00, 0x9FFF },   { 0xF900, 0xFAFF },   { 0x20000, 0x2A6DF },
		{ 0x2A700, 0x2B73F }, { 0x2B740, 0x2B81F }, { 0x2B920, 0x2CEAF }, { 0x2F800, 0x2FA1F },
	};
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		if (c >= blocks[i][0] && c <= blocks[i][1])
			return true;
	return false;
}

static void put(struct altered *out, uint32_t c, uint32_t origin)
{
	char text[4];
	altered_add(out, text, utf8_encode(c, text), origin);
}

static void put_lower(struct altered *out, uint32_t c, uint32_t origin)
{
	put(out, c == 0x130 ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c), origin);
	if (c == 0x130) /* the one that becomes two */
		put(out, 0x307, origin);
}

/* Its canonical decomposition without marks that take no space of their own. */
static void put_bare(struct altered *out, const struct bert *b, uint32_t c, uint32_t origin)
{
	utf8proc_int32_t part[32];
	int boundary = 0;
	utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, part, ARRAY_LEN(part), UTF8PROC_DECOMPOSE,
	                                             &boundary);
	for (utf8proc_ssize_t i = 0; i < n && n <= (utf8proc_ssize_t)ARRAY_LEN(part); i++) {
		if (utf8proc_category(part[i]) == UTF8PROC_CATEGORY_MN)
			continue;
		if (b->lower)
			put_lower(out, (uint32_t)part[i], origin);
		else
			put(out, (uint32_t)part[i], origin);
	}
}

static int run_normalizer(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	const struct bert *b = own;
	uint32_t c;
	(void)e;
	for (size_t at = 0, k; at < in->n && (k = utf8_decode(in->text + at, in->n - at, &c)); at += k) {
		uint32_t origin = slice_origin(in, at);
		if (b->clean && (c == 0 || c == 0xFFFD || is_control(c)))
			continue;
		if (b->clean && utf8_is_space(c))
			c = ' ';
		bool apart = b->chinese && is_chinese(c);
		if (apart)
			put(out, ' ', origin);
		if (b->strip)
			put_bare(out, b, c, origin);
		else if (b->lower)
			put_lower(out, c, origin);
		else
			put(out, c, origin);
		if (apart)
			put(out, ' ', origin);
	}
	return 0;
}

static int parse_pretokenizer(struct pretokenizer *p, const json_t *j, struct err *e)
{
	(void)j;
	return pretokenizer_split(p, "\\s", REMOVED, false, e) ||
	       pretokenizer_split(p, "[!-/:-@\\[-`{-~\\p{P}]", ISOLATED, false, e);
}

static const struct normalizer_type normalizers[] = { { "BertNormalizer", parse_normalizer, run_normalizer, NULL },
	                                              { 0 } };
static const struct pretokenizer_type pretokenizers[] = { { "BertPreTokenizer", parse_pretokenizer }, { 0 } };

/* --- reading --- */

static bool is(const json_t *model, const char *type)
{
	return type ? !strcmp(type, "WordPiece") :
	              json_object_get(model, "continuing_subword_prefix") && !json_object_get(model, "merges");
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

static int rules(struct tokenizer *t, const json_t *all, struct err *e)
{
	const json_t *decoder = json_object_get(all, "decoder");
	const char *type = json_string_value(json_object_get(decoder, "type")), *prefix;
	struct wordpiece *w = tokenizer_own(t);
	int cleanup;
	if (!type || strcmp(type, "WordPiece") != 0)
		return err_set(e, "decoder \"%.64s\" is not supported, WordPiece is", type ? type : "without a type");
	if (jsonx_string(decoder, "prefix", "##", &prefix, e) || jsonx_bool(decoder, "cleanup", true, &cleanup, e))
		return -1;
	if (strcmp(prefix, w->prefix) != 0)
		return err_set(e, "the decoder's prefix is \"%.64s\", the model's \"%s\"", prefix, w->prefix);
	w->cleanup = cleanup;
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

/* The text with every `from` replaced. */
static void replace(struct buf *text, const char *from, const char *to)
{
	struct buf out = BUF_INIT;
	size_t n = strlen(from);
	for (const char *at = buf_str(text); *at;) {
		bool here = strncmp(at, from, n) == 0;
		buf_add(&out, here ? to : at, here ? strlen(to) : 1);
		at += here ? n : 1;
	}
	buf_release(text);
	*text = out;
}

static void piece(const struct tokenizer *t, const struct piece *p, bool first, struct buf *out)
{
	static const char *const cleanups[][2] = {
		{ " .", "." },     { " ?", "?" },     { " !", "!" },           { " ,", "," },
		{ " ' ", "'" },    { " n't", "n't" }, { " 'm", "'m" },         { " do not", " don't" },
		{ " 's", "'s" },   { " 've", "'ve" }, { " 're", "'re" },
	};
	const struct wordpiece *w = tokenizer_own(t);
	size_t head = strlen(w->prefix);
	bool goes_on = !first && p->n >= head && memcmp(p->text, w->prefix, head) == 0;
	struct buf text = BUF_INIT;
	if (!first && !goes_on)
		buf_addc(&text, ' ');
	buf_add(&text, p->text + (goes_on ? head : 0), p->n - (goes_on ? head : 0));
	for (size_t i = 0; w->cleanup && i < ARRAY_LEN(cleanups); i++)
		if (text.len && strstr(text.data, cleanups[i][0]))
			replace(&text, cleanups[i][0], cleanups[i][1]);
	buf_add(out, buf_str(&text), text.len);
	buf_release(&text);
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

static void save(const struct tokenizer *t, json_t *model)
{
	json_object_set_new(model, "vocab", vocab_json(tokenizer_vocab(t)));
}

const struct token_model token_model_wordpiece = {
	.name = "WordPiece",
	.type = "WordPiece",
	.normalizers = normalizers,
	.pretokenizers = pretokenizers,
	.own_size = sizeof(struct wordpiece),
	.is = is,
	.load = load,
	.rules = rules,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.encode = encode,
	.piece = piece,
	.find = find,
	.save = save,
};
