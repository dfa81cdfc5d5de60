/* memory: what memories have in common. All layers are one mapping: of keys and values [n_layers][keys, then
 * values][n_places·KV_RANGE] rows of G heads, each cache as op/kv_cache.h has it. The lowest free place is taken, so
 * that what a session with few tokens touches is little and lies together. */
#include "infer/memory.h"

#include "base/mem.h"
#include "infer/sequences.h"
#include "op/device.h"
#include "op/kv_cache.h"

static size_t row_bytes(const struct memory_size *s, bool values)
{
	enum dtype t = values ? s->types.v : s->types.k;
	return kv_width(t, s->G, s->D) / dtypes[t].block * dtypes[t].bytes;
}

size_t memory_keys_bytes(const struct memory_size *size)
{
	return KV_RANGE * (row_bytes(size, false) + row_bytes(size, true));
}

size_t memory_keys(const struct memory_type *type, const struct memory_size *size)
{
	return (size_t)type->places(size) * KV_RANGE;
}

int memory_init(struct memory *m, struct device *d, const struct memory_type *type, const struct memory_size *size,
                struct err *e)
{
	void *data;

	*m = (struct memory){ .device = d, .type = type, .size = *size, .n_places = type->places(size) };
	m->bytes = (size_t)size->n_layers * (size_t)m->n_places * type->range_bytes(size);
	if (d->type->alloc(d, &data, m->bytes, type->states ? "states" : "keys and values", e) < 0)
		return -1;
	m->data = data;
	m->place = mem_array((size_t)size->n_ranges, sizeof(*m->place));
	for (int i = 0; i < size->n_ranges; i++)
		m->place[i] = -1;
	m->written = mem_array((size_t)m->n_places, sizeof(*m->written));
	m->used = mem_array((size_t)m->n_places, sizeof(*m->used));
	return 0;
}

void memory_release(struct memory *m)
{
	if (m->data)
		m->device->type->free(m->device, m->data, m->bytes);
	mem_free(m->place);
	mem_free(m->written);
	mem_free(m->used);
	*m = (struct memory){ 0 };
}

char *memory_rows(const struct memory *m, int layer, bool values, size_t *bytes)
{
	size_t k = row_bytes(&m->size, false), v = row_bytes(&m->size, true);

	*bytes = values ? v : k;
	return m->data + (size_t)m->n_places * KV_RANGE * ((size_t)layer * (k + v) + (values ? k : 0));
}

int memory_take(struct memory *m, int range)
{
	int place = 0;

	while (place < m->n_places && m->used[place])
		place++;
	if (place == m->n_places || m->place[range] >= 0)
		BUG("range %d of %d: %s", range, m->n_places, place == m->n_places ? "no place" : "it has one");
	m->used[place] = true;
	return m->place[range] = place;
}

void memory_make_room(struct memory *m, const struct sequences *q,
                      int (*first)(const struct memory *m, int length), bool with_0)
{
	int used = 0;

	for (int i = 0; i < m->n_places; i++)
		used += m->used[i];
	if (used < m->n_places)
		return;
	for (int i = 0; i < m->n_places; i++)
		m->used[i] = false;
	for (int s = 0; s < q->n; s++)
		for (int i = 0; i < q->held[s]; i++) {
			int place = m->place[sequence_range(q, s, i)];
			if (place >= 0 && (i >= first(m, q->length[s]) || (with_0 && i == 0)))
				m->used[place] = true;
		}
	for (int r = 0; r < q->n_ranges; r++)
		if (m->place[r] >= 0 && !m->used[m->place[r]])
			m->place[r] = -1;
}

void memory_drop(struct memory *m, int range)
{
	if (m->place[range] >= 0)
		m->used[m->place[range]] = false;
	m->place[range] = -1;
}

/* --- ranges of keys --- */

/* The i-th piece of memory of the first n keys of a place: layer by layer its keys, then its values. */
static char *piece_at(const struct memory *m, int place, int n, size_t i, size_t *bytes)
{
	size_t row, heads = n % KV_RANGE ? m->size.G : 1, matrix = i / heads;

	if (n == 0 || matrix >= 2 * (size_t)m->size.n_layers)
		return NULL;
	char *rows = memory_rows(m, (int)(matrix / 2), matrix % 2, &row);
	struct kv_piece p = kv_piece((size_t)n, i % heads, m->size.G, row);
	*bytes = p.bytes;
	return rows + (size_t)place * KV_RANGE * row + p.at;
}

static void clear(struct memory *m, int place)
{
	size_t bytes;
	char *at;

	for (size_t i = 0; (at = piece_at(m, place, m->written[place], i, &bytes)); i++)
		m->device->type->clear(m->device, at, bytes);
	m->written[place] = 0;
}

/* A tile of keys is read whole, so a range begins as zeros: nothing of another sequence is left in it, not even what is
 * no number. */
void memory_keys_take(struct memory *m, const struct sequences *q, int range)
{
	(void)q;
	clear(m, memory_take(m, range));
}

void memory_keys_copy(struct memory *m, int range, const struct memory *from, int from_range, int n)
{
	int place = m->place[range], other = from->place[from_range];
	size_t bytes;
	char *at;
	const char *of;

	if (other < 0) {
		memory_drop(m, range);
		return;
	}
	for (size_t i = 0; (at = piece_at(m, place, n, i, &bytes)) && (of = piece_at(from, other, n, i, &bytes)); i++)
		m->device->type->copy(m->device, at, of, bytes);
	m->written[place] = MAX(m->written[place], n);
}

void memory_keys_append(struct memory *m, const struct sequences *q, int sequence, int first)
{
	for (int i = first; i * KV_RANGE < q->length[sequence]; i++) {
		int place = m->place[sequence_range(q, sequence, i)];
		if (place >= 0)
			m->written[place] = MAX(m->written[place], MIN(q->length[sequence] - i * KV_RANGE, KV_RANGE));
	}
}

void *memory_keys_piece(const struct memory *m, int range, int n, size_t i, size_t *bytes)
{
	return m->place[range] < 0 ? NULL : piece_at(m, m->place[range], n, i, bytes);
}

/* --- what becomes real --- */

size_t memory_pages(const struct memory *m, size_t from, size_t to, size_t *end)
{
	size_t granule = mem_map_granule(m->bytes);

	from = MAX(from / granule * granule, *end);
	to = MIN(ROUND_UP(to, granule), ROUND_UP(m->bytes, (size_t)4096));
	*end = MAX(*end, to);
	return to > from ? to - from : 0;
}

size_t memory_resident(const struct memory *m, int n, int partial, int tokens)
{
	return m->type->resident(m, n, partial, tokens);
}

size_t memory_keys_resident(const struct memory *m, int n, int partial, int tokens)
{
	size_t sum = 0, end = 0, bytes = 0, heads = tokens % KV_RANGE ? m->size.G : 1;
	int whole = MIN(n, m->n_places) - MIN(partial, m->n_places);

	for (size_t matrix = 0; matrix < 2 * (size_t)m->size.n_layers; matrix++) {
		for (int place = 0; place < MIN(n, m->n_places); place++) {
			bool is_whole = place < whole;
			for (size_t i = 0; i < (is_whole ? 1 : heads); i++) {
				const char *at = piece_at(m, place, is_whole ? KV_RANGE : tokens,
				                          matrix * (is_whole ? 1 : heads) + i, &bytes);
				size_t from = (size_t)(at - m->data);
				sum += memory_pages(m, from, from + bytes, &end);
			}
		}
	}
	return sum;
}
