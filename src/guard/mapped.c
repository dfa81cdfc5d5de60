/* mapped: two arrays beside a text. A span is the least of `from` and the greatest of `to` in it, since a text that is
 * turned around (encoding_reversed.c) has descending places. */
#include "guard/mapped.h"

#include <string.h>

#include "base/mem.h"

/* n bytes more, whose places are to be written; NULL past what a text may have. */
static char *more(struct mapped *m, size_t n)
{
	char *to = buf_more(&m->s, n);

	if (m->s.len > m->cap) {
		m->cap = MAX(m->s.len, MAX((size_t)64, m->cap * 2));
		m->from = mem_grow(m->from, m->cap, sizeof(*m->from));
		m->to = mem_grow(m->to, m->cap, sizeof(*m->to));
	}
	return to;
}

void mapped_original(struct mapped *m, const char *text, size_t n)
{
	char *to = more(m, n);

	if (!to || !n)
		return;
	memcpy(to, text, n);
	uint32_t *restrict begin = m->from + (m->s.len - n), *restrict end = m->to + (m->s.len - n);
	for (size_t i = 0; i < n; i++)
		begin[i] = (uint32_t)i;
	for (size_t i = 0; i < n; i++)
		end[i] = (uint32_t)i + 1;
}

char *mapped_copy(struct mapped *m, const struct mapped *of, size_t at, size_t n)
{
	char *to = more(m, n);

	if (!to || !n)
		return to;
	memcpy(to, of->s.data + at, n);
	memcpy(m->from + (m->s.len - n), of->from + at, n * sizeof(*m->from));
	memcpy(m->to + (m->s.len - n), of->to + at, n * sizeof(*m->to));
	return to;
}

void mapped_put(struct mapped *m, const char *bytes, size_t n, uint32_t from, uint32_t to)
{
	if (n == 1 && m->s.len + 1 < m->s.cap && m->s.len < m->cap && !m->s.overflow) {
		m->from[m->s.len] = from;
		m->to[m->s.len] = to;
		m->s.data[m->s.len++] = *bytes;
		m->s.data[m->s.len] = 0;
		return;
	}
	char *at = more(m, n);

	for (size_t i = 0; i < n && at; i++) {
		at[i] = bytes[i];
		m->from[m->s.len - n + i] = from;
		m->to[m->s.len - n + i] = to;
	}
}

void mapped_span(const struct mapped *m, size_t begin, size_t end, size_t *from, size_t *to)
{
	*from = m->from[begin];
	*to = m->to[begin];
	for (size_t i = begin + 1; i < end; i++) {
		*from = MIN(*from, m->from[i]);
		*to = MAX(*to, m->to[i]);
	}
}

void mapped_clear(struct mapped *m) { buf_clear(&m->s); }

void mapped_release(struct mapped *m)
{
	buf_release(&m->s);
	mem_free(m->from);
	mem_free(m->to);
	*m = (struct mapped){ 0 };
}
