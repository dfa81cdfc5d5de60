/* charsmap_make: SentencePiece's own maps, nfkc and nmt_nfkc, made of Unicode's decompositions as its builder.cc makes
 * them (BuildNFKCMap, BuildNmtNFKCMap, RemoveRedundantMap), and written as its files carry them (charsmap.h).
 *
 *     of a character      its NFKC, where that is another
 *     of several          where a character's NFKD is more than one: every row of characters that become these one by
 *                         one (e and U+0301, but also the full width e and it) to what they compose to
 *     nmt_nfkc            other white space and marks without width are spaces, controls go, the full width tilde stays
 *     of these go         those that the shorter keys do already, from the left, the longest first
 *
 * Between marks of one character nothing is put into Unicode's order, so the map is not quite NFKC.
 *
 * Decompositions are utf8proc's; what Unicode 16 and 17 have brought beside (SentencePiece 0.2.3 has it) is a table
 * here.
 *
 * The trie: keys in order make states, equal states are one (Daciuk et al. 2000), and each state has a place at which
 * its children lie by their byte, as in Aoe 1989 with the exclusive or of darts-clone. */
#include "token/charsmap.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { END = 0x2FA20 /* nothing beyond is made of others */, MOST = 32, HANGUL = 0xAC00, HANGUL_END = 0xD7A4 };

struct row { uint32_t c[MOST]; size_t n; };

/* --- rules --- */

struct rule {
	const char *key, *to;          /* UTF-8 */
	uint32_t bytes, characters;    /* of key */
	bool kept;
};

struct rules {
	struct rule *items;            /* [n] */
	size_t n, cap;
	uint32_t *slot;                /* [slots] a rule's number + 1, by its key's hash */
	size_t slots;
	uint32_t *other, n_other;      /* pairs: what it becomes, a character that becomes it alone; in order */
	struct arena mem;
};

static size_t slot_of(const struct rules *r, const char *key, size_t n)
{
	size_t i = hash_64(key, n) & (r->slots - 1);

	while (r->slot[i] && (r->items[r->slot[i] - 1].bytes != n || memcmp(r->items[r->slot[i] - 1].key, key, n) != 0))
		i = (i + 1) & (r->slots - 1);
	return i;
}

static void make_slots(struct rules *r)
{
	mem_free(r->slot);
	r->slots = MAX((size_t)1 << 12, 4 * r->slots);
	r->slot = mem_array(r->slots, sizeof(*r->slot));
	for (size_t i = 0; i < r->n; i++)
		r->slot[slot_of(r, r->items[i].key, r->items[i].bytes)] = (uint32_t)i + 1;
}

static char *text_of(struct rules *r, const struct row *x, uint32_t *bytes)
{
	char text[4 * MOST + 1];
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++)
		n += utf8_encode(x->c[i], text + n);
	*bytes = (uint32_t)n;
	return arena_strndup(&r->mem, text, n);
}

/* Of the same key the last counts. */
static void add(struct rules *r, const struct row *key, const struct row *to)
{
	struct rule x = { .characters = (uint32_t)key->n, .kept = true };
	uint32_t ignored;

	x.key = text_of(r, key, &x.bytes);
	x.to = text_of(r, to, &ignored);
	if (2 * r->n >= r->slots)
		make_slots(r);
	size_t i = slot_of(r, x.key, x.bytes);
	if (r->slot[i]) {
		r->items[r->slot[i] - 1] = x;
		return;
	}
	if (r->n == r->cap) {
		r->cap = MAX((size_t)1024, 2 * r->cap);
		r->items = mem_grow(r->items, r->cap, sizeof(*r->items));
	}
	r->items[r->n++] = x;
	r->slot[i] = (uint32_t)r->n;
}

/* --- Unicode --- */

/* A character and what it is made of: those of Unicode 16 (UnicodeData.txt: Todhri, Tulu-Tigalari, Gurung Khema, Kirat
 * Rai), which compose again. */
static const uint32_t newer_rows[][4] = {
	{ 0x105C9, 0x105D2, 0x307 }, { 0x105E4, 0x105DA, 0x307 }, { 0x11383, 0x11382, 0x113C9 },
	{ 0x11385, 0x11384, 0x113BB }, { 0x1138E, 0x1138B, 0x113C2 }, { 0x11391, 0x11390, 0x113C9 },
	{ 0x113C5, 0x113C2, 0x113C2 }, { 0x113C7, 0x113C2, 0x113B8 }, { 0x113C8, 0x113C2, 0x113C9 },
	{ 0x16121, 0x1611E, 0x1611E }, { 0x16122, 0x1611E, 0x16129 }, { 0x16123, 0x1611E, 0x1611F },
	{ 0x16124, 0x16129, 0x1611F }, { 0x16125, 0x1611E, 0x16120 },
	{ 0x16126, 0x1611E, 0x1611E, 0x1611F }, { 0x16127, 0x1611E, 0x16129, 0x1611F },
	{ 0x16128, 0x1611E, 0x1611E, 0x16120 }, { 0x16D68, 0x16D67, 0x16D67 },
	{ 0x16D69, 0x16D63, 0x16D67 }, { 0x16D6A, 0x16D63, 0x16D67, 0x16D67 },
};

/* Outlined letters and digits of Unicode 16, and of Unicode 17 the modifier letter S. */
static uint32_t newer(uint32_t c)
{
	if (c >= 0x1CCD6 && c <= 0x1CCEF)
		return 'A' + (c - 0x1CCD6);
	if (c >= 0x1CCF0 && c <= 0x1CCF9)
		return '0' + (c - 0x1CCF0);
	return c == 0xA7F1 ? 'S' : 0;
}

/* NFKD of a character; false: it is itself. */
static bool decompose(uint32_t c, struct row *out)
{
	utf8proc_int32_t parts[MOST];
	int last = 0; /* class of the character before: none */

	*out = (struct row){ .c = { newer(c) }, .n = 1 };
	if (out->c[0])
		return true;
	for (size_t i = 0; i < ARRAY_LEN(newer_rows); i++)
		if (newer_rows[i][0] == c) {
			memcpy(out->c, newer_rows[i] + 1, 3 * sizeof(*out->c));
			out->n = out->c[2] ? 3 : 2;
			return true;
		}
	if (utf8proc_get_property((utf8proc_int32_t)c)->decomp_seqindex == UINT16_MAX &&
	    !(c >= HANGUL && c < HANGUL_END))
		return false;
	utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, parts, MOST,
	                                             UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STABLE, &last);
	if (n < 1 || n > MOST)
		BUG("U+%04X has %td parts", c, (ptrdiff_t)n);
	out->n = (size_t)n;
	for (size_t i = 0; i < out->n; i++)
		out->c[i] = (uint32_t)parts[i];
	return out->n > 1 || out->c[0] != c;
}

static struct row compose(const struct row *nfkd)
{
	utf8proc_int32_t parts[MOST];
	struct row out = { .n = 0 };

	for (size_t i = 0; i < ARRAY_LEN(newer_rows); i++)
		if (nfkd->n < 4 && !memcmp(newer_rows[i] + 1, nfkd->c, 3 * sizeof(*nfkd->c)))
			return (struct row){ .c = { newer_rows[i][0] }, .n = 1 };
	for (size_t i = 0; i < nfkd->n; i++)
		parts[i] = (utf8proc_int32_t)nfkd->c[i];
	out.n = (size_t)utf8proc_normalize_utf32(parts, (utf8proc_ssize_t)nfkd->n, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
	for (size_t i = 0; i < out.n; i++)
		out.c[i] = (uint32_t)parts[i];
	return out;
}

static bool is_same(const struct row *a, const struct row *b)
{
	return a->n == b->n && !memcmp(a->c, b->c, a->n * sizeof(*a->c));
}

static bool is_character(uint32_t c)
{
	return !(c >= 0xD800 && c <= 0xDFFF) && !(c >= 0xFDD0 && c <= 0xFDEF) && (c & 0xFFFE) != 0xFFFE;
}

static int by_first(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return x[0] != y[0] ? (x[0] > y[0] ? 1 : -1) : (x[1] > y[1]) - (x[1] < y[1]);
}

/* Every row of characters that become these, one by one; key has the first `at` of one. */
static void expand(struct rules *r, const struct row *nfkd, const struct row *to, struct row *key, size_t at)
{
	if (at == nfkd->n) {
		if (!is_same(key, to))
			add(r, key, to);
		return;
	}
	size_t low = 0, high = r->n_other;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (r->other[2 * middle] < nfkd->c[at])
			low = middle + 1;
		else
			high = middle;
	}
	key->c[at] = nfkd->c[at];
	expand(r, nfkd, to, key, at + 1);
	for (; low < r->n_other && r->other[2 * low] == nfkd->c[at]; low++) {
		key->c[at] = r->other[2 * low + 1];
		expand(r, nfkd, to, key, at + 1);
	}
}

static void add_singles(struct rules *r)
{
	struct row nfkd;

	for (uint32_t c = 1; c < END; c++) {
		if (!is_character(c) || !decompose(c, &nfkd))
			continue;
		struct row to = compose(&nfkd), self = { .c = { c }, .n = 1 };
		if (!is_same(&to, &self))
			add(r, &self, &to);
		if (nfkd.n > 1)
			continue;
		r->other = mem_grow(r->other, r->n_other + 1, 2 * sizeof(*r->other));
		r->other[2 * r->n_other] = nfkd.c[0];
		r->other[2 * r->n_other++ + 1] = c;
	}
	qsort(r->other, r->n_other, 2 * sizeof(*r->other), by_first);
}

static void add_rows(struct rules *r)
{
	struct row nfkd, key;

	for (uint32_t c = 1; c < END; c++) {
		if (!is_character(c) || !decompose(c, &nfkd) || nfkd.n < 2)
			continue;
		struct row to = compose(&nfkd);
		key = (struct row){ .n = nfkd.n };
		if (!is_same(&to, &nfkd))
			expand(r, &nfkd, &to, &key, 0);
	}
}

/* --- what shorter keys do already --- */

/* Bytes of the longest kept key of at most `most` characters at s, 0: none; *to: what it becomes. */
static size_t longest(const struct rules *r, const char *s, size_t n, size_t most, const char **to)
{
	size_t ends[MOST], k = 0;
	uint32_t c;

	for (size_t at = 0; at < n && k < most; ends[k++] = at)
		at += utf8_decode(s + at, n - at, &c);
	while (k-- > 0) {
		const uint32_t *slot = &r->slot[slot_of(r, s, ends[k])];
		if (*slot && r->items[*slot - 1].kept) {
			*to = r->items[*slot - 1].to;
			return ends[k];
		}
	}
	return 0;
}

static bool is_done(const struct rules *r, const struct rule *x)
{
	size_t at = 0, out = 0, want = strlen(x->to);

	while (at < x->bytes) {
		const char *to = NULL;
		uint32_t c;
		size_t k = longest(r, x->key + at, x->bytes - at, x->characters - 1, &to);
		size_t n = k ? strlen(to) : utf8_decode(x->key + at, x->bytes - at, &c);
		if (n > want - out || memcmp(k ? to : x->key + at, x->to + out, n) != 0)
			return false;
		out += n;
		at += k ? k : n;
	}
	return out == want;
}

static void remove_done(struct rules *r)
{
	uint32_t most = 0;

	for (size_t i = 0; i < r->n; i++)
		most = MAX(most, r->items[i].characters);
	for (uint32_t length = 2; length <= most; length++)
		for (size_t i = 0; i < r->n; i++)
			if (r->items[i].characters == length && r->items[i].kept)
				r->items[i].kept = !is_done(r, &r->items[i]);
}

static void add_nmt(struct rules *r)
{
	static const uint32_t spaces[] = { 0x9,    0xA,    0xC,    0xD,    0x61C,  0x1680, 0x200B, 0x200C,
		                           0x200E, 0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD };
	struct row space = { .c = { ' ' }, .n = 1 }, nothing = { .n = 0 };

	for (uint32_t c = 1; c <= 0x9F; c++)
		if (c <= 8 || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F)
			add(r, &(struct row){ .c = { c }, .n = 1 }, &nothing);
	for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
		add(r, &(struct row){ .c = { spaces[i] }, .n = 1 }, &space);
	r->items[r->slot[slot_of(r, "\xef\xbd\x9e", 3)] - 1].kept = false; /* U+FF5E */
}

/* --- the trie --- */

struct state {
	uint32_t edge, n_edges;        /* in edges: of each a byte and a state */
	int64_t value;                 /* −1: no key ends here */
	uint32_t base;
};

struct edge { uint32_t byte, to; };

struct trie {
	struct state *states;
	size_t n, cap;
	struct edge *edges;
	size_t n_edges, cap_edges;
	uint32_t *slot;                /* of equal states */
	size_t slots;
	uint32_t *units;
	uint8_t *used, *based;         /* [n_units] */
	size_t n_units, from;
};

static bool is_state(const struct trie *t, const struct state *s, int64_t value, const struct edge *edges, size_t n)
{
	return s->value == value && s->n_edges == n && !memcmp(t->edges + s->edge, edges, n * sizeof(*edges));
}

/* The state with these children, an old one or new. */
static uint32_t state_of(struct trie *t, int64_t value, const struct edge *edges, size_t n)
{
	size_t i = (hash_64(edges, n * sizeof(*edges)) + (uint64_t)value * 0x9E3779B97F4A7C15u) & (t->slots - 1);

	for (; t->slot[i]; i = (i + 1) & (t->slots - 1))
		if (is_state(t, &t->states[t->slot[i] - 1], value, edges, n))
			return t->slot[i] - 1;
	if (t->n == t->cap) {
		t->cap = MAX((size_t)1024, 2 * t->cap);
		t->states = mem_grow(t->states, t->cap, sizeof(*t->states));
	}
	if (t->n_edges + n > t->cap_edges) {
		t->cap_edges = 2 * (t->cap_edges + n);
		t->edges = mem_grow(t->edges, t->cap_edges, sizeof(*t->edges));
	}
	t->states[t->n++] = (struct state){ (uint32_t)t->n_edges, (uint32_t)n, value, 0 };
	memcpy(t->edges + t->n_edges, edges, n * sizeof(*edges));
	t->n_edges += n;
	t->slot[i] = (uint32_t)t->n;
	return (uint32_t)t->n - 1;
}

/* Keys [low, high) agree in their first `at` bytes; value[i]: where in the texts lies what key i becomes. */
static uint32_t grow(struct trie *t, const struct rule *const *key, const uint32_t *value, size_t low, size_t high,
                     size_t at)
{
	struct edge edges[256];
	size_t n = 0;
	int64_t own = key[low]->bytes == at ? (int64_t)value[low] : -1;

	low += own >= 0;
	while (low < high) {
		uint8_t byte = (uint8_t)key[low]->key[at];
		size_t end = low + 1;
		while (end < high && (uint8_t)key[end]->key[at] == byte)
			end++;
		edges[n++] = (struct edge){ byte, grow(t, key, value, low, end, at + 1) };
		low = end;
	}
	return state_of(t, own, edges, n);
}

static void more_units(struct trie *t)
{
	size_t n = t->n_units + (1 << 16);

	t->units = mem_grow(t->units, n, sizeof(*t->units));
	t->used = mem_grow(t->used, n, 1);
	t->based = mem_grow(t->based, n, 1);
	memset(t->units + t->n_units, 0, (n - t->n_units) * sizeof(*t->units));
	memset(t->used + t->n_units, 0, n - t->n_units);
	memset(t->based + t->n_units, 0, n - t->n_units);
	t->n_units = n;
}

static bool fits(const struct trie *t, const struct state *s, uint32_t base)
{
	if (t->based[base] || (s->value >= 0 && t->used[base]))
		return false;
	for (uint32_t i = 0; i < s->n_edges; i++)
		if (t->used[base ^ t->edges[s->edge + i].byte])
			return false;
	return true;
}

/* Children of all states lie where nobody else's do. */
static void place(struct trie *t, struct state *s)
{
	uint32_t first = s->value >= 0 || !s->n_edges ? 0 : t->edges[s->edge].byte;

	for (size_t at = t->from, tried = 0;; at++) {
		if (at + 256 >= t->n_units)
			more_units(t);
		if (t->used[at])
			continue;
		s->base = (uint32_t)at ^ first;
		if (fits(t, s, s->base))
			break;
		if (++tried > 1024) /* what is free here fits little */
			t->from = at;
	}
	while (t->used[t->from])
		t->from++;
	t->based[s->base] = 1;
	if (s->value >= 0)
		t->used[s->base] = 1;
	for (uint32_t i = 0; i < s->n_edges; i++)
		t->used[s->base ^ t->edges[s->edge + i].byte] = 1;
}

static uint32_t unit_to(uint32_t at, uint32_t byte, const struct state *to)
{
	uint32_t offset = at ^ to->base;

	if (offset >= 1U << 21)
		BUG("a trie of more than 2^21 units");
	return byte | (to->value >= 0 ? 1U << 8 : 0) | offset << 10;
}

static void lay_out(struct trie *t, uint32_t root)
{
	more_units(t);
	t->used[0] = t->based[0] = 1;
	t->from = 1;
	for (size_t i = t->n; i-- > 0;)
		place(t, &t->states[i]);
	t->units[0] = unit_to(0, 0, &t->states[root]);
	for (size_t i = 0; i < t->n; i++) {
		const struct state *s = &t->states[i];
		if (s->value >= 0)
			t->units[s->base] = (uint32_t)s->value | 1U << 31;
		for (uint32_t k = 0; k < s->n_edges; k++) {
			const struct edge *x = &t->edges[s->edge + k];
			uint32_t at = s->base ^ x->byte;
			t->units[at] = unit_to(at, x->byte, &t->states[x->to]);
		}
	}
	while (t->n_units > 256 && !t->used[t->n_units - 1])
		t->n_units--;
}

/* --- the file's form --- */

static int by_key(const void *a, const void *b)
{
	return strcmp((*(const struct rule *const *)a)->key, (*(const struct rule *const *)b)->key);
}

static int by_text(const void *a, const void *b)
{
	return strcmp((*(const struct rule *const *)a)->to, (*(const struct rule *const *)b)->to);
}

static const struct rule **kept(const struct rules *r, size_t *n)
{
	const struct rule **out = mem_array(r->n, sizeof(*out));

	*n = 0;
	for (size_t i = 0; i < r->n; i++)
		if (r->items[i].kept)
			out[(*n)++] = &r->items[i];
	return out;
}

static void put_u32(struct buf *out, uint32_t x)
{
	const char bytes[] = { (char)x, (char)(x >> 8), (char)(x >> 16), (char)(x >> 24) };

	buf_add(out, bytes, sizeof(bytes));
}

/* Each text once, in order; where it lies, of each rule by its number. */
static uint32_t *place_texts(const struct rules *r, struct buf *texts)
{
	size_t n;
	const struct rule **list = kept(r, &n);
	uint32_t *at = mem_array(r->n, sizeof(*at)), place = 0;

	qsort(list, n, sizeof(*list), by_text);
	for (size_t i = 0; i < n; i++) {
		if (!i || strcmp(list[i]->to, list[i - 1]->to) != 0) {
			place = (uint32_t)texts->len;
			buf_add(texts, list[i]->to, strlen(list[i]->to) + 1);
		}
		at[list[i] - r->items] = place;
	}
	mem_free(list);
	return at;
}

static void write_map(const struct rules *r, struct buf *out)
{
	struct buf texts = BUF_INIT;
	struct trie t = { .slots = (size_t)1 << 20, .cap_edges = 1024 };
	uint32_t *place = place_texts(r, &texts);
	size_t n;
	const struct rule **key = kept(r, &n);
	uint32_t *value = mem_array(n, sizeof(*value));

	qsort(key, n, sizeof(*key), by_key);
	for (size_t i = 0; i < n; i++)
		value[i] = place[key[i] - r->items];
	t.slot = mem_array(t.slots, sizeof(*t.slot));
	t.edges = mem_array(t.cap_edges, sizeof(*t.edges));
	lay_out(&t, grow(&t, key, value, 0, n, 0));
	put_u32(out, (uint32_t)(4 * t.n_units));
	for (size_t i = 0; i < t.n_units; i++)
		put_u32(out, t.units[i]);
	buf_add(out, texts.data, texts.len);
	mem_free(t.states);
	mem_free(t.edges);
	mem_free(t.slot);
	mem_free(t.units);
	mem_free(t.used);
	mem_free(t.based);
	mem_free(key);
	mem_free(value);
	mem_free(place);
	buf_release(&texts);
}

void charsmap_make(struct buf *out, bool nmt)
{
	struct rules r = { 0 };

	add_singles(&r);
	add_rows(&r);
	remove_done(&r);
	if (nmt) {
		add_nmt(&r);
		remove_done(&r);
	}
	write_map(&r, out);
	mem_free(r.items);
	mem_free(r.slot);
	mem_free(r.other);
	arena_release(&r.mem);
}
