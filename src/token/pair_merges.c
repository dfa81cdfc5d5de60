/* pair_merges: which pair of symbols is joined next, until the vocabulary is full.
 *
 * Words are lists of symbols, at first one a character. Joined is the pair that stands most often, each word weighing
 * its count; at equal counts the one with the lower ids, its left part first. What that is in tokenizers, down to its
 * queue, is kept:
 *
 *   - The alphabet is in the order of code points. Of those too many the rarest go; at equal counts here the highest.
 *   - An entry of the queue is a pair, the count that it had, and the words in which it was found. A step pushes one
 *     for each pair that it formed. One that comes out with another count than its pair has goes back with that. A
 *     pair has several entries only where a joined text was a piece before by another way; each then joins in its own
 *     words, and the merge stands in the list twice. The older comes first here, theirs is left to chance.
 *   - Counts are those of neighbours, so "aaa" has "aa" twice, and what a step joins does not lower the count of its
 *     own pair. min_frequency is compared with that.
 *   - max_token_length is of symbols, each joined from characters that count 1: a pair of max_token_length together or
 *     more is not counted.
 *
 * Pieces of a prefix or suffix ("##a") that no text has alone are numbered, there, in the order in which threads meet
 * them; here by place and code point. Counts are 64 bits; theirs of pairs are 32, signed.
 *
 * A step: the words of an entry, in parts of a fixed size, are changed by the pool's threads, each part writing down
 * what pairs it took away and formed; these are then added up in the order of the parts, so no bit depends on
 * threads. */
#include "token/pair_merges.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/human.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/utf8.h"
#include "token/alphabet.h"

enum { CHARACTERS = 0x110000, ID_BITS = 30, WORDS_OF_PART = 4096, TELL = 64 };

/* What a step does to the pairs around a place: (x, left) and (right, y) go, (x, joined) and (joined, y) come. */
enum kind { LEFT_GOES, LEFT_COMES, RIGHT_GOES, RIGHT_COMES, KINDS };

struct change { uint32_t id, word; };  /* the kind in id's upper bits */
struct changes { struct change *list; size_t n, cap; };

struct pair_slot {                     /* of an open hash */
	uint64_t pair;                 /* left << 32 | right, + 1 so that 0 is none */
	int64_t count;
	uint32_t words, last;          /* while pairs are counted first: in how many words; the last of them + 1 */
};

struct entry { uint64_t pair; uint32_t *word; uint32_t n; };
struct queued { uint64_t count, pair; uint32_t entry; };

struct trainer {
	const struct pair_settings *s;
	const struct token_training *t;
	struct pair_merges *out;
	struct vocab *v;
	/* words of two symbols and more */
	uint32_t *symbol;
	uint64_t *begin, *count;       /* [n_words] */
	uint32_t *length;
	size_t n_words;
	uint32_t *token_length;        /* [vocab_size], by id */
	struct pair_slot *slot;
	size_t n_slots, n_pairs;
	struct entry *entry;
	size_t n_entries, cap_entries;
	struct queued *heap;
	size_t n_heap, cap_heap;
	/* a step */
	struct entry now;
	uint32_t left, right, joined;
	struct changes *part;
	size_t n_parts, cap_parts;
	int64_t *delta[KINDS];         /* [vocab_size] by id, zero between steps */
	uint32_t *seen[KINDS];         /* [vocab_size]: words that a pair came in, and the last + 1 */
	uint32_t *last[KINDS];
	uint32_t **where[KINDS];       /* where they are written */
	uint32_t *touched[KINDS];      /* ids */
	size_t n_touched[KINDS];
};

/* --- the alphabet --- */

static const uint32_t *byte_characters(uint32_t out[256])
{
	for (int i = 0; i < 256; i++) {
		struct buf b = BUF_INIT;
		char byte = (char)i;
		alphabet_write(&b, &byte, 1);
		utf8_decode(b.data, b.len, &out[i]);
		buf_release(&b);
	}
	return out;
}

/* The next character of a word: a byte of the alphabet, or one of UTF-8. */
static uint32_t next_character(const uint32_t *bytes, const char *text, size_t n, size_t *at)
{
	uint32_t c = 0;

	if (bytes)
		return bytes[(uint8_t)text[(*at)++]];
	size_t k = utf8_decode(text + *at, n - *at, &c);
	if (k == 0)
		BUG("a word that is no UTF-8");
	*at += k;
	return c;
}

struct letter { uint64_t count; uint32_t character; };

static int rarest_first(const void *a, const void *b)
{
	const struct letter *x = a, *y = b;
	if (x->count != y->count)
		return x->count < y->count ? -1 : 1;
	return (x->character < y->character) - (x->character > y->character);
}

static int by_character(const void *a, const void *b)
{
	const struct letter *x = a, *y = b;
	return (x->character > y->character) - (x->character < y->character);
}

/* Characters of the words and those that are in anyway, in order, *n of them; mem_free. U+0000 cannot be in a piece. */
static struct letter *alphabet_of(const struct trainer *x, const struct word_counts *w, const uint32_t *bytes,
                                  size_t *n)
{
	uint64_t *count = mem_array(CHARACTERS, sizeof(*count));
	size_t k = 0;

	for (size_t i = 0; i < w->n; i++) {
		const char *text = w->text + w->begin[i];
		size_t length = word_counts_bytes(w, i);
		for (size_t at = 0; at < length;)
			count[next_character(bytes, text, length, &at)] += w->count[i];
	}
	for (size_t i = 0; i < x->s->n_initial; i++)
		count[x->s->initial[i]] = UINT64_MAX;
	for (size_t c = 1; c < CHARACTERS; c++)
		k += count[c] > 0;
	struct letter *out = mem_array(MAX(k, (size_t)1), sizeof(*out));
	k = 0;
	for (uint32_t c = 1; c < CHARACTERS; c++)
		if (count[c])
			out[k++] = (struct letter){ count[c], c };
	mem_free(count);
	*n = k;
	if (x->s->limit_alphabet && k > x->s->limit_alphabet) {
		size_t gone = k - x->s->limit_alphabet;
		qsort(out, k, sizeof(*out), rarest_first);
		memmove(out, out + gone, (k - gone) * sizeof(*out));
		*n = k - gone;
		qsort(out, *n, sizeof(*out), by_character);
	}
	return out;
}

/* The piece of that text, a new one where it is not there. */
static uint32_t piece_of(struct trainer *x, const char *text, size_t n)
{
	int32_t id = vocab_find_any(x->v, text, n);

	if (id >= 0)
		return (uint32_t)id;
	if (vocab_put(x->v, text, n, (long long)x->v->n, PIECE_MODEL, NULL))
		BUG("a piece that is not there cannot be put");
	return (uint32_t)x->v->n - 1;
}

static int room(const struct trainer *x, struct err *e)
{
	if (x->v->n <= x->s->vocab_size)
		return 0;
	return err_set(e,
	               "--vocab-size %zu has no room for %zu special tokens and an alphabet of %zu; a larger size, or "
	               "--limit-alphabet",
	               x->s->vocab_size, x->s->n_special, x->v->n - x->s->n_special);
}

/* Ids of characters by place: + 1 where it does not begin a word, + 2 where it ends one; as far as these differ. */
struct places { int32_t *id[4]; };

static int make_alphabet(struct trainer *x, const struct word_counts *w, const uint32_t *bytes, struct places *places,
                         struct err *e)
{
	size_t n = x->s->n_initial;
	struct letter *letter = x->s->joins ? NULL : alphabet_of(x, w, bytes, &n);
	char text[4];

	places->id[0] = mem_array(CHARACTERS, sizeof(int32_t));
	for (size_t i = 0; i < x->s->n_special; i++)
		piece_of(x, x->s->special[i], strlen(x->s->special[i]));
	for (size_t i = 0; i < n; i++)
		piece_of(x, text, utf8_encode(letter ? letter[i].character : x->s->initial[i], text));
	/* a special token of one character is a symbol too, as there */
	for (size_t i = 0; i < x->v->n; i++) {
		uint32_t c;
		const struct piece *p = &x->v->piece[i];
		if (p->n && utf8_decode(p->text, p->n, &c) == p->n)
			places->id[0][c] = (int32_t)i + 1;
	}
	mem_free(letter);
	return room(x, e);
}

static int place_of(const struct pair_settings *s, bool first, bool last)
{
	return (*s->prefix && !first ? 1 : 0) | (*s->suffix && last ? 2 : 0);
}

static void number_place(struct trainer *x, int place, int32_t *id)
{
	for (uint32_t c = 0; c < CHARACTERS; c++) {
		struct buf b = BUF_INIT;
		char text[4];
		if (!id[c])
			continue;
		buf_adds(&b, place & 1 ? x->s->prefix : "");
		buf_add(&b, text, utf8_encode(c, text));
		buf_adds(&b, place & 2 ? x->s->suffix : "");
		id[c] = (int32_t)piece_of(x, b.data, b.len) + 1;
		buf_release(&b);
	}
}

/* Characters that stand where a prefix or a suffix makes another piece of them get a number there. */
static void make_places(struct trainer *x, const struct word_counts *w, const uint32_t *bytes, struct places *places)
{
	if (!*x->s->prefix && !*x->s->suffix)
		return;
	for (int k = 1; k < 4; k++)
		places->id[k] = mem_array(CHARACTERS, sizeof(int32_t));
	for (size_t i = 0; i < w->n; i++) {
		const char *text = w->text + w->begin[i];
		size_t n = word_counts_bytes(w, i);
		for (size_t at = 0; at < n;) {
			bool first = at == 0;
			uint32_t c = next_character(bytes, text, n, &at);
			int place = place_of(x->s, first, at == n);
			if (place && places->id[0][c])
				places->id[place][c] = 1;
		}
	}
	for (int k = 1; k < 4; k++)
		number_place(x, k, places->id[k]);
}

/* --- words as symbols --- */

/* Of word i, which may have characters that are not in the alphabet: they are left out. */
static uint32_t symbols_of(struct trainer *x, const struct word_counts *w, size_t i, const uint32_t *bytes,
                           const struct places *places, uint32_t *out)
{
	const char *text = w->text + w->begin[i];
	size_t n = word_counts_bytes(w, i);
	uint32_t k = 0;

	for (size_t at = 0; at < n;) {
		bool first = at == 0;
		uint32_t c = next_character(bytes, text, n, &at);
		if (places->id[0][c])
			out[k++] = (uint32_t)places->id[place_of(x->s, first, at == n)][c] - 1;
		else if (x->s->joins)
			out[k++] = (uint32_t)x->v->n - 1;
	}
	return k;
}

/* What follows takes at most: symbols, a place for each pair of them and its entry. */
static int check_memory(const struct trainer *x, const struct word_counts *w, struct err *e)
{
	size_t bytes = (size_t)w->begin[w->n], need = bytes * 13 + w->n * 36, most = token_train_memory(x->t);
	char a[32], b[32];

	if (w->n >= UINT32_MAX)
		return err_set(e, "%zu distinct words are too many", w->n);
	if (need <= most)
		return 0;
	return err_set(e, "%zu distinct words take about %s to find merges in, more than --memory %s", w->n,
	               human_bytes(need, a), human_bytes(most, b));
}

static void make_symbols(struct trainer *x, const struct word_counts *w, const uint32_t *bytes,
                         const struct places *places)
{
	uint64_t at = 0;

	x->symbol = mem_array(MAX(w->begin[w->n], 1), sizeof(*x->symbol));
	x->begin = mem_array(w->n, sizeof(*x->begin));
	x->count = mem_array(w->n, sizeof(*x->count));
	x->length = mem_array(w->n, sizeof(*x->length));
	for (size_t i = 0; i < w->n; i++) {
		uint32_t n = symbols_of(x, w, i, bytes, places, x->symbol + at);
		if (n < 2)
			continue;
		x->begin[x->n_words] = at;
		x->count[x->n_words] = w->count[i];
		x->length[x->n_words++] = n;
		at += n;
	}
}

static int make_words(struct trainer *x, const struct word_counts *w, struct err *e)
{
	uint32_t own[256];
	const uint32_t *bytes = x->s->bytes ? byte_characters(own) : NULL;
	struct places places = { { NULL } };
	int status = check_memory(x, w, e);

	if (!status)
		status = make_alphabet(x, w, bytes, &places, e);
	if (!status) {
		make_places(x, w, bytes, &places);
		status = room(x, e);
	}
	if (!status)
		make_symbols(x, w, bytes, &places);
	for (int k = 0; k < 4; k++)
		mem_free(places.id[k]);
	return status;
}

/* --- pairs and the queue --- */

static uint64_t pair_of(uint32_t left, uint32_t right) { return (uint64_t)left << 32 | right; }

static size_t hash_pair(uint64_t pair)
{
	pair *= 0x9e3779b97f4a7c15u;
	return (size_t)(pair ^ pair >> 29);
}

static struct pair_slot *find_slot(const struct trainer *x, uint64_t pair)
{
	size_t at = hash_pair(pair) & (x->n_slots - 1);
	while (x->slot[at].pair && x->slot[at].pair != pair + 1)
		at = (at + 1) & (x->n_slots - 1);
	return &x->slot[at];
}

static void grow_slots(struct trainer *x)
{
	struct pair_slot *old = x->slot;
	size_t n = x->n_slots;

	x->n_slots = n ? 2 * n : 1 << 14;
	x->slot = mem_array(x->n_slots, sizeof(*x->slot));
	for (size_t i = 0; i < n; i++)
		if (old[i].pair)
			*find_slot(x, old[i].pair - 1) = old[i];
	mem_free(old);
}

static struct pair_slot *slot_of(struct trainer *x, uint64_t pair)
{
	if (2 * x->n_pairs >= x->n_slots)
		grow_slots(x);
	struct pair_slot *s = find_slot(x, pair);
	if (!s->pair) {
		s->pair = pair + 1;
		x->n_pairs++;
	}
	return s;
}

/* By how many characters two pairs join to, then by the bytes of that. */
static int compare_joined(const struct trainer *x, uint64_t a, uint64_t b)
{
	const struct piece *p[2][2] = { { &x->v->piece[a >> 32], &x->v->piece[(uint32_t)a] },
		                        { &x->v->piece[b >> 32], &x->v->piece[(uint32_t)b] } };
	uint32_t m = x->token_length[a >> 32] + x->token_length[(uint32_t)a];
	uint32_t n = x->token_length[b >> 32] + x->token_length[(uint32_t)b];

	if (m != n)
		return m < n ? -1 : 1;
	const size_t all[2] = { p[0][0]->n + p[0][1]->n, p[1][0]->n + p[1][1]->n };
	for (size_t i = 0; i < MAX(all[0], all[1]); i++) {
		int c[2];
		for (int k = 0; k < 2; k++)
			c[k] = i >= all[k]        ? -1 :
			       i < p[k][0]->n     ? (uint8_t)p[k][0]->text[i] :
			                            (uint8_t)p[k][1]->text[i - p[k][0]->n];
		if (c[0] != c[1])
			return c[0] - c[1];
	}
	return 0;
}

static bool before(const struct trainer *x, const struct queued *a, const struct queued *b)
{
	if (a->count != b->count)
		return a->count > b->count;
	int c = x->s->joins && a->pair != b->pair ? compare_joined(x, a->pair, b->pair) : 0;
	if (c)
		return c < 0;
	return a->pair != b->pair ? a->pair < b->pair : a->entry < b->entry;
}

static void push(struct trainer *x, struct queued q)
{
	if (x->n_heap == x->cap_heap) {
		x->cap_heap = MAX(1024, 2 * x->cap_heap);
		x->heap = mem_grow(x->heap, x->cap_heap, sizeof(*x->heap));
	}
	size_t i = x->n_heap++;
	for (; i > 0 && before(x, &q, &x->heap[(i - 1) / 4]); i = (i - 1) / 4)
		x->heap[i] = x->heap[(i - 1) / 4];
	x->heap[i] = q;
}

static struct queued pop(struct trainer *x)
{
	struct queued top = x->heap[0], q = x->heap[--x->n_heap];
	size_t i = 0;

	for (;;) {
		size_t first = 4 * i + 1, best = first;
		for (size_t k = first + 1; k < MIN(first + 4, x->n_heap); k++)
			if (before(x, &x->heap[k], &x->heap[best]))
				best = k;
		if (first >= x->n_heap || !before(x, &x->heap[best], &q))
			break;
		x->heap[i] = x->heap[best];
		i = best;
	}
	x->heap[i] = q;
	return top;
}

/* An entry, which takes the list of words. */
static void add_entry(struct trainer *x, uint64_t pair, uint64_t count, uint32_t *word, uint32_t n)
{
	if (x->s->joins &&
	    !x->s->joins(x->s->joins_ctx, &x->v->piece[pair >> 32], &x->v->piece[(uint32_t)pair])) {
		mem_free(word);
		return;
	}
	if (x->n_entries == x->cap_entries) {
		x->cap_entries = MAX(1024, 2 * x->cap_entries);
		x->entry = mem_grow(x->entry, x->cap_entries, sizeof(*x->entry));
	}
	x->entry[x->n_entries] = (struct entry){ pair, word, n };
	push(x, (struct queued){ count, pair, (uint32_t)x->n_entries++ });
}

static void count_pairs(struct trainer *x)
{
	for (size_t i = 0; i < x->n_words; i++) {
		const uint32_t *s = x->symbol + x->begin[i];
		for (uint32_t k = 0; k + 1 < x->length[i]; k++) {
			struct pair_slot *slot = slot_of(x, pair_of(s[k], s[k + 1]));
			slot->count += (int64_t)x->count[i];
			slot->words += slot->last != i + 1;
			slot->last = (uint32_t)i + 1;
		}
	}
}

/* The words of each pair: the slots' numbers become places in lists of their length. */
static void queue_pairs(struct trainer *x)
{
	uint32_t **list = mem_array(MAX(x->n_slots, (size_t)1), sizeof(*list));

	for (size_t i = 0; i < x->n_slots; i++) {
		struct pair_slot *s = &x->slot[i];
		if (!s->pair)
			continue;
		list[i] = mem_array(s->words, sizeof(**list));
		s->words = s->last = 0;
	}
	for (size_t i = 0; i < x->n_words; i++) {
		const uint32_t *s = x->symbol + x->begin[i];
		for (uint32_t k = 0; k + 1 < x->length[i]; k++) {
			struct pair_slot *slot = find_slot(x, pair_of(s[k], s[k + 1]));
			if (slot->last != i + 1)
				list[slot - x->slot][slot->words++] = (uint32_t)i;
			slot->last = (uint32_t)i + 1;
		}
	}
	for (size_t i = 0; i < x->n_slots; i++)
		if (list[i])
			add_entry(x, x->slot[i].pair - 1, (uint64_t)x->slot[i].count, list[i], x->slot[i].words);
	mem_free(list);
}

/* --- a step --- */

static void note(struct changes *c, enum kind kind, uint32_t id, uint32_t word)
{
	if (c->n == c->cap) {
		c->cap = MAX(1024, 2 * c->cap);
		c->list = mem_grow(c->list, c->cap, sizeof(*c->list));
	}
	c->list[c->n++] = (struct change){ id | (uint32_t)kind << ID_BITS, word };
}

/* Joins in one word, from its beginning on. */
static void join_word(const struct trainer *x, uint32_t word, struct changes *c)
{
	uint32_t *s = x->symbol + x->begin[word], n = x->length[word], k = 0;
	size_t most = x->s->max_token_length ? x->s->max_token_length : SIZE_MAX, own = x->token_length[x->joined];

	for (uint32_t i = 0; i < n;) {
		if (s[i] != x->left || i + 1 == n || s[i + 1] != x->right) {
			s[k++] = s[i++];
			continue;
		}
		if (k) {
			note(c, LEFT_GOES, s[k - 1], word);
			if (x->token_length[s[k - 1]] + own < most)
				note(c, LEFT_COMES, s[k - 1], word);
		}
		i += 2;
		s[k++] = x->joined;
		if (i < n) {
			note(c, RIGHT_GOES, s[i], word);
			if (x->token_length[s[i]] + own < most)
				note(c, RIGHT_COMES, s[i], word);
		}
	}
	x->length[word] = k;
}

static void join_part(void *ctx, size_t item, int thread)
{
	struct trainer *x = ctx;
	size_t end = MIN((item + 1) * WORDS_OF_PART, (size_t)x->now.n);

	(void)thread;
	x->part[item].n = 0;
	for (size_t i = item * WORDS_OF_PART; i < end; i++)
		join_word(x, x->now.word[i], &x->part[item]);
}

static uint64_t pair_at(const struct trainer *x, enum kind kind, uint32_t id)
{
	switch (kind) {
	case LEFT_GOES: return pair_of(id, x->left);
	case LEFT_COMES: return pair_of(id, x->joined);
	case RIGHT_GOES: return pair_of(x->right, id);
	default: return pair_of(x->joined, id);
	}
}

static bool comes(enum kind kind) { return kind == LEFT_COMES || kind == RIGHT_COMES; }

/* How much, and for pairs that come in how many words. */
static void add_up(struct trainer *x, const struct changes *c)
{
	for (size_t i = 0; i < c->n; i++) {
		uint32_t kind = c->list[i].id >> ID_BITS, id = c->list[i].id & ((1u << ID_BITS) - 1);
		uint32_t word = c->list[i].word;
		if (!x->last[kind][id])
			x->touched[kind][x->n_touched[kind]++] = id;
		x->delta[kind][id] += (int64_t)x->count[word];
		x->seen[kind][id] += x->last[kind][id] != word + 1;
		x->last[kind][id] = word + 1;
	}
}

static void write_words(struct trainer *x, const struct changes *c)
{
	for (size_t i = 0; i < c->n; i++) {
		uint32_t kind = c->list[i].id >> ID_BITS, id = c->list[i].id & ((1u << ID_BITS) - 1);
		uint32_t word = c->list[i].word;
		if (!comes(kind) || x->last[kind][id] == word + 1)
			continue;
		x->where[kind][id][x->seen[kind][id]++] = word;
		x->last[kind][id] = word + 1;
	}
}

static int by_number(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

/* (joined, joined) comes from both sides, where the piece was there before: one list. */
static void join_lists(struct trainer *x)
{
	uint32_t id = x->joined, n = x->seen[LEFT_COMES][id], m = x->seen[RIGHT_COMES][id], k = 0;

	if (!n || !m)
		return;
	uint32_t *all = mem_grow(x->where[LEFT_COMES][id], (size_t)n + m, sizeof(*all));
	memcpy(all + n, x->where[RIGHT_COMES][id], m * sizeof(*all));
	qsort(all, (size_t)n + m, sizeof(*all), by_number);
	for (uint32_t i = 0; i < n + m; i++)
		if (i == 0 || all[i] != all[k - 1])
			all[k++] = all[i];
	x->where[LEFT_COMES][id] = all;
	x->seen[LEFT_COMES][id] = k;
	mem_free(x->where[RIGHT_COMES][id]);
	x->where[RIGHT_COMES][id] = NULL;
}

/* All counts first, since a pair may go as one thing and come as another; then the queue, and zeros again. */
static void queue_changes(struct trainer *x)
{
	for (int k = 0; k < KINDS; k++)
		for (size_t i = 0; i < x->n_touched[k]; i++) {
			uint32_t id = x->touched[k][i];
			int64_t d = x->delta[k][id];
			slot_of(x, pair_at(x, k, id))->count += comes(k) ? d : -d;
		}
	join_lists(x);
	for (int k = 0; k < KINDS; k++) {
		for (size_t i = 0; i < x->n_touched[k]; i++) {
			uint32_t id = x->touched[k][i], *words = x->where[k][id];
			int64_t count = words ? find_slot(x, pair_at(x, k, id))->count : 0;
			if (count > 0)
				add_entry(x, pair_at(x, k, id), (uint64_t)count, words, x->seen[k][id]);
			else
				mem_free(words);
			x->where[k][id] = NULL;
			x->delta[k][id] = 0;
			x->seen[k][id] = x->last[k][id] = 0;
		}
		x->n_touched[k] = 0;
	}
}

static void run_step(struct trainer *x)
{
	x->n_parts = (x->now.n + WORDS_OF_PART - 1) / WORDS_OF_PART;
	if (x->n_parts > x->cap_parts) {
		x->part = mem_grow(x->part, x->n_parts, sizeof(*x->part));
		memset(x->part + x->cap_parts, 0, (x->n_parts - x->cap_parts) * sizeof(*x->part));
		x->cap_parts = x->n_parts;
	}
	if (x->n_parts == 1)
		join_part(x, 0, 0);
	else
		pool_run(x->t->pool, x->n_parts, join_part, x);
	for (size_t i = 0; i < x->n_parts; i++)
		add_up(x, &x->part[i]);
	for (int k = 0; k < KINDS; k++)
		for (size_t i = 0; comes(k) && i < x->n_touched[k]; i++) {
			uint32_t id = x->touched[k][i];
			x->where[k][id] = mem_array(x->seen[k][id], sizeof(**x->where[k]));
			x->seen[k][id] = x->last[k][id] = 0;
		}
	for (size_t i = 0; i < x->n_parts; i++)
		write_words(x, &x->part[i]);
	queue_changes(x);
}

/* --- the merges --- */

/* The piece that the entry's pair becomes: the right part loses the prefix of what does not begin a word. false: it was
 * made before, and is not to be made again. */
static bool joined_piece(struct trainer *x, uint32_t *id)
{
	const struct piece *a = &x->v->piece[x->left], *b = &x->v->piece[x->right];
	size_t prefix = strlen(x->s->prefix);
	size_t skip = b->n >= prefix && !memcmp(b->text, x->s->prefix, prefix) ? prefix : 0;
	struct buf text = BUF_INIT;

	buf_add(&text, a->text, a->n);
	buf_add(&text, b->text + skip, b->n - skip);
	bool made = x->s->joins && vocab_find_any(x->v, text.data, text.len) >= 0;
	if (!made) {
		*id = piece_of(x, text.data, text.len);
		x->token_length[*id] = x->token_length[x->left] + x->token_length[x->right];
	}
	buf_release(&text);
	return !made;
}

static void add_merge(struct trainer *x)
{
	struct pair_merges *m = x->out;

	if (m->n_merges == m->cap) {
		m->cap = MAX(1024, 2 * m->cap);
		m->merge = mem_grow(m->merge, m->cap, sizeof(*m->merge));
	}
	m->merge[m->n_merges++] = (struct merge){ (int32_t)x->left, (int32_t)x->right };
}

static int find_merges(struct trainer *x, struct err *e)
{
	size_t first = x->v->n;

	while (x->v->n < x->s->vocab_size && x->n_heap) {
		struct queued q = pop(x);
		uint64_t count = (uint64_t)find_slot(x, q.pair)->count;
		if (q.count != count) {
			q.count = count;
			push(x, q);
			continue;
		}
		if (q.count < 1 || x->s->min_frequency > q.count)
			break;
		x->now = x->entry[q.entry];
		x->entry[q.entry].word = NULL;
		x->left = (uint32_t)(q.pair >> 32);
		x->right = (uint32_t)q.pair;
		if (!joined_piece(x, &x->joined)) {
			mem_free(x->now.word);
			continue;
		}
		add_merge(x);
		run_step(x);
		mem_free(x->now.word);
		if (x->out->n_merges % TELL == 0) {
			token_train_progress(x->t, "merging pairs", x->v->n - first, x->s->vocab_size - first);
			if (stop_look(e, "pairs were merged"))
				return -1;
		}
	}
	return 0;
}

static void begin_steps(struct trainer *x)
{
	size_t n = MAX(x->s->vocab_size, x->v->n);

	x->token_length = mem_array(n, sizeof(*x->token_length));
	for (size_t i = 0; i < x->v->n; i++)
		x->token_length[i] = 1;
	for (int k = 0; k < KINDS; k++) {
		x->delta[k] = mem_array(n, sizeof(**x->delta));
		x->seen[k] = mem_array(n, sizeof(**x->seen));
		x->last[k] = mem_array(n, sizeof(**x->last));
		x->touched[k] = mem_array(n, sizeof(**x->touched));
		x->where[k] = mem_array(n, sizeof(**x->where));
	}
	token_train_progress(x->t, "counting pairs", 0, 0);
	count_pairs(x);
	queue_pairs(x);
}

static void release(struct trainer *x)
{
	for (size_t i = 0; i < x->n_entries; i++)
		mem_free(x->entry[i].word);
	for (size_t i = 0; i < x->cap_parts; i++)
		mem_free(x->part[i].list);
	for (int k = 0; k < KINDS; k++) {
		mem_free(x->delta[k]);
		mem_free(x->seen[k]);
		mem_free(x->last[k]);
		mem_free(x->touched[k]);
		mem_free(x->where[k]);
	}
	mem_free(x->symbol);
	mem_free(x->begin);
	mem_free(x->count);
	mem_free(x->length);
	mem_free(x->token_length);
	mem_free(x->slot);
	mem_free(x->entry);
	mem_free(x->heap);
	mem_free(x->part);
}

int pair_merges_train(struct pair_merges *out, const struct word_counts *w, const struct pair_settings *s,
                      const struct token_training *t, struct err *e)
{
	struct trainer x = { .s = s, .t = t, .out = out, .v = &out->vocab };

	*out = (struct pair_merges){ 0 };
	if (w->n == 0)
		return err_set(e, "the texts have no word to train on");
	if (s->vocab_size >= 1u << 24)
		return err_set(e, "--vocab-size %zu is too large, wanted below %u", s->vocab_size, 1u << 24);
	int status = make_words(&x, w, e);
	if (!status) {
		begin_steps(&x);
		status = find_merges(&x, e);
	}
	release(&x);
	if (status)
		pair_merges_release(out);
	return status;
}

void pair_merges_release(struct pair_merges *m)
{
	vocab_release(&m->vocab);
	mem_free(m->merge);
	*m = (struct pair_merges){ 0 };
}
