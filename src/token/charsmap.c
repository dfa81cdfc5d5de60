/* charsmap: the trie, clusters. */
#include "token/charsmap.h"

#include <string.h>
#include <utf8proc.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { CLUSTER_MOST = 5 }; /* bytes of a cluster that is looked up whole */

struct charsmap {
	uint8_t *data;
	const uint8_t *units;      /* little-endian u32, maybe unaligned */
	size_t n_units;
	const char *texts;         /* UTF-8, each ends with NUL */
	size_t n_texts;
	bool longest;              /* of several keys; else the shortest, of clusters */
};

/* --- reading --- */

static uint32_t u32(const uint8_t *at) { return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24; }

int charsmap_parse(const json_t *j, void **own, struct err *e)
{
	const json_t *text = json_object_get(j, "precompiled_charsmap");
	struct buf data = BUF_INIT;

	if (!json_is_string(text))
		return err_set(e, "a Precompiled without precompiled_charsmap");
	int rc = base64_read(&data, json_string_value(text), json_string_length(text));
	size_t n = data.len;
	struct charsmap m = { .data = (uint8_t *)buf_detach(&data, NULL),
		              .longest = json_is_true(json_object_get(j, "longest")) };
	uint32_t size = n >= 4 ? u32(m.data) : 1;
	if (rc || n < 4 || size % 4 || size > n - 4 || (n > size + 4u && m.data[n - 1])) {
		mem_free(m.data);
		return err_set(e, "precompiled_charsmap is no map of SentencePiece's");
	}
	m.units = m.data + 4;
	m.n_units = size / 4;
	m.texts = (const char *)m.data + 4 + size;
	m.n_texts = n - 4 - size;
	if (!utf8_valid(m.texts, m.n_texts, NULL)) { /* all that comes after counts on characters */
		mem_free(m.data);
		return err_set(e, "precompiled_charsmap holds a text that is not valid UTF-8");
	}
	*own = mem_alloc(sizeof(m));
	memcpy(*own, &m, sizeof(m));
	return 0;
}

void charsmap_release(void *own) { mem_free(((struct charsmap *)own)->data); }

/* --- the trie --- */

static uint32_t unit_at(const struct charsmap *m, size_t at) { return at < m->n_units ? u32(m->units + 4 * at) : 0; }

static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 1U << 9) >> 6); }

/* A character, or the end of a text? */
static bool begins(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* The place in texts of what a key becomes with which these bytes begin, −1: none; *length: of that key. */
static long long find(const struct charsmap *m, const char *key, size_t n, size_t *length)
{
	uint32_t unit = unit_at(m, 0);
	size_t at = offset_of(unit);
	long long found = -1;

	for (size_t i = 0; i < n && key[i]; i++) {
		at ^= (uint8_t)key[i];
		unit = unit_at(m, at);
		if ((unit & (1U << 31 | 0xFF)) != (uint8_t)key[i])
			return found;
		at ^= offset_of(unit);
		if (unit >> 8 & 1 && (i + 1 == n || begins(key[i + 1]))) { /* no key parts a character */
			uint32_t value = unit_at(m, at) & ~(1U << 31);
			*length = i + 1;
			found = value < m->n_texts && begins(m->texts[value]) ? (long long)value : -1;
			if (!m->longest)
				return found;
		}
	}
	return found;
}

/* --- running --- */

static bool put(const struct charsmap *m, const struct slice *in, size_t at, size_t n, struct altered *out)
{
	size_t length;
	long long to = find(m, in->text + at, n, &length);

	if (to >= 0)
		altered_add(out, m->texts + to, strlen(m->texts + to), slice_origin(in, at));
	return to >= 0;
}

/* Where the cluster ends that begins at `at`. */
static size_t cluster_end(const struct slice *in, size_t at)
{
	utf8proc_int32_t state = 0;
	uint32_t one, next;
	size_t end = at + utf8_decode(in->text + at, in->n - at, &one);

	while (end < in->n) {
		size_t k = utf8_decode(in->text + end, in->n - end, &next);
		if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)one, (utf8proc_int32_t)next, &state))
			break;
		one = next;
		end += k;
	}
	return end;
}

/* As SentencePiece has it: the longest key, wherever it ends. */
static int run_longest(const struct charsmap *m, const struct slice *in, struct altered *out)
{
	uint32_t c;

	for (size_t at = 0, k; at < in->n; at += k) {
		long long to = find(m, in->text + at, in->n - at, &k);
		if (to >= 0) {
			altered_add(out, m->texts + to, strlen(m->texts + to), slice_origin(in, at));
		} else {
			k = utf8_decode(in->text + at, in->n - at, &c);
			altered_add(out, in->text + at, k, slice_origin(in, at));
		}
	}
	return 0;
}

int charsmap_run(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	const struct charsmap *m = own;
	uint32_t c;
	(void)e;
	if (m->longest)
		return run_longest(m, in, out);
	for (size_t at = 0, end; at < in->n; at = end) {
		end = cluster_end(in, at);
		if (end - at <= CLUSTER_MOST && put(m, in, at, end - at, out))
			continue;
		for (size_t k; at < end; at += k) {
			k = utf8_decode(in->text + at, end - at, &c);
			if (!put(m, in, at, k, out))
				altered_add(out, in->text + at, k, slice_origin(in, at));
		}
	}
	return 0;
}
