/* zip: the end record, found from behind; the directory that it names; and each entry's own header, behind which its
 * bytes begin. */
#include "format/zip.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

enum { END_BYTES = 22, COMMENT_MAX = 65535, ENTRY_BYTES = 46, LOCAL_BYTES = 30, LOCATOR_BYTES = 20 };

struct place { uint64_t entries, size, offset; };

static uint64_t number(const uint8_t *p, int bytes)
{
	uint64_t x = 0;

	for (int i = bytes; i-- > 0;)
		x = x << 8 | p[i];
	return x;
}

static const uint8_t *find_end(const uint8_t *data, size_t size)
{
	for (size_t back = END_BYTES; back <= size && back <= END_BYTES + COMMENT_MAX; back++)
		if (!memcmp(data + size - back, "PK\5\6", 4))
			return data + size - back;
	return NULL;
}

/* Numbers that do not fit stand in a second record, before the first. */
static int find_directory(const uint8_t *data, size_t size, struct place *p)
{
	const uint8_t *end = find_end(data, size);

	if (!end)
		return -1;
	*p = (struct place){ number(end + 10, 2), number(end + 12, 4), number(end + 16, 4) };
	if (end - data < LOCATOR_BYTES || memcmp(end - LOCATOR_BYTES, "PK\6\7", 4))
		return 0;
	uint64_t at = number(end - LOCATOR_BYTES + 8, 8);
	if (at > size || size - at < 56 || memcmp(data + at, "PK\6\6", 4))
		return -1;
	*p = (struct place){ number(data + at + 32, 8), number(data + at + 40, 8), number(data + at + 48, 8) };
	return 0;
}

/* The numbers of an entry that stand in its extra field, in this order, where 4 bytes are all ones. */
static int read_extra(const uint8_t *extra, size_t n, uint64_t *numbers[], size_t count)
{
	for (size_t at = 0; n - at >= 4;) {
		size_t id = number(extra + at, 2), bytes = number(extra + at + 2, 2), from = at + 4;
		if (bytes > n - from)
			return -1;
		for (size_t i = 0; id == 1 && i < count; i++) {
			if (*numbers[i] != UINT32_MAX)
				continue;
			if (from + 8 > at + 4 + bytes)
				return -1;
			*numbers[i] = number(extra + from, 8);
			from += 8;
		}
		at += 4 + bytes;
	}
	return 0;
}

/* Its bytes begin behind the local header, whose name and extra field may be of other lengths. */
static int place_entry(const uint8_t *data, size_t size, uint64_t local, uint64_t packed, const uint8_t **out)
{
	if (local > size || size - local < LOCAL_BYTES || memcmp(data + local, "PK\3\4", 4))
		return -1;
	uint64_t begin = local + LOCAL_BYTES + number(data + local + 26, 2) + number(data + local + 28, 2);
	if (begin > size || packed > size - begin)
		return -1;
	*out = data + begin;
	return 0;
}

static int read_entry(struct zip_entry *entry, struct arena *mem, const uint8_t *data, size_t size, uint64_t *at,
                      uint64_t end)
{
	if (*at > end || end - *at < ENTRY_BYTES || memcmp(data + *at, "PK\1\2", 4))
		return -1;
	const uint8_t *p = data + *at;
	uint64_t method = number(p + 10, 2), packed = number(p + 20, 4), bytes = number(p + 24, 4),
	         name = number(p + 28, 2), extra = number(p + 30, 2), comment = number(p + 32, 2),
	         local = number(p + 42, 4);
	if (end - *at - ENTRY_BYTES < name + extra + comment)
		return -1;
	uint64_t *wide[] = { &bytes, &packed, &local };
	if (read_extra(p + ENTRY_BYTES + name, extra, wide, 3) < 0 ||
	    place_entry(data, size, local, packed, &entry->data) < 0)
		return -1;
	entry->name = arena_strndup(mem, (const char *)p + ENTRY_BYTES, name);
	entry->bytes = (size_t)bytes;
	if (method != 0 || packed != bytes || number(p + 8, 2) & 1)
		entry->data = NULL;
	*at += ENTRY_BYTES + name + extra + comment;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct zip_entry *)a)->name, ((const struct zip_entry *)b)->name);
}

int zip_read(struct zip *z, struct arena *mem, const void *data, size_t size, const char *where, struct err *e)
{
	struct place p;

	*z = (struct zip){ 0 };
	if (find_directory(data, size, &p) < 0 || p.offset > size || p.size > size - p.offset ||
	    p.entries > p.size / ENTRY_BYTES)
		return err_set(e, "%s: an archive whose directory is damaged or cut off", where);
	z->entry = arena_array(mem, (size_t)p.entries + 1, sizeof(*z->entry));
	uint64_t at = p.offset;
	for (; z->n < p.entries; z->n++)
		if (read_entry(&z->entry[z->n], mem, data, size, &at, p.offset + p.size) < 0)
			return err_set(e, "%s: entry %zu of the archive does not lie inside the file", where, z->n + 1);
	if (z->n)
		qsort(z->entry, z->n, sizeof(*z->entry), by_name);
	for (size_t i = 1; i < z->n; i++)
		if (!strcmp(z->entry[i - 1].name, z->entry[i].name))
			return err_set(e, "%s: the archive has two entries '%.80s'", where, z->entry[i].name);
	return 0;
}

const struct zip_entry *zip_find(const struct zip *z, const char *name)
{
	struct zip_entry key = { .name = name };

	return z->n ? bsearch(&key, z->entry, z->n, sizeof(key), by_name) : NULL;
}
