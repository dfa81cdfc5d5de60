/* model_rwkv: RWKV's tokenizer: of the tokens with which the rest of a text begins the longest is taken, byte by byte.
 * Every byte is a token, so nothing is unknown.
 *
 * Its own file has an id, a Python literal (text or bytes) and a number of bytes a line; id 0, the end, is not in it.
 * In GGUF it is "rwkv", whose tokens are texts with Python's escapes. Neither tokenizers nor transformers has a form
 * for it: a tokenizer.json of type RWKV, with tokens written in GPT-2's alphabet, is ours. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/added.h"
#include "token/alphabet.h"
#include "token/tokenizer_files.h"
#include "token/tokenizer_parts.h"

struct rwkv {
	struct added tokens;
	struct arena mem;
};

static bool is(const json_t *j, const json_t *model, const char *type)
{
	(void)j;
	(void)model;
	return type && !strcmp(type, "RWKV");
}

/* The tokens as bytes, once the vocabulary is there. */
static int begin(struct tokenizer *t, struct err *e)
{
	struct rwkv *r = tokenizer_own(t);
	const struct vocab *v = tokenizer_vocab(t);
	bool byte[256] = { 0 };
	for (size_t i = 0; i < v->n; i++) {
		struct buf bytes = BUF_INIT;
		if (!v->piece[i].text || !alphabet_read(&bytes, v->piece[i].text, v->piece[i].n) || !bytes.len)
			continue;
		struct added_token token = { .text = arena_strndup(&r->mem, bytes.data, bytes.len),
			                     .n = bytes.len,
			                     .id = (int32_t)i };
		byte[(uint8_t)*token.text] |= token.n == 1;
		buf_release(&bytes);
		if (added_put(&r->tokens, &token, e))
			return -1;
	}
	for (int i = 0; i < 256; i++)
		if (!byte[i])
			return err_set(e, "the vocabulary has no token of the byte 0x%02X alone", (unsigned)i);
	return added_ready(&r->tokens, e);
}

static int load(struct tokenizer *t, const json_t *model, struct err *e)
{
	return vocab_read(tokenizer_vocab(t), json_object_get(model, "vocab"), e) || begin(t, e) ? -1 : 0;
}

static int load_gguf(struct tokenizer *t, const struct gguf *g, struct err *e)
{
	(void)g;
	return begin(t, e);
}

static json_t *rules_json(void)
{
	return json_pack("{s:n,s:{s:s,s:b,s:b},s:n,s:{s:s},s:{s:s}}", "normalizer", "pre_tokenizer", "type",
	                 "ByteLevel", "add_prefix_space", 0, "use_regex", 0, "post_processor", "decoder", "type",
	                 "ByteLevel", "model", "type", "RWKV");
}

static json_t *gguf_rules(const struct gguf *g, bool *add_bos, struct err *e)
{
	(void)g;
	(void)e;
	*add_bos = false;
	return rules_json();
}

static void release(struct tokenizer *t)
{
	struct rwkv *r = tokenizer_own(t);
	added_release(&r->tokens);
	arena_release(&r->mem);
}

/* --- Python's literals --- */

/* One escape at the backslash: what it stands for, and how long it is; 0: none. */
static size_t escape(const char *s, size_t n, uint32_t *c)
{
	static const char plain[][2] = { { 'n', '\n' }, { 't', '\t' }, { 'r', '\r' }, { '\\', '\\' }, { '\'', '\'' },
		                         { '"', '"' },  { 'a', '\a' }, { 'b', '\b' }, { 'f', '\f' },  { 'v', '\v' } };
	static const struct {
		char kind;
		size_t digits;
	} coded[] = { { 'x', 2 }, { 'u', 4 }, { 'U', 8 } };
	for (size_t i = 0; n > 1 && i < ARRAY_LEN(plain); i++) {
		if (s[1] == plain[i][0]) {
			*c = (uint8_t)plain[i][1];
			return 2;
		}
	}
	for (size_t i = 0; n > 1 && i < ARRAY_LEN(coded); i++) {
		char digits[16] = { 0 }, *end;
		if (s[1] != coded[i].kind || n < 2 + coded[i].digits)
			continue;
		memcpy(digits, s + 2, coded[i].digits);
		*c = (uint32_t)strtoul(digits, &end, 16);
		return *end ? 0 : 2 + coded[i].digits;
	}
	return 0;
}

/* What stands between the quotes; \x is a byte of bytes, a character of a text. */
static int unescape(const char *s, size_t n, bool bytes, struct buf *out)
{
	for (size_t at = 0, k; at < n; at += k) {
		char text[4];
		uint32_t c;
		k = 1;
		if (s[at] != '\\') {
			buf_addc(out, s[at]);
			continue;
		}
		k = escape(s + at, n - at, &c);
		if (k == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000) || (bytes && c > 0xFF))
			return -1;
		if (bytes)
			buf_addc(out, (char)c);
		else
			buf_add(out, text, utf8_encode(c, text));
	}
	return 0;
}

static int gguf_text(const char *text, size_t n, bool control, struct buf *out)
{
	struct buf bytes = BUF_INIT;
	int rc = 0;
	if (control)
		buf_add(out, text, n);
	else if ((rc = unescape(text, n, true, &bytes)) == 0 && bytes.len)
		alphabet_write(out, bytes.data, bytes.len);
	buf_release(&bytes);
	return rc;
}

/* --- its own file --- */

static int read_line(struct vocab *v, const char *line, size_t n, size_t number, struct err *e)
{
	struct buf bytes = BUF_INIT, text = BUF_INIT;
	const char *first = memchr(line, ' ', n), *last = first ? memrchr(line, ' ', n) : NULL;
	bool is_bytes = first && first[1] == 'b';
	const char *open = first ? first + 1 + is_bytes : NULL;
	int rc = -1;
	if (first && last > open + 1 && (*open == '\'' || *open == '"') && last[-1] == *open)
		rc = unescape(open + 1, (size_t)(last - open) - 2, is_bytes, &bytes);
	if (rc || (size_t)strtoul(last + 1, NULL, 10) != bytes.len || !bytes.len) {
		rc = err_set(e, "line %zu is no id, Python literal and number of its bytes", number);
	} else {
		alphabet_write(&text, bytes.data, bytes.len);
		rc = vocab_put(v, text.data, text.len, strtoll(line, NULL, 10), PIECE_MODEL, e);
	}
	buf_release(&bytes);
	buf_release(&text);
	return rc;
}

static int read_file(struct tokenizer *t, const struct buf *file, struct err *e)
{
	static const char end[] = "<|endoftext|>";
	const char *text = buf_str(file);
	size_t number = 1;
	for (size_t at = 0; at < file->len; number++) {
		size_t n = strcspn(text + at, "\n"), length = n && text[at + n - 1] == '\r' ? n - 1 : n;
		if (length && read_line(&t->vocab, text + at, length, number, e))
			return -1;
		at += n + 1;
	}
	if (begin(t, e))
		return -1;
	json_t *rules = rules_json(), *config = json_pack("{s:s}", "eos_token", end);
	json_object_set_new(rules, "added_tokens",
	                    json_pack("[{s:i,s:s,s:b,s:b}]", "id", 0, "content", end, "special", 1, "normalized", 0));
	int rc = tokenizer_set_rules(t, rules, config, e);
	json_decref(rules);
	json_decref(config);
	return rc;
}

struct tokenizer *rwkv_open(const char *path, json_t *config, struct err *e)
{
	struct tokenizer *t = tokenizer_new(token_model_of("RWKV"));
	struct buf file = BUF_INIT;
	(void)config;
	int rc = io_read(&file, path, e);
	if (rc == 0 && (rc = read_file(t, &file, e)))
		err_prefix(e, "%s", path);
	buf_release(&file);
	if (rc == 0)
		return t;
	tokenizer_free(t);
	return NULL;
}

/* --- words --- */

struct scratch {
	struct token_at *token;
	size_t cap;
};

static void *scratch_new(void) { return mem_alloc(sizeof(struct scratch)); }

static void scratch_free(void *scratch)
{
	mem_free(((struct scratch *)scratch)->token);
	mem_free(scratch);
}

static const struct token_at *encode(const struct tokenizer *t, void *scratch, const char *word, size_t n,
                                     size_t *n_tokens)
{
	const struct rwkv *r = tokenizer_own(t);
	struct scratch *s = scratch;
	struct added_search search = { 0 };
	struct added_match m;
	size_t k = 0;
	if (n > s->cap) {
		s->cap = 2 * n;
		s->token = mem_grow(s->token, s->cap, sizeof(*s->token));
	}
	while (added_next(&r->tokens, word, n, false, &search, &m))
		s->token[k++] = (struct token_at){ m.id, (uint32_t)m.begin };
	*n_tokens = k;
	return s->token;
}

static int32_t find(const struct tokenizer *t, const char *bytes, size_t n)
{
	return vocab_find_bytes(tokenizer_vocab(t), bytes, n);
}

static void save(const struct tokenizer *t, json_t *model)
{
	json_object_set_new(model, "vocab", vocab_json(tokenizer_vocab(t)));
}

const struct token_model token_model_rwkv = {
	.name = "RWKV",
	.type = "RWKV",
	.gguf = "rwkv",
	.bytes = true,
	.own_size = sizeof(struct rwkv),
	.is = is,
	.load = load,
	.gguf_text = gguf_text,
	.load_gguf = load_gguf,
	.gguf_rules = gguf_rules,
	.release = release,
	.scratch_new = scratch_new,
	.scratch_free = scratch_free,
	.encode = encode,
	.find = find,
	.save = save,
};
