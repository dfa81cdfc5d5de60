/* encoding: offers weighed. */
#include "guard/encoding.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

const struct encoding *encoding_find(const char *name)
{
	for (const struct encoding *const *e = encoding_table; *e; e++)
		if (!strcmp((*e)->name, name))
			return *e;
	return NULL;
}

bool encoding_alnum(char c) { return (c >= '0' && c <= '9') || language_letter(c) >= 0; }

void words_add(struct words *w, struct word word)
{
	if (w->n == w->cap) {
		w->cap = MAX((size_t)64, 2 * w->cap);
		w->of = mem_grow(w->of, w->cap, sizeof(*w->of));
	}
	w->of[w->n++] = word;
}

void finder_put(struct finder *f, const char *bytes, size_t n, size_t begin, size_t end)
{
	mapped_put(&f->put, bytes, n, f->text->from[begin], f->text->to[end - 1]);
}

void finder_drop(struct finder *f) { mapped_clear(&f->put); }

static bool keep(struct finder *f, size_t begin, size_t end, double evidence, bool hidden)
{
	bool kept = f->put.s.len && evidence > 0;

	if (kept)
		f->keep(f->ctx, f, begin, end, 1 - exp2(-1 - evidence / 4), hidden);
	finder_drop(f);
	return kept;
}

/* What was put, as a language; false: it is nothing that could be kept, and is dropped. */
static bool weigh(struct finder *f, struct language *l)
{
	bool may = f->put.s.len && f->room(f->ctx, f->put.s.len) && language_may(f->put.s.data, f->put.s.len);

	if (may)
		*l = language_look(f->put.s.data, f->put.s.len);
	else
		finder_drop(f);
	return may;
}

bool finder_offer(struct finder *f, size_t begin, size_t end, double cost)
{
	struct language l;

	return weigh(f, &l) && keep(f, begin, end, l.valid ? cost - l.bits - f->prior : 0, language_reads(&l));
}

bool finder_offer_unseen(struct finder *f, size_t begin, size_t end)
{
	struct language l;

	return weigh(f, &l) && keep(f, begin, end, l.valid ? 4 * (double)l.characters - f->prior : 0, true);
}

bool finder_offer_escaped(struct finder *f, size_t begin, size_t end, size_t idle)
{
	if (!f->put.s.len || !f->room(f->ctx, f->put.s.len)) {
		finder_drop(f);
		return false;
	}
	struct language l = language_look(f->put.s.data, f->put.s.len);
	return keep(f, begin, end, 1 + 3 * (double)idle, idle >= 4 && language_reads(&l));
}
