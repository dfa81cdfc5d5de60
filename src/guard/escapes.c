/* escapes: a stretch is a run of characters with escapes in it, to the next blank or line end where none follows at
 * once; what is no escape is put as it is. */
#include "guard/escapes.h"

/* The stretch that begins at i; its end. */
static size_t stretch(struct finder *f, const struct escapes *e, size_t i)
{
	size_t begin = i, last = i, put = 0, idle = 0, seen = 0;

	for (char out[8]; i < f->n;) {
		size_t n = 0, k = f->s[i] == e->first ? e->read(f, i, out, &n) : 0;
		if (k) {
			finder_put(f, out, n, i, i + k);
			idle += n == 1 && encoding_alnum(out[0]);
			seen++;
			last = i += k;
			put = f->put.s.len;
			continue;
		}
		if (encoding_blank(f->s[i]) && (!e->joins_blanks || i - last > 24))
			break;
		finder_put(f, f->s + i, 1, i, i + 1);
		i++;
	}
	if (put)
		f->put.s.len = put;
	if (seen >= 3)
		finder_offer_escaped(f, begin, last, idle);
	finder_drop(f);
	return i;
}

void escapes_find(struct finder *f, const struct escapes *e)
{
	char out[8];

	for (size_t i = 0, n; i < f->n;) {
		n = 0;
		if (f->s[i] == e->first && e->read(f, i, out, &n))
			i = stretch(f, e, i);
		else
			i++;
	}
}
