/* canonical: a queue of texts. Each is cleaned and folded, then every encoding of the table looks for itself in it,
 * unless it is the one that the text was written in; what is kept joins the queue. A finder's work is linear in the
 * text, each text is looked at once, and the bytes of all are bounded by the original's, so is the whole. */
#include "guard/canonical.h"

#include <string.h>

#include "base/mem.h"

const struct canonical_limits canonical_usual = { .depth = 4, .texts = 256, .bytes = 4, .work = 400 };

#define HINT 10

enum { FREE_BYTES = 1 << 16, FREE_WORK = 1 << 20 };

struct making {
	struct canonical *c;
	const struct canonical_limits *l;
	size_t n;                  /* of the original */
	size_t of;                 /* the text that is looked at */
	double hint;               /* bits of evidence, where the text speaks of encodings */
};

static bool room(void *ctx, size_t bytes)
{
	struct making *m = ctx;

	m->c->work += bytes;
	if (m->c->work <= FREE_WORK + m->l->work * m->n)
		return true;
	m->c->capped = m->c->capped ? m->c->capped : "work";
	return false;
}

static struct canonical_text *add(struct canonical *c)
{
	if (c->n == c->cap) {
		c->cap = MAX((size_t)8, c->cap * 2);
		c->texts = mem_grow(c->texts, c->cap, sizeof(*c->texts));
	}
	struct canonical_text *t = &c->texts[c->n++];
	struct mapped clean = { 0 }, folded = { 0 };
	if (c->n > c->n_made) {
		c->n_made = c->n;
	} else {
		clean = t->clean;
		folded = t->folded;
		mapped_clear(&clean);
		mapped_clear(&folded);
	}
	*t = (struct canonical_text){ .parent = -1, .confidence = 1, .clean = clean, .folded = folded };
	return t;
}

/* from: as it is found; the text is to be cleaned. */
static void fill(struct making *m, struct canonical_text *t, const struct mapped *from)
{
	room(m, 2 * from->s.len);
	fold_clean(&t->clean, from, t->signs);
	fold_letters(&t->folded, &t->clean, t->signs);
}

static void keep(void *ctx, struct finder *f, size_t begin, size_t end, double confidence, bool hidden)
{
	struct making *m = ctx;
	struct canonical *c = m->c;
	const struct canonical_text *parent = &c->texts[m->of];
	const char *capped = NULL;

	if (parent->depth == m->l->depth)
		capped = "depth";
	else if (c->n >= m->l->texts)
		capped = "texts";
	else if (c->bytes + f->put.s.len > FREE_BYTES + m->l->bytes * m->n)
		capped = "bytes";

	if (capped) {
		c->capped = c->capped ? c->capped : capped;
		return;
	}
	struct canonical_text *t = add(c);
	t->by = f->by;
	t->parent = (int)m->of;
	t->depth = c->texts[m->of].depth + 1;
	t->confidence = confidence;
	t->hidden = hidden;
	mapped_span(f->text, begin, end, &t->begin, &t->end);
	c->bytes += f->put.s.len;
	fill(m, t, &f->put);
}

static void bytes_of(const struct mapped *m, bool has[256])
{
	memset(has, 0, 256);
	for (size_t i = 0; i < m->s.len; i++)
		has[(uint8_t)m->s.data[i]] = true;
}

static bool may_be(const struct encoding *e, const bool has[256])
{
	const char *c = e->signs;

	while (c && *c && !has[(uint8_t)*c])
		c++;
	return !c || *c;
}

/* The mapping's arrays stay where they are while texts are added; the texts themselves move. */
static void look(struct making *m, const struct mapped *raw)
{
	bool has[2][256];

	for (int k = 0; k < WORDS; k++)
		m->c->words[k].made = false;
	bytes_of(&m->c->texts[m->of].clean, has[0]);
	if (!m->of)
		bytes_of(raw, has[1]);
	for (const struct encoding *const *e = encoding_table; *e; e++) {
		struct mapped clean = m->c->texts[m->of].clean;
		const struct mapped *text = (*e)->raw ? raw : &clean;
		struct finder f = { .by = *e, .prior = (*e)->prior - m->hint, .text = text,
			            .s = text->s.data, .n = text->s.len,
			            .put = m->c->put, .words = m->c->words, .keep = keep, .room = room, .ctx = m };
		const struct encoding *by = m->c->texts[m->of].by;
		if (!text->s.len || (by && (*e)->raw) || (by == *e && by->once))
			continue;
		if (m->l->depth == 0 || !room(m, f.n) || !may_be(*e, has[(*e)->raw]))
			continue;
		(*e)->find(&f);
		mapped_clear(&f.put);
		m->c->put = f.put;
	}
}

/* Who asks for something to be decoded has encoded it. */
static bool speaks_of_encodings(const char *folded)
{
	static const char *const words[] = { "decode the", "decode this", "decoded", "encoded",
		                             "decipher",   "decrypt",     "unscramble" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strstr(folded, words[i]))
			return true;
	return false;
}

void canonical_make(struct canonical *c, const char *text, size_t n, const struct canonical_limits *l)
{
	struct making m = { .c = c, .l = l ? l : &canonical_usual, .n = n };

	if (n > CANONICAL_BYTES_MAX)
		BUG("%zu bytes of a text", n);
	c->n = 0;
	c->capped = NULL;
	c->work = c->bytes = 0;
	mapped_clear(&c->raw);
	mapped_clear(&c->put);
	mapped_original(&c->raw, text, n);
	struct canonical_text *t = add(c);
	t->end = n;
	fill(&m, t, &c->raw);
	m.hint = speaks_of_encodings(buf_str(&t->folded.s)) ? HINT : 0;
	for (; m.of < c->n; m.of++)
		look(&m, &c->raw);
}

void canonical_path(const struct canonical *c, size_t i, struct buf *out)
{
	for (const char *between = ""; c->texts[i].by; i = (size_t)c->texts[i].parent, between = " in ")
		buf_addf(out, "%s%s", between, c->texts[i].by->name);
}

void canonical_release(struct canonical *c)
{
	for (size_t i = 0; i < c->n_made; i++) {
		mapped_release(&c->texts[i].clean);
		mapped_release(&c->texts[i].folded);
	}
	mem_free(c->texts);
	mapped_release(&c->raw);
	mapped_release(&c->put);
	for (int k = 0; k < WORDS; k++)
		mem_free(c->words[k].of);
	*c = (struct canonical){ .n = 0 };
}
