/* signs: a stretch is words that all stand for letters. */
#include "guard/signs.h"

static const bool blank[256] = { [' '] = true, ['\n'] = true, ['\t'] = true, ['\r'] = true }; /* encoding_blank */

void signs_find(struct finder *f, const struct signs *s)
{
	size_t begin = 0, end = 0, letters = 0;

	if (!f->room(f->ctx, f->n))
		return;
	for (size_t i = 0; i < f->n;) {
		size_t k = i, blanks = i;
		while (k < f->n && !blank[(uint8_t)f->s[k]])
			k++;
		char c = k > i ? s->read(f->s + i, k - i) : 0;
		if (!c) {
			if (letters >= s->least)
				finder_offer(f, begin, end, s->cost * (double)letters);
			if (f->put.s.len)
				finder_drop(f);
			letters = 0;
		} else {
			if (!f->put.s.len)
				begin = i;
			finder_put(f, &c, 1, i, k);
			letters += c != ' ';
			end = k;
		}
		for (blanks = k; blanks < f->n && blank[(uint8_t)f->s[blanks]]; blanks++) {}
		if (c && s->wide_blanks && blanks - k > 1 && blanks < f->n)
			finder_put(f, " ", 1, k, blanks);
		i = blanks;
	}
	if (letters >= s->least)
		finder_offer(f, begin, end, s->cost * (double)letters);
	finder_drop(f);
}
