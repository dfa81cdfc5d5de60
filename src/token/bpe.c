/* bpe: merges by a heap of candidate pairs over a linked list of symbols, so a word of n symbols costs n log n, also a
 * word of a megabyte. A candidate is stale when one of its symbols was joined meanwhile; then its pair no longer has
 * its rank. */
#include "token/bpe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "format/gguf_write.h"

struct symbol {
	int32_t id;         /* −1: joined into its left neighbour */
	uint32_t begin;
	int32_t prev, next; /* −1: none */
};

struct candidate { int32_t rank, at, result; };

struct bpe_scratch {
	struct symbol *symbol;
	struct candidate *heap;
	struct token_at *token;
	size_t cap, n_heap; /* room for words of cap symbols */
};

static size_t slot_of(const struct bpe *b, int32_t left, int32_t right)
{
	uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
	size_t at = (size_t)((key * 0x9E3779B97F4A7C15u) >> 32) & (b->n_slots - 1);
	while (b->slot[at].rank >= 0 && (b->slot[at].left != left || b->slot[at].right != right))
		at = (at + 1) & (b->n_slots - 1);
	return at;
}

static void grow_slots(struct bpe *b)
{
	struct bpe_slot *old = b->slot;
	size_t n = b->n_slots;
	if ((b->n_merges + 1) * 2 <= n)
		return;
	b->n_slots = n ? n * 2 : 1024;
	b->slot = mem_array(b->n_slots, sizeof(*b->slot));
	for (size_t i = 0; i < b->n_slots; i++)
		b->slot[i].rank = -1;
	for (size_t i = 0; i < n; i++)
		if (old[i].rank >= 0)
			b->slot[slot_of(b, old[i].left, old[i].right)] = old[i];
	mem_free(old);
}

/* of a pair that comes twice the later rank holds, as in Hugging Face's tokenizers */
static void add(struct bpe *b, int32_t left, int32_t right, int32_t result, int32_t rank)
{
	if (b->n_merges == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 1024;
		b->merge = mem_grow(b->merge, b->cap, sizeof(*b->merge));
	}
	grow_slots(b);
	b->slot[slot_of(b, left, right)] = (struct bpe_slot){ left, right, result, rank };
	b->merge[b->n_merges++] = (struct merge){ left, right };
}

int bpe_add_merge(struct bpe *b, const char *left, size_t n_left, const char *right, size_t n_right, struct err *e)
{
	struct buf joined = BUF_INIT;
	int32_t l = vocab_find(b->vocab, left, n_left), r = vocab_find(b->vocab, right, n_right), result;
	size_t head = strlen(b->prefix);
	bool has = head && n_right >= head && memcmp(right, b->prefix, head) == 0;
	buf_add(&joined, left, n_left);
	buf_add(&joined, right + (has ? head : 0), n_right - (has ? head : 0));
	result = vocab_find(b->vocab, buf_str(&joined), joined.len);
	buf_release(&joined);
	if (l < 0 || r < 0 || result < 0)
		return err_set(e, "merge %zu, \"%.*s\" with \"%.*s\": %s is not in the vocabulary", b->n_merges,
		               (int)MIN(n_left, (size_t)64), left, (int)MIN(n_right, (size_t)64), right,
		               l < 0 ? "the first" :
		               r < 0 ? "the second" :
		                       "the joined token");
	add(b, l, r, result, (int32_t)b->n_merges);
	return 0;
}

/* --- scores --- */

struct scored { float score; int32_t id; };

/* The highest first, and of one score the lowest id. */
static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;
	return x->score != y->score ? (x->score < y->score ? 1 : -1) : (x->id > y->id) - (x->id < y->id);
}

/* Every cut of the piece, between characters, into two pieces. */
static void add_cuts(struct bpe *b, int32_t id, int32_t rank)
{
	const struct piece *p = &b->vocab->piece[id];
	for (uint32_t at = 1; at < p->n; at++) {
		if (((unsigned char)p->text[at] & 0xC0) == 0x80)
			continue;
		int32_t left = vocab_find(b->vocab, p->text, at);
		int32_t right = left < 0 ? -1 : vocab_find(b->vocab, p->text + at, p->n - at);
		if (right >= 0)
			add(b, left, right, id, rank);
	}
}

void bpe_read_scores(struct bpe *b, const float *score)
{
	size_t n = b->vocab->n;
	struct scored *list = mem_array(n, sizeof(*list));
	for (size_t i = 0; i < n; i++)
		list[i] = (struct scored){ score[i], (int32_t)i };
	qsort(list, n, sizeof(*list), by_score);
	for (size_t i = 0, rank = 0; i < n; i++) {
		rank = i && list[i].score != list[i - 1].score ? i : rank;
		if (b->vocab->piece[list[i].id].text && list[i].score > -INFINITY)
			add_cuts(b, list[i].id, (int32_t)rank);
	}
	mem_free(list);
}

static int read_affix(const json_t *model, const char *key, char to[32], struct err *e)
{
	const char *text;
	if (jsonx_string(model, key, "", &text, e))
		return -1;
	if (strlen(text) >= 32)
		return err_set(e, "model.%s has %zu bytes, at most 31 are supported", key, strlen(text));
	strcpy(to, text);
	return 0;
}

/* A cut of the piece into two pieces that are never joined, though scores would join them? */
static bool has_more_cuts(const struct bpe *b, int32_t id)
{
	const struct piece *p = &b->vocab->piece[id];

	for (uint32_t at = 1; at < p->n; at++) {
		if (((unsigned char)p->text[at] & 0xC0) == 0x80)
			continue;
		int32_t left = vocab_find(b->vocab, p->text, at);
		int32_t right = left < 0 ? -1 : vocab_find(b->vocab, p->text + at, p->n - at);
		if (right >= 0 && b->slot[slot_of(b, left, right)].rank < 0)
			return true;
	}
	return false;
}

/* The piece that the i-th merge makes. */
static int32_t result_of(const struct bpe *b, size_t i)
{
	return b->slot[slot_of(b, b->merge[i].left, b->merge[i].right)].result;
}

int bpe_put_scores(const struct bpe *b, struct gguf_meta *meta, size_t rows, struct err *e)
{
	size_t n = MAX(b->vocab->n, rows);
	float *score = mem_array(n, sizeof(*score));
	int32_t last = -1, made;
	int status = 0;

	for (size_t i = 0; i < n; i++)
		score[i] = -(float)(b->n_merges + 1);
	for (size_t i = 0; i < b->n_merges && status == 0; i++, last = made) {
		made = result_of(b, i);
		if (made == last)
			continue;
		if (score[made] > -(float)b->n_merges || has_more_cuts(b, made))
			status = err_set(e, "its merges are no order of pieces, such as SentencePiece's scores are (at "
			                    "\"%.64s\")", b->vocab->piece[made].text);
		score[made] = -(float)i;
	}
	if (status == 0)
		gguf_put_numbers(meta, "tokenizer.ggml.scores", GGUF_F32, score, rows);
	mem_free(score);
	return status;
}

int bpe_begin(struct bpe *b, const struct vocab *v, const json_t *model, struct err *e)
{
	double dropout;
	*b = (struct bpe){ .vocab = v };
	grow_slots(b);
	if (!model)
		return 0;
	if (jsonx_real(model, "dropout", 0, &dropout, e) ||
	    read_affix(model, "continuing_subword_prefix", b->prefix, e) ||
	    read_affix(model, "end_of_word_suffix", b->suffix, e))
		return -1;
	return dropout != 0 ? err_set(e, "model.dropout is set, which is not supported") : 0;
}

void bpe_release(struct bpe *b)
{
	mem_free(b->merge);
	mem_free(b->slot);
	*b = (struct bpe){ 0 };
}

struct bpe_scratch *bpe_scratch_new(void)
{
	return mem_alloc(sizeof(struct bpe_scratch));
}

void bpe_scratch_free(struct bpe_scratch *s)
{
	if (!s)
		return;
	mem_free(s->symbol);
	mem_free(s->heap);
	mem_free(s->token);
	mem_free(s);
}

struct token_at *bpe_symbols(struct bpe_scratch *s, size_t n)
{
	if (n <= s->cap && s->cap)
		return s->token;
	s->cap = MAX(n, MAX(s->cap * 2, (size_t)64));
	s->symbol = mem_grow(s->symbol, s->cap, sizeof(*s->symbol));
	s->token = mem_grow(s->token, s->cap, sizeof(*s->token));
	/* n − 1 at first, two more after each of n − 1 joins */
	s->heap = mem_grow(s->heap, 3 * s->cap, sizeof(*s->heap));
	return s->token;
}

static bool before(struct candidate a, struct candidate b)
{
	return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void heap_push(struct bpe_scratch *s, struct candidate c)
{
	size_t i = s->n_heap++;
	for (; i > 0 && before(c, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = c;
}

static struct candidate heap_pop(struct bpe_scratch *s)
{
	struct candidate top = s->heap[0], last = s->heap[--s->n_heap];
	size_t i = 0, child;
	while ((child = 2 * i + 1) < s->n_heap) {
		if (child + 1 < s->n_heap && before(s->heap[child + 1], s->heap[child]))
			child++;
		if (!before(s->heap[child], last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return top;
}

/* The pair of symbol `at` and its right neighbour becomes a candidate, if there is a merge for it. */
static void consider(const struct bpe *b, struct bpe_scratch *s, int32_t at)
{
	int32_t next = at < 0 ? -1 : s->symbol[at].next;
	if (next < 0)
		return;
	const struct bpe_slot *slot = &b->slot[slot_of(b, s->symbol[at].id, s->symbol[next].id)];
	if (slot->rank >= 0)
		heap_push(s, (struct candidate){ slot->rank, at, slot->result });
}

static void symbols_begin(struct bpe_scratch *s, int32_t n)
{
	for (int32_t i = 0; i < n; i++)
		s->symbol[i] = (struct symbol){ s->token[i].id, s->token[i].begin, i - 1, i + 1 };
	if (n)
		s->symbol[n - 1].next = -1;
}

static void symbols_join(const struct bpe *b, struct bpe_scratch *s)
{
	while (s->n_heap) {
		struct candidate c = heap_pop(s);
		struct symbol *left = &s->symbol[c.at];
		if (left->id < 0 || left->next < 0)
			continue;
		struct symbol *right = &s->symbol[left->next];
		const struct bpe_slot *slot = &b->slot[slot_of(b, left->id, right->id)];
		if (slot->rank != c.rank || slot->result != c.result)
			continue;
		left->id = c.result;
		right->id = -1;
		left->next = right->next;
		if (left->next >= 0)
			s->symbol[left->next].prev = c.at;
		consider(b, s, left->prev);
		consider(b, s, c.at);
	}
}

const struct token_at *bpe_merge(const struct bpe *b, struct bpe_scratch *s, size_t n, size_t *n_tokens)
{
	int32_t count = (int32_t)n;
	size_t k = 0;
	symbols_begin(s, count);
	s->n_heap = 0;
	for (int32_t i = 0; i + 1 < count; i++)
		consider(b, s, i);
	symbols_join(b, s);
	for (int32_t i = 0; i >= 0 && i < count; i = s->symbol[i].next)
		s->token[k++] = (struct token_at){ s->symbol[i].id, s->symbol[i].begin };
	*n_tokens = k;
	return s->token;
}
