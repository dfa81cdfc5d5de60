/* tokenizer: text to ids and back.
 *
 * Encoding: added tokens are split off the text as it is; what is left is normalized; added tokens that are written
 * normalized are split off that; what is left is cut into words; each word goes through the tokenizer's model
 * (token/token_model.h). Every stage knows for each byte where in the original it came from. Decoding is
 * the rules' (token/decoder.h). */
#include "token/tokenizer.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/tokenizer_parts.h"

void tokens_add(struct tokens *t, int32_t id)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->id = mem_grow(t->id, t->cap, sizeof(*t->id));
	}
	t->id[t->n++] = id;
}

void tokens_release(struct tokens *t)
{
	mem_free(t->id);
	*t = (struct tokens){ 0 };
}

struct tokenizer *tokenizer_new(const struct token_model *model)
{
	struct tokenizer *t = mem_alloc(sizeof(*t));
	t->model = model;
	t->own = mem_alloc(model->own_size);
	t->rows = SIZE_MAX;
	t->bos = t->eos = t->pad = t->unk = t->mask = -1;
	return t;
}

void tokenizer_free(struct tokenizer *t)
{
	if (!t)
		return;
	if (t->model->release)
		t->model->release(t);
	mem_free(t->own);
	normalizer_release(&t->normalizer);
	vocab_release(&t->vocab);
	pretokenizer_free(t->pretokenizer);
	decoder_free(t->decoder);
	added_release(&t->raw);
	added_release(&t->normal);
	tokens_release(&t->front);
	tokens_release(&t->back);
	mem_free(t->added);
	mem_free(t->template);
	mem_free(t->tool_template);
	json_decref(t->rules);
	json_decref(t->config);
	mem_free(t);
}

int tokenizer_bound(struct tokenizer *t, size_t rows, const char *where, struct err *e)
{
	int32_t front = tokenizer_front(t);
	const struct { const char *key; int32_t id; } used[] = { { "bos_token", t->bos }, { "eos_token", t->eos },
		                                                  { "the post_processor's token", front } };
	if (t->own_n > rows)
		return err_set(e, "%s: the tokenizer has %zu tokens, the model only %zu: they do not belong together",
		               where, t->own_n, rows);
	for (size_t i = 0; i < ARRAY_LEN(used); i++)
		if (used[i].id >= 0 && (size_t)used[i].id >= rows)
			return err_set(e,
			               "%s: %s is \"%.64s\", whose id %d is beyond the %zu rows of the model's "
			               "embedding",
			               where, used[i].key, t->vocab.piece[used[i].id].text, used[i].id, rows);
	t->rows = rows;
	return 0;
}

size_t tokenizer_size(const struct tokenizer *t) { return t->vocab.n; }
int32_t tokenizer_bos(const struct tokenizer *t) { return t->bos; }
int32_t tokenizer_eos(const struct tokenizer *t) { return t->eos; }
int32_t tokenizer_pad(const struct tokenizer *t) { return t->pad; }
int32_t tokenizer_mask(const struct tokenizer *t) { return t->mask; }
int32_t tokenizer_front(const struct tokenizer *t) { return t->front.n ? t->front.id[0] : -1; }
const char *tokenizer_template(const struct tokenizer *t) { return t->template; }

const char *tokenizer_tool_template(const struct tokenizer *t) { return t->tool_template; }

struct around tokenizer_around(const struct tokenizer *t)
{
	return (struct around){ t->front.id, t->back.id, t->front.n, t->back.n };
}

void tokenizer_begin(const struct tokenizer *t, struct tokens *ids)
{
	for (size_t i = 0; i < t->front.n; i++)
		tokens_add(ids, t->front.id[i]);
}

const char *tokenizer_text(const struct tokenizer *t, int32_t id)
{
	return id >= 0 && (size_t)id < t->vocab.n ? t->vocab.piece[id].text : NULL;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
	return id >= 0 && (size_t)id < t->vocab.n && t->vocab.piece[id].flags & PIECE_SPECIAL;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *piece, size_t n)
{
	int32_t id = vocab_find_any(&t->vocab, piece, n);
	return id >= 0 && t->vocab.piece[id].flags & PIECE_ADDED ? id : t->model->find(t, piece, n);
}

struct vocab *tokenizer_vocab(const struct tokenizer *t) { return (struct vocab *)&t->vocab; }
void *tokenizer_own(const struct tokenizer *t) { return t->own; }
const struct decoder *tokenizer_decoder(const struct tokenizer *t) { return t->decoder; }
const json_t *tokenizer_rules(const struct tokenizer *t) { return t->rules; }

/* --- encoding --- */

struct encoding {
	const struct tokenizer *t;
	int32_t beyond;              /* a token that the model has no row for, −1 */
	bool special;
	struct words *words;
	void *scratch;
	struct altered altered;
	struct tokens *out, *offsets, *ends;
	const char *text;            /* all of it */
	size_t n;
	struct err *e;
};

/* Where bytes [begin, end) of a slice end in the text: behind the character that the last of them came from, or where
 * the next byte came from if that is nearer. */
static uint32_t end_of(const struct encoding *c, const struct slice *s, size_t begin, size_t end)
{
	uint32_t character, last = slice_origin(s, end - 1);
	if (!s->origin || end == begin)
		return end == begin ? slice_origin(s, begin) : last + 1;
	size_t k = last < c->n ? utf8_decode(c->text + last, c->n - last, &character) : 0;
	uint32_t behind = last + (uint32_t)MAX(k, (size_t)1), next = end < s->n ? slice_origin(s, end) : behind;
	return next > last ? MIN(next, behind) : behind;
}

/* The token of bytes [begin, end) of a slice. */
static void emit(struct encoding *c, int32_t id, const struct slice *s, size_t begin, size_t end)
{
	if ((size_t)id >= c->t->rows)
		c->beyond = id;
	tokens_add(c->out, id);
	if (c->offsets)
		tokens_add(c->offsets, (int32_t)slice_origin(s, begin));
	if (c->ends)
		tokens_add(c->ends, (int32_t)end_of(c, s, begin, end));
}

/* Where token i of a word ends: where the next begins that does not begin at the same character. */
static size_t token_end(const struct token_at *token, size_t i, size_t n, size_t end)
{
	size_t k = i + 1;
	while (k < n && token[k].begin == token[i].begin)
		k++;
	return k < n ? token[k].begin : end;
}

static int encode_words(struct encoding *c, const struct slice *text)
{
	struct slice word;
	if (pretokenizer_run(c->t->pretokenizer, text, c->words, c->e))
		return -1;
	while (words_next(c->words, &word)) {
		size_t n;
		const struct token_at *token = c->t->model->encode(c->t, c->scratch, word.text, word.n, &n);
		for (size_t i = 0; i < n; i++)
			emit(c, token[i].id, &word, token[i].begin, c->ends ? token_end(token, i, n, word.n) : 0);
	}
	return 0;
}

/* Splits added tokens off; what is left goes to `rest`. */
static int encode_added(struct encoding *c, const struct added *a, const struct slice *text,
                        int (*rest)(struct encoding *, const struct slice *))
{
	struct added_search s = { 0 };
	struct added_match m;
	struct slice part;
	while (added_next(a, text->text, text->n, c->special, &s, &m)) {
		part = slice_part(text, s.floor, m.begin);
		if (m.begin > s.floor && rest(c, &part))
			return -1;
		emit(c, m.id, text, m.begin, m.end);
		s.floor = MAX(s.floor, m.end);
	}
	part = slice_part(text, s.floor, text->n);
	return part.n ? rest(c, &part) : 0;
}

static int encode_normal(struct encoding *c, const struct slice *text)
{
	struct slice normal;
	if (normalizer_run(&c->t->normalizer, text, &normal, &c->altered, c->e))
		return -1;
	return encode_added(c, &c->t->normal, &normal, encode_words);
}

int tokenizer_encode_spans(const struct tokenizer *t, const char *text, size_t n, int flags, struct tokens *out,
                           struct tokens *begins, struct tokens *ends, struct err *e)
{
	size_t bad;
	if (n > 1u << 30)
		return err_set(e, "a text of %zu bytes is too long to tokenize at once, %u at most", n, 1u << 30);
	if (!utf8_valid(text, n, &bad))
		return err_set(e, "the text is not valid UTF-8 at byte %zu", bad);
	struct encoding c = { .t = t, .beyond = -1, .special = flags & TOKENIZE_SPECIAL, .out = out,
		              .offsets = begins, .ends = ends, .text = text, .n = n, .e = e };
	struct slice all = { .text = text, .n = n };
	c.words = words_new();
	c.scratch = t->model->scratch_new();
	int rc = encode_added(&c, &t->raw, &all, encode_normal);
	altered_release(&c.altered);
	t->model->scratch_free(c.scratch);
	words_free(c.words);
	if (rc == 0 && c.beyond >= 0)
		rc = err_set(e,
		             "the text has the token \"%.64s\", whose id %d is beyond the %zu rows of the model's "
		             "embedding",
		             t->vocab.piece[c.beyond].text, c.beyond, t->rows);
	return rc;
}

int tokenizer_encode_offsets(const struct tokenizer *t, const char *text, size_t n, int flags, struct tokens *out,
                             struct tokens *offsets, struct err *e)
{
	return tokenizer_encode_spans(t, text, n, flags, out, offsets, NULL, e);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, int flags, struct tokens *out,
                     struct err *e)
{
	return tokenizer_encode_offsets(t, text, n, flags, out, NULL, e);
}

/* --- decoding --- */

static const struct piece *piece_at(const struct tokenizer *t, int32_t id)
{
	if (id < 0 || (size_t)id >= t->vocab.n)
		BUG("token %d of %zu", id, t->vocab.n);
	return &t->vocab.piece[id];
}

static void put_piece(const struct tokenizer *t, int32_t id, struct texts *out)
{
	const struct piece *p = piece_at(t, id);
	if (p->text)
		texts_add(out, p->text, p->n, p->flags & PIECE_ADDED);
}

void tokenizer_piece(const struct tokenizer *t, int32_t id, struct buf *out)
{
	const struct piece *p = piece_at(t, id);
	if (p->text && p->flags & PIECE_SPECIAL)
		buf_add(out, p->text, p->n);
	else
		tokenizer_decode_next(t, id, false, false, out);
}

void tokenizer_decode_next(const struct tokenizer *t, int32_t id, bool skip_special, bool first, struct buf *out)
{
	struct texts list = { 0 };
	if (!skip_special || !tokenizer_is_special(t, id))
		put_piece(t, id, &list);
	if (list.n)
		decoder_run(t->decoder, &list, first, false, out);
	texts_release(&list);
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

int tokenizer_word(const struct tokenizer *t, int32_t id)
{
	const struct piece *p = piece_at(t, id);
	struct buf text = BUF_INIT;
	int word = 0;

	if (tokenizer_is_special(t, id))
		return WORD_SPECIAL;
	if (t->model->begins_word)
		return p->text && t->model->begins_word(t, p->text, p->n) ? WORD_BEGINS : 0;
	tokenizer_piece(t, id, &text);
	if (text.len && is_space(text.data[0]))
		word |= WORD_BEGINS;
	if (text.len && is_space(text.data[text.len - 1]) && strspn(buf_str(&text), " ") < text.len)
		word |= WORD_ENDS;
	buf_release(&text);
	return word;
}

void tokenizer_decode(const struct tokenizer *t, const int32_t *id, size_t n, bool skip_special, struct buf *out)
{
	struct texts list = { 0 };
	for (size_t i = 0; i < n; i++)
		if (!skip_special || !tokenizer_is_special(t, id[i]))
			put_piece(t, id[i], &list);
	decoder_run(t->decoder, &list, true, true, out);
	texts_release(&list);
}

/* --- identity --- */

char *tokenizer_hash_text(const struct tokenizer *t)
{
	struct buf b = BUF_INIT;
	char *rules = jsonx_line(t->rules);
	for (size_t i = 0; i < t->vocab.n; i++)
		buf_addf(&b, "%zu %d %s\n", i, t->vocab.piece[i].flags,
		         t->vocab.piece[i].text ? t->vocab.piece[i].text : "");
	if (t->model->hash)
		t->model->hash(t, &b);
	for (size_t i = 0; i < t->n_added; i++)
		buf_addf(&b, "added %d %d%d%d%d%d\n", t->added[i].id, t->added[i].special, t->added[i].single_word,
		         t->added[i].lstrip, t->added[i].rstrip, t->added[i].normalized);
	buf_addf(&b, "bos %d eos %d pad %d front %d\n%s\n", t->bos, t->eos, t->pad, tokenizer_front(t), rules);
	mem_free(rules);
	return buf_detach(&b, NULL);
}
