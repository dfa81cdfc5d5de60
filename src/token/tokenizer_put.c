/* tokenizer_put: a tokenizer as GGUF's metadata. See tokenizer_put.h; types and keys are ggml's docs/gguf.md. */
#include "token/tokenizer_put.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "token/gguf_known.h"
#include "token/tokenizer_parts.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER_DEFINED, TYPE_UNUSED, TYPE_BYTE };

/* --- texts to compare by --- */

void probe_text(struct buf *out, size_t i, bool composed)
{
	static const char *const part[PROBES] = {
		"a", "B", "Don't", "'LL", "\xe2\x80\x99s", " ", "  ", "\t", "\n", "\r\n", " x", "7", "12", "12345",
		"\xc2\xb2", "\xe2\x85\xa7", "\xef\xbc\x94", "\xd9\xa3", "\xc3\xa9", "\xce\xa9", "\xc7\x85", "\xca\xb0",
		"\xe6\xbc\xa2\xe5\xad\x97", "\xe3\x81\x82", "\xe3\x82\xab", "\xed\x95\x9c", "\xe0\xb8\x81",
		"\xd0\x96", "!", "?!", "_", "-", "/", "$", "#", "\xc2\xab", "\xe0\xa5\xa4",
		"\xf0\x9f\x99\x82", "\xc2\xa0", "\xcc\x81",
	};
	size_t n = composed ? PROBES - 1 : PROBES; /* the last one is a mark */

	for (size_t k = 0; i < n && k < n * n; k++) {
		buf_adds(out, part[i]);
		buf_adds(out, part[k / n]);
		buf_adds(out, part[k % n]);
	}
}

/* --- pieces --- */

static int32_t type_of(const struct tokenizer *t, const struct piece *p, int32_t id)
{
	if (!t->model->bytes && !t->model->put_text && t->unk == id)
		return TYPE_UNKNOWN;
	if (p->flags & PIECE_ADDED)
		return p->flags & PIECE_SPECIAL ? TYPE_CONTROL : TYPE_USER_DEFINED;
	return !t->model->bytes && p->n == 6 && !strncmp(p->text, "<0x", 3) ? TYPE_BYTE : TYPE_NORMAL;
}

static struct gguf_string text_of(const struct tokenizer *t, const struct piece *p, int32_t type, struct arena *mem)
{
	struct buf text = BUF_INIT;

	if (!t->model->put_text)
		return (struct gguf_string){ p->text, p->n };
	t->model->put_text(p, type == TYPE_CONTROL, &text);
	struct gguf_string s = { arena_strndup(mem, buf_str(&text), text.len), text.len };
	buf_release(&text);
	return s;
}

static void put_pieces(const struct tokenizer *t, struct gguf_meta *meta, size_t rows)
{
	struct arena mem = ARENA_INIT;
	struct gguf_string *text = arena_array(&mem, rows, sizeof(*text));
	int32_t *type = arena_array(&mem, rows, sizeof(*type));

	for (size_t i = 0; i < rows; i++) {
		const struct piece *p = i < t->vocab.n && t->vocab.piece[i].text ? &t->vocab.piece[i] : NULL;
		const char *none = p ? NULL : arena_printf(&mem, "[PAD%zu]", i);
		type[i] = p ? type_of(t, p, (int32_t)i) : TYPE_UNUSED;
		text[i] = p ? text_of(t, p, type[i], &mem) : (struct gguf_string){ none, strlen(none) };
	}
	gguf_put_strings(meta, "tokenizer.ggml.tokens", text, rows);
	gguf_put_numbers(meta, "tokenizer.ggml.token_type", GGUF_I32, type, rows);
	arena_release(&mem);
}

/* Attributes of added tokens that the file cannot say. */
static void tell_attributes(const struct tokenizer *t, const char *where)
{
	const struct added_token *first = NULL;
	size_t n = 0;

	for (size_t i = 0; i < t->n_added; i++)
		if (t->added[i].single_word || t->added[i].lstrip || t->added[i].rstrip) {
			first = first ? first : &t->added[i];
			n++;
		}
	if (n)
		log_warn("%s: GGUF has no word for lstrip, rstrip and single_word of added tokens: \"%.64s\"%s is "
		         "split off without the spaces beside it", where, first->text, n > 1 ? " and others" : "");
}

/* --- ids --- */

static void put_id(struct gguf_meta *meta, const char *key, int32_t id, size_t rows)
{
	if (id >= 0 && (size_t)id < rows)
		gguf_put_u32(meta, key, (uint32_t)id);
}

static bool is_end_by_text(const struct tokenizer *t, int32_t id)
{
	const struct piece *p = (size_t)id < t->vocab.n ? &t->vocab.piece[id] : NULL;

	return p && p->text && gguf_is_end(p->text, p->n);
}

/* The token that tokenizer_config.json calls so. */
static void put_named(const struct tokenizer *t, struct gguf_meta *meta, const char *name, const char *key, size_t rows)
{
	const json_t *token = json_object_get(t->config, name);
	const char *text = json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);

	put_id(meta, key, text ? vocab_find(&t->vocab, text, strlen(text)) : -1, rows);
}

/* eos, and others that llama.cpp does not know by their text: it has two more names for such. */
static void put_ends(const struct tokenizer *t, struct gguf_meta *meta, size_t rows, const struct tokens *ends,
                     int32_t eos, const char *where)
{
	static const char *const keys[] = { "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id" };
	size_t used = 0;

	if (eos < 0 && ends->n)
		eos = ends->id[0];

	put_id(meta, "tokenizer.ggml.eos_token_id", eos, rows);
	for (size_t i = 0; i < ends->n; i++) {
		if (ends->id[i] == eos || is_end_by_text(t, ends->id[i]))
			continue;
		if (used < ARRAY_LEN(keys))
			put_id(meta, keys[used++], ends->id[i], rows);
		else
			log_warn("%s: token %d ends an answer, and GGUF has no word for so many ends", where,
			         ends->id[i]);
	}
}

/* --- templates --- */

static void put_templates(const struct tokenizer *t, struct gguf_meta *meta)
{
	const json_t *list = json_object_get(t->config, "chat_template"), *item;
	struct gguf_string *name = mem_array(json_array_size(list) + 1, sizeof(*name));
	size_t i, n = 0;

	if (t->template)
		gguf_put_str(meta, "tokenizer.chat_template", t->template);
	json_array_foreach(list, i, item) {
		const char *word = json_string_value(json_object_get(item, "name"));
		if (!strcmp(word, "default"))
			continue;
		char *key = mem_printf("tokenizer.chat_template.%s", word);
		gguf_put_str(meta, key, json_string_value(json_object_get(item, "template")));
		mem_free(key);
		name[n++] = (struct gguf_string){ word, strlen(word) };
	}
	if (n)
		gguf_put_strings(meta, "tokenizer.chat_templates", name, n);
	mem_free(name);
}

/* --- all --- */

/* The token at one side of a text, or the one of that role; −2 and a sentence: GGUF has no word for what is there. */
static int32_t side_of(const struct tokenizer *t, const struct tokens *list, int32_t role, const char *side,
                       const char *where, struct err *e)
{
	bool always = t->model->gguf_behind, other = list->n == 1 && role >= 0 && role != list->id[0] && !always;

	if (list->n > 1 || other) {
		err_set(e, "%s: the tokenizer puts \"%.64s\" %s a text, where GGUF has a word for one token of that "
		           "role alone", where, t->vocab.piece[list->id[0]].text, side);
		return -2;
	}
	if (always && !list->n) {
		err_set(e, "%s: the tokenizer puts nothing %s a text, where GGUF's of its kind always have a token",
		        where, side);
		return -2;
	}
	return list->n ? list->id[0] : role;
}

int tokenizer_put_gguf(const struct tokenizer *t, struct gguf_meta *meta, size_t rows, const struct tokens *ends,
                       const char *where, struct err *e)
{
	const char *behind = t->model->gguf_behind;

	if (!t->model->gguf || !t->model->put_gguf)
		return err_set(e, "%s: its kind of tokenizer, %s, is read, and not written as GGUF", where,
		               t->model->name);
	int32_t front = side_of(t, &t->front, t->bos, "in front of", where, e);
	int32_t back = front == -2 ? -2 : side_of(t, &t->back, behind ? -1 : t->eos, "behind", where, e);
	if (back == -2)
		return -1;
	gguf_put_str(meta, "tokenizer.ggml.model", t->model->gguf);
	if (t->model->put_gguf(t, meta, rows, e) < 0) {
		err_prefix(e, "%s", where);
		return -1;
	}
	put_pieces(t, meta, rows);
	put_id(meta, "tokenizer.ggml.bos_token_id", front, rows);
	put_ends(t, meta, rows, ends, behind || back < 0 ? t->eos : back, where);
	if (behind)
		put_id(meta, behind, back, rows);
	if (!behind)
		put_id(meta, "tokenizer.ggml.unknown_token_id", t->unk, rows);
	put_id(meta, "tokenizer.ggml.padding_token_id", t->pad, rows);
	put_named(t, meta, "mask_token", "tokenizer.ggml.mask_token_id", rows);
	gguf_put_bool(meta, "tokenizer.ggml.add_bos_token", t->front.n > 0);
	gguf_put_bool(meta, "tokenizer.ggml.add_eos_token", !behind && t->back.n > 0);
	if (behind)
		gguf_put_bool(meta, "tokenizer.ggml.add_sep_token", true);
	put_templates(t, meta);
	tell_attributes(t, where);
	return 0;
}

/* --- comparing --- */

static bool same_ids(const struct tokenizer *a, const struct tokenizer *b, const struct buf *text, int flags,
                     size_t *at)
{
	struct tokens x = { 0 }, y = { 0 }, where = { 0 };
	struct err ignored = ERR_INIT;
	bool same = tokenizer_encode_offsets(a, text->data, text->len, flags, &x, &where, &ignored) == 0 &&
	            tokenizer_encode(b, text->data, text->len, flags, &y, &ignored) == 0;
	size_t i = 0;

	while (i < x.n && i < y.n && x.id[i] == y.id[i])
		i++;
	same = same && x.n == y.n && i == x.n;
	*at = i < where.n ? (size_t)where.id[i] : 0;
	tokens_release(&x);
	tokens_release(&y);
	tokens_release(&where);
	return same;
}

static int check_plain(const struct tokenizer *t, const struct tokenizer *again, const char *where, struct err *e)
{
	bool composed = t->normalizer.n > 0;

	for (size_t i = 0; i < PROBES; i++) {
		struct buf text = BUF_INIT;
		size_t at;
		probe_text(&text, i, composed);
		bool same = !text.len || same_ids(t, again, &text, 0, &at);
		if (!same)
			err_set(e, "%s: GGUF has no word for how the tokenizer reads a text: at \"%.16s\" it would be "
			           "cut otherwise", where, text.data + at);
		buf_release(&text);
		if (!same)
			return -1;
	}
	return 0;
}

/* Words around special tokens, of which a model has many: the first ones. */
static void check_special(const struct tokenizer *t, const struct tokenizer *again, const char *where)
{
	struct buf text = BUF_INIT;
	size_t used = 0, at;

	for (size_t i = 0; i < t->n_added && used < 16; i++)
		if (t->added[i].special) {
			buf_addf(&text, "%suser\nA word, and %s\n", t->added[i].text, t->added[i].text);
			used++;
		}
	if (used && !same_ids(t, again, &text, TOKENIZE_SPECIAL, &at))
		log_warn("%s: beside special tokens a text gets other ids from a GGUF than from this folder (spaces at "
		         "\"%.24s\")", where, buf_str(&text) + at);
	buf_release(&text);
}

int tokenizer_check_gguf(const struct tokenizer *t, const struct gguf *g, const char *where, struct err *e)
{
	struct tokenizer *again = tokenizer_from_gguf(g, e);

	if (!again)
		return -1;
	int status = check_plain(t, again, where, e);
	if (status == 0)
		check_special(t, again, where);
	tokenizer_free(again);
	return status;
}
