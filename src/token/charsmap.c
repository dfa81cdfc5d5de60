/* charsmap: base64, the trie, clusters. */
#include "token/charsmap.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { CLUSTER_MOST = 5 }; /* bytes of a cluster that is looked up whole */

struct charsmap {
	uint8_t *data;
	const uint8_t *units;      /* little-endian u32, maybe unaligned */
	size_t n_units;
	const char *texts;         /* ends with NUL */
	size_t n_texts;
};

/* --- reading --- */

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes of base64 text in out; −1 where a character is none of it. */
static long long read_base64(const char *text, size_t n, uint8_t *out)
{
	uint32_t bits = 0;
	long long k = 0;
	int have = 0;

	while (n && text[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		int d = digit(text[i]);
		if (d < 0)
			return -1;
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[k++] = (uint8_t)(bits >> have);
		}
	}
	return k;
}

static uint32_t u32(const uint8_t *at) { return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24; }

int charsmap_parse(const json_t *j, void **own, struct err *e)
{
	const json_t *text = json_object_get(j, "precompiled_charsmap");

	if (!json_is_string(text))
		return err_set(e, "a Precompiled without precompiled_charsmap");
	struct charsmap m = { .data = mem_alloc(json_string_length(text) + 1) };
	long long n = read_base64(json_string_value(text), json_string_length(text), m.data);
	uint32_t size = n >= 4 ? u32(m.data) : 1;
	if (n < 4 || size % 4 || size > (size_t)n - 4 || ((size_t)n > size + 4u && m.data[n - 1])) {
		mem_free(m.data);
		return err_set(e, "precompiled_charsmap is no map of SentencePiece's");
	}
	m.units = m.data + 4;
	m.n_units = size / 4;
	m.texts = (const char *)m.data + 4 + size;
	m.n_texts = (size_t)n - 4 - size;
	*own = mem_alloc(sizeof(m));
	memcpy(*own, &m, sizeof(m));
	return 0;
}

void charsmap_release(void *own) { mem_free(((struct charsmap *)own)->data); }

/* --- the trie --- */

static uint32_t unit_at(const struct charsmap *m, size_t at) { return at < m->n_units ? u32(m->units + 4 * at) : 0; }

static size_t offset_of(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 1U << 9) >> 6); }

/* The place in texts of what the shortest key becomes with which these bytes begin; −1: none. */
static long long find(const struct charsmap *m, const char *key, size_t n)
{
	uint32_t unit = unit_at(m, 0);
	size_t at = offset_of(unit);

	for (size_t i = 0; i < n && key[i]; i++) {
		at ^= (uint8_t)key[i];
		unit = unit_at(m, at);
		if ((unit & (1U << 31 | 0xFF)) != (uint8_t)key[i])
			return -1;
		at ^= offset_of(unit);
		if (unit >> 8 & 1) {
			uint32_t value = unit_at(m, at) & ~(1U << 31);
			return value < m->n_texts ? (long long)value : -1;
		}
	}
	return -1;
}

/* --- running --- */

static bool put(const struct charsmap *m, const struct slice *in, size_t at, size_t n, struct altered *out)
{
	long long to = find(m, in->text + at, n);

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

int charsmap_run(const void *own, const struct slice *in, struct altered *out, struct err *e)
{
	const struct charsmap *m = own;
	uint32_t c;
	(void)e;
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
