/* mapped: two arrays beside a text. A span is the least of `from` and the greatest of `to` in it, since a text that is
 * turned around (encoding_reversed.c) has descending places. */
#include "guard/mapped.h"

#include "base/mem.h"

static void add(struct mapped *m, const char *bytes, size_t n)
{
	buf_add(&m->s, bytes, n);
	if (m->s.len > m->cap) {
		m->cap = MAX(m->s.len, MAX((size_t)64, m->cap * 2));
		m->from = mem_grow(m->from, m->cap, sizeof(*m->from));
		m->to = mem_grow(m->to, m->cap, sizeof(*m->to));
	}
}

void mapped_original(struct mapped *m, const char *text, size_t n)
{
	size_t at = m->s.len;

	add(m, text, n);
	for (size_t i = 0; i < n; i++) {
		m->from[at + i] = (uint32_t)i;
		m->to[at + i] = (uint32_t)i + 1;
	}
}

void mapped_put(struct mapped *m, const char *bytes, size_t n, uint32_t from, uint32_t to)
{
	size_t at = m->s.len;

	add(m, bytes, n);
	for (; at < m->s.len; at++) {
		m->from[at] = from;
		m->to[at] = to;
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
