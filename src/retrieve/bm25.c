/* bm25: words into numbers by a hash table, and for each word the texts that have it, in their order. What a word adds
 * to a text is computed when it is asked for, so texts may be added at any time. See bm25.h. */
#include "retrieve/bm25.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "retrieve/words.h"

const double bm25_k1 = 1.5, bm25_b = 0.75;

struct posting { uint32_t text, count; };

struct word {
	char *name;
	size_t n;
	struct posting *postings;
	size_t n_postings, cap;
};

struct bm25 {
	struct word *words;
	size_t n_words, cap_words;
	uint32_t *slots;           /* [n_slots] a word's number + 1, 0: free */
	size_t n_slots;
	uint32_t *lengths;         /* [n_texts] */
	size_t n_texts, cap_texts;
	double total;              /* words of all texts */
	struct buf lower;
};

/* --- words --- */

static size_t slot_of(const struct bm25 *b, const char *s, size_t n)
{
	size_t at = hash_64(s, n) & (b->n_slots - 1);

	while (b->slots[at]) {
		const struct word *w = &b->words[b->slots[at] - 1];
		if (w->n == n && !memcmp(w->name, s, n))
			break;
		at = (at + 1) & (b->n_slots - 1);
	}
	return at;
}

static void grow_slots(struct bm25 *b)
{
	mem_free(b->slots);
	b->n_slots = b->n_slots ? 2 * b->n_slots : 1024;
	b->slots = mem_array(b->n_slots, sizeof(*b->slots));
	for (size_t i = 0; i < b->n_words; i++)
		b->slots[slot_of(b, b->words[i].name, b->words[i].n)] = (uint32_t)i + 1;
}

static struct word *add_word(struct bm25 *b, const char *s, size_t n)
{
	if (2 * (b->n_words + 1) > b->n_slots)
		grow_slots(b);
	size_t at = slot_of(b, s, n);
	if (b->slots[at])
		return &b->words[b->slots[at] - 1];
	if (b->n_words == b->cap_words) {
		b->cap_words = MAX(256, 2 * b->cap_words);
		b->words = mem_grow(b->words, b->cap_words, sizeof(*b->words));
	}
	b->slots[at] = (uint32_t)b->n_words + 1;
	b->words[b->n_words] = (struct word){ .name = mem_strndup(s, n), .n = n };
	return &b->words[b->n_words++];
}

static const struct word *find_word(const struct bm25 *b, const char *s, size_t n)
{
	size_t at = b->n_slots ? slot_of(b, s, n) : 0;

	return b->n_slots && b->slots[at] ? &b->words[b->slots[at] - 1] : NULL;
}

/* The next one that is no stop word. */
static const char *next_word(const char *text, size_t n, size_t *at, size_t *length)
{
	const char *word;

	while ((word = word_next(text, n, at, length)) && word_is_stop(word, *length))
		;
	return word;
}

static const char *lower(struct bm25 *b, const char *text, size_t n)
{
	buf_clear(&b->lower);
	word_lower(&b->lower, text, n);
	return buf_str(&b->lower);
}

/* --- the formula --- */

double bm25_idf(double texts, double with) { return log(1 + (texts - with + 0.5) / (with + 0.5)); }

double bm25_norm(double length, double mean) { return bm25_k1 * (1 - bm25_b + bm25_b * length / mean); }

/* --- the whole --- */

struct bm25 *bm25_new(void) { return mem_alloc(sizeof(struct bm25)); }

static void post(struct word *w, uint32_t text)
{
	if (w->n_postings && w->postings[w->n_postings - 1].text == text) {
		w->postings[w->n_postings - 1].count++;
		return;
	}
	if (w->n_postings == w->cap) {
		w->cap = MAX(4, 2 * w->cap);
		w->postings = mem_grow(w->postings, w->cap, sizeof(*w->postings));
	}
	w->postings[w->n_postings++] = (struct posting){ text, 1 };
}

void bm25_add(struct bm25 *b, const char *text, size_t n)
{
	const char *all = lower(b, text, n), *word;
	size_t at = 0, length;
	uint32_t words = 0;

	while ((word = next_word(all, b->lower.len, &at, &length))) {
		post(add_word(b, word, length), (uint32_t)b->n_texts);
		words++;
	}
	if (b->n_texts == b->cap_texts) {
		b->cap_texts = MAX(256, 2 * b->cap_texts);
		b->lengths = mem_grow(b->lengths, b->cap_texts, sizeof(*b->lengths));
	}
	b->lengths[b->n_texts++] = words;
	b->total += words;
}

size_t bm25_texts(const struct bm25 *b) { return b->n_texts; }

static void add_score(const struct bm25 *b, const struct word *w, double *score)
{
	double texts = (double)b->n_texts, with = (double)w->n_postings, mean = b->total / texts;
	double idf = bm25_idf(texts, with);

	for (size_t i = 0; i < w->n_postings; i++) {
		double f = w->postings[i].count, length = b->lengths[w->postings[i].text];
		score[w->postings[i].text] += idf * f / (f + bm25_norm(length, mean));
	}
}

void bm25_score(struct bm25 *b, const char *query, size_t n, double *score)
{
	const char *all = lower(b, query, n), *word;
	size_t at = 0, length;

	for (size_t i = 0; i < b->n_texts; i++)
		score[i] = 0;
	while ((word = next_word(all, b->lower.len, &at, &length))) {
		const struct word *w = find_word(b, word, length);
		if (w)
			add_score(b, w, score);
	}
}

void bm25_free(struct bm25 *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_words; i++) {
		mem_free(b->words[i].name);
		mem_free(b->words[i].postings);
	}
	mem_free(b->words);
	mem_free(b->slots);
	mem_free(b->lengths);
	buf_release(&b->lower);
	mem_free(b);
}
