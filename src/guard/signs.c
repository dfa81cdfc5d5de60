/* signs: a stretch is words that all stand for letters. */
#include "guard/signs.h"

/* What stands between blanks. */
static const struct words *words_of(struct finder *f)
{
	static const bool blank[256] = { [' '] = true, ['\n'] = true, ['\t'] = true, ['\r'] = true };
	struct words *w = &f->words[WORDS_BLANKS];

	if (w->made)
		return w;
	w->made = true;
	w->n = 0;
	for (size_t i = 0, end; i < f->n; i = end + 1) {
		for (end = i; end < f->n && !blank[(uint8_t)f->s[end]];)
			end++;
		if (end > i)
			words_add(w, (struct word){ (uint32_t)i, (uint32_t)end, 0, false });
	}
	return w;
}

void signs_find(struct finder *f, const struct signs *s)
{
	size_t begin = 0, end = 0, letters = 0;
	const struct words *words;

	if (!f->room(f->ctx, f->n))
		return;
	words = words_of(f);
	for (size_t i = 0; i <= words->n; i++) {
		const struct word *w = i < words->n ? &words->of[i] : NULL;
		char c = w ? s->read(f->s + w->begin, w->end - w->begin) : 0;
		if (!c) {
			if (letters >= s->least)
				finder_offer(f, begin, end, s->cost * (double)letters);
			if (f->put.s.len)
				finder_drop(f);
			letters = 0;
			continue;
		}
		if (!f->put.s.len)
			begin = w->begin;
		finder_put(f, &c, 1, w->begin, w->end);
		letters += c != ' ';
		end = w->end;
		if (s->wide_blanks && i + 1 < words->n && w[1].begin - w->end > 1)
			finder_put(f, " ", 1, w->end, w[1].begin);
	}
}
