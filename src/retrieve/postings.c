/* postings: made by a hash table of words, written sorted. See postings.h. */
#include "retrieve/postings.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "retrieve/words.h"

static const char magic[8] = { 'k', 'f', 'w', 'o', 'r', 'd', 's', '1' };
enum { ALIGN = 8, MOST_COUNT = UINT16_MAX };

struct entry { uint32_t chunk, count; };

struct word {
	size_t at;                      /* in `text` */
	uint32_t n;
	struct entry *entries;
	uint32_t n_entries, cap;
};

struct postings_maker {
	struct word *words;
	uint32_t n_words, cap_words;
	uint32_t *slots;                /* [n_slots] a word's number + 1 */
	size_t n_slots, n_postings;
	uint32_t *length;
	uint32_t n_chunks, cap_chunks;
	struct buf text, lower;         /* all words; the text at hand */
};

struct postings_maker *postings_begin(void)
{
	struct postings_maker *m = mem_alloc(sizeof(*m));

	m->text.max = m->lower.max = UINT32_MAX / 2;
	return m;
}

void postings_free(struct postings_maker *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->n_words; i++)
		mem_free(m->words[i].entries);
	mem_free(m->words);
	mem_free(m->slots);
	mem_free(m->length);
	buf_release(&m->text);
	buf_release(&m->lower);
	mem_free(m);
}

size_t postings_room(const struct postings_maker *m) { return m->n_postings; }

/* --- making --- */

static size_t slot_of(const struct postings_maker *m, const char *s, size_t n)
{
	size_t at = hash_64(s, n) & (m->n_slots - 1);

	while (m->slots[at]) {
		const struct word *w = &m->words[m->slots[at] - 1];
		if (w->n == n && !memcmp(buf_str(&m->text) + w->at, s, n))
			break;
		at = (at + 1) & (m->n_slots - 1);
	}
	return at;
}

static void grow_slots(struct postings_maker *m)
{
	mem_free(m->slots);
	m->n_slots = m->n_slots ? 2 * m->n_slots : 4096;
	m->slots = mem_array(m->n_slots, sizeof(*m->slots));
	for (uint32_t i = 0; i < m->n_words; i++)
		m->slots[slot_of(m, buf_str(&m->text) + m->words[i].at, m->words[i].n)] = i + 1;
}

static struct word *word_of(struct postings_maker *m, const char *s, size_t n)
{
	if (2 * ((size_t)m->n_words + 1) > m->n_slots)
		grow_slots(m);
	size_t at = slot_of(m, s, n);
	if (m->slots[at])
		return &m->words[m->slots[at] - 1];
	if (m->n_words == m->cap_words) {
		m->cap_words = MAX(4096, 2 * m->cap_words);
		m->words = mem_grow(m->words, m->cap_words, sizeof(*m->words));
	}
	m->slots[at] = m->n_words + 1;
	m->words[m->n_words] = (struct word){ .at = m->text.len, .n = (uint32_t)n };
	buf_add(&m->text, s, n);
	return &m->words[m->n_words++];
}

static void post(struct postings_maker *m, struct word *w)
{
	if (w->n_entries && w->entries[w->n_entries - 1].chunk == m->n_chunks) {
		w->entries[w->n_entries - 1].count++;
		return;
	}
	if (w->n_entries == w->cap) {
		w->cap = MAX(2, 2 * w->cap);
		w->entries = mem_grow(w->entries, w->cap, sizeof(*w->entries));
	}
	w->entries[w->n_entries++] = (struct entry){ m->n_chunks, 1 };
	m->n_postings++;
}

void postings_add(struct postings_maker *m, const char *text, size_t n)
{
	const char *word;
	size_t at = 0, length;
	uint32_t words = 0;

	buf_clear(&m->lower);
	word_lower(&m->lower, text, n);
	while ((word = word_next(buf_str(&m->lower), m->lower.len, &at, &length))) {
		if (word_is_stop(word, length))
			continue;
		post(m, word_of(m, word, length));
		words++;
	}
	if (m->n_chunks == m->cap_chunks) {
		m->cap_chunks = MAX(1024, 2 * m->cap_chunks);
		m->length = mem_grow(m->length, m->cap_chunks, sizeof(*m->length));
	}
	m->length[m->n_chunks++] = words;
}

/* --- writing --- */

struct sorted { const char *s; const struct word *w; };

static int by_bytes(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int c = memcmp(x->s, y->s, MIN(x->w->n, y->w->n));

	return c ? c : (x->w->n > y->w->n) - (x->w->n < y->w->n);
}

static void pad(struct buf *out)
{
	while (out->len % ALIGN)
		buf_addc(out, 0);
}

static void write_numbers(const struct postings_maker *m, const struct sorted *order, struct buf *out)
{
	uint32_t begin = 0, first = 0;

	for (uint32_t i = 0; i <= m->n_words; i++) {
		buf_add(out, &begin, sizeof(begin));
		begin += i < m->n_words ? order[i].w->n : 0;
	}
	pad(out);
	for (uint32_t i = 0; i <= m->n_words; i++) {
		buf_add(out, &first, sizeof(first));
		first += i < m->n_words ? order[i].w->n_entries : 0;
	}
	pad(out);
	for (uint32_t i = 0; i < m->n_words; i++)
		for (uint32_t j = 0; j < order[i].w->n_entries; j++)
			buf_add(out, &order[i].w->entries[j].chunk, sizeof(uint32_t));
	pad(out);
	for (uint32_t i = 0; i < m->n_words; i++)
		for (uint32_t j = 0; j < order[i].w->n_entries; j++) {
			uint16_t count = (uint16_t)MIN(order[i].w->entries[j].count, (uint32_t)MOST_COUNT);
			buf_add(out, &count, sizeof(count));
		}
	pad(out);
}

void postings_write(const struct postings_maker *m, struct buf *out)
{
	struct sorted *order = mem_array((size_t)m->n_words + 1, sizeof(*order));
	struct postings_head head = { .chunks = m->n_chunks, .words = m->n_words, .postings = (uint32_t)m->n_postings,
		                      .text_bytes = (uint32_t)m->text.len };
	size_t start = out->len;

	for (uint32_t i = 0; i < m->n_words; i++)
		order[i] = (struct sorted){ buf_str(&m->text) + m->words[i].at, &m->words[i] };
	qsort(order, m->n_words, sizeof(*order), by_bytes);
	memcpy(head.magic, magic, sizeof(magic));
	buf_add(out, &head, sizeof(head));
	buf_add(out, m->length, m->n_chunks * sizeof(*m->length));
	pad(out);
	write_numbers(m, order, out);
	for (uint32_t i = 0; i < m->n_words; i++)
		buf_add(out, order[i].s, order[i].w->n);
	pad(out);
	head.bytes = out->len - start;
	memcpy(out->data + start, &head, sizeof(head));
	mem_free(order);
}

/* --- reading --- */

/* `n` numbers of `size` bytes from *at on, which moves behind them; NULL: they do not fit. */
static const void *take(const char *data, size_t bytes, size_t *at, size_t n, size_t size)
{
	size_t from = *at, length = ROUND_UP(n * size, (size_t)ALIGN);

	if (length > bytes - from)
		return NULL;
	*at = from + length;
	return data + from;
}

/* Offsets ascend from 0 to the end, chunks are there: a damaged file must not lead out of it. */
static bool is_sound(const struct postings *p)
{
	const struct postings_head *h = &p->head;

	if (p->begin[0] || p->first[0] || p->begin[h->words] != h->text_bytes || p->first[h->words] != h->postings)
		return false;
	for (uint32_t i = 0; i < h->words; i++)
		if (p->begin[i + 1] < p->begin[i] || p->first[i + 1] < p->first[i])
			return false;
	uint32_t most = 0;
	for (uint32_t i = 0; i < h->postings; i++)
		most = MAX(most, p->chunk[i]);
	return !h->postings || most < h->chunks;
}

int postings_read(struct postings *p, const void *data, size_t size, const char *where, struct err *e)
{
	size_t at = sizeof(p->head);

	*p = (struct postings){ 0 };
	if (size >= sizeof(p->head))
		memcpy(&p->head, data, sizeof(p->head));
	const struct postings_head *h = &p->head;
	if (memcmp(h->magic, magic, sizeof(magic)) != 0 || h->bytes > size || h->bytes < at || h->bytes % ALIGN ||
	    h->chunks > POSTINGS_TEXTS || h->words > POSTINGS_TEXTS || h->postings > POSTINGS_TEXTS)
		return err_set(e, "%s: no words of an index, or damaged", where);
	p->length = take(data, h->bytes, &at, h->chunks, sizeof(uint32_t));
	p->begin = p->length ? take(data, h->bytes, &at, (size_t)h->words + 1, sizeof(uint32_t)) : NULL;
	p->first = p->begin ? take(data, h->bytes, &at, (size_t)h->words + 1, sizeof(uint32_t)) : NULL;
	p->chunk = p->first ? take(data, h->bytes, &at, h->postings, sizeof(uint32_t)) : NULL;
	p->count = p->chunk ? take(data, h->bytes, &at, h->postings, sizeof(uint16_t)) : NULL;
	p->text = p->count ? take(data, h->bytes, &at, h->text_bytes, 1) : NULL;
	if (!p->text || !is_sound(p))
		return err_set(e, "%s: the words of the index are damaged", where);
	return 0;
}

int64_t postings_find(const struct postings *p, const char *word, size_t n)
{
	uint32_t lo = 0, hi = p->head.words;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		size_t m = p->begin[mid + 1] - p->begin[mid];
		int c = memcmp(p->text + p->begin[mid], word, MIN(m, n));
		c = c ? c : (m > n) - (m < n);
		if (c == 0)
			return mid;
		lo = c < 0 ? mid + 1 : lo;
		hi = c < 0 ? hi : mid;
	}
	return -1;
}
