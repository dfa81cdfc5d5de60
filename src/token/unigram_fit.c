/* unigram_fit: expectation and maximization over all ways to cut each word into pieces (Kudo 2018), then the pieces
 * that the likelihood misses least go, until few enough are left.
 *
 * Ways through a word are a lattice: nodes are pieces, from a character to another. What is summed before a place is
 * the same for all nodes that begin there, so there is one number A a place, and one, B, of what follows it:
 *
 *     A[0] = 0, A[p] = log Σ exp(score + A[begin])  over nodes that end at p
 *     B[n] = 0, B[p] = log Σ exp(score + B[end])    over nodes that begin at p
 *     expected[piece] += count · exp(A[begin] + score + B[end] − A[n])
 *
 * Sums are f32 in the order of SentencePiece's. Threads compute what is to be added, in chunks of a fixed size; it is
 * added in the order of the words. A character without a piece is a node of 10 below the lowest score, and counts for
 * piece 0: so it is there. M: ψ(expected) − ψ(sum), what is expected less than half a time goes.
 *
 * Pruning: a piece's second-best cut is what would stand for it. Whose own best cut is another goes; of the others
 * those with the largest loss, if all their places were cut anew, stay. In the end those go that a cut is likelier
 * than. */
#include "token/unigram_fit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/stop.h"
#include "base/utf8.h"

enum { CHUNK = 256, CHUNKS = 64, CHILD = 8 };

/* --- the trie of the pieces that there were at a time, its seeds; made anew when half of them have gone --- */

struct trie {
	struct trie_slot {
		uint64_t key;   /* node << 8 | byte, + 1; 0: none */
		uint32_t child;
		int32_t seed;   /* that ends there, −1 */
	} * slot;
	size_t n_slots, n_used;
};

static struct trie_slot *trie_find(const struct trie *t, uint64_t key)
{
	uint64_t h = key * 0x9e3779b97f4a7c15u;
	size_t at = (size_t)(h ^ h >> 32) & (t->n_slots - 1);
	while (t->slot[at].key && t->slot[at].key != key)
		at = (at + 1) & (t->n_slots - 1);
	return &t->slot[at];
}

static uint64_t trie_key(uint32_t node, char byte) { return ((uint64_t)node << CHILD | (uint8_t)byte) + 1; }

static void trie_grow(struct trie *t)
{
	struct trie_slot *old = t->slot;
	size_t n = t->n_slots;

	t->n_slots = n ? 2 * n : 1 << 12;
	t->slot = mem_array(t->n_slots, sizeof(*t->slot));
	for (size_t i = 0; i < n; i++)
		if (old[i].key)
			*trie_find(t, old[i].key) = old[i];
	mem_free(old);
}

static void trie_put(struct trie *t, const char *text, size_t n, int32_t seed)
{
	struct trie_slot *s = NULL;
	uint32_t node = 0;

	for (size_t i = 0; i < n; i++) {
		if (2 * t->n_used >= t->n_slots)
			trie_grow(t);
		s = trie_find(t, trie_key(node, text[i]));
		if (!s->key)
			*s = (struct trie_slot){ trie_key(node, text[i]), (uint32_t)++t->n_used, -1 };
		node = s->child;
	}
	if (s)
		s->seed = seed;
}

/* --- a lattice --- */

struct node {
	int32_t id, prev;    /* prev: of the best way, −1: the beginning */
	uint32_t begin, end; /* characters */
	float score, back;   /* back: of the best way to its end */
};

struct lattice {
	struct node *node; /* by where they begin, then by length */
	size_t n, cap;
	uint32_t *first;        /* [length + 2] of those that begin there */
	uint32_t *order, *last; /* by where they end: [n], [length + 2] */
	float *a, *b;           /* [length + 1] */
	size_t length, cap_length;
};

struct added {
	int32_t id;
	double amount;
};
struct chunk {
	struct added *add;
	size_t n, cap;
};

struct fit {
	const struct sentences *s;
	const struct token_training *t;
	const struct unigram_settings *how;
	struct unigram_piece *piece;
	size_t n;
	int32_t *seed, *now; /* seed of a piece, [n]; piece of a seed, −1: gone */
	size_t n_seeds;
	float lowest;
	struct trie trie;
	struct lattice *lattice; /* one a thread */
	struct chunk chunk[CHUNKS];
	size_t from; /* words of the chunks begin there */
	bool best;   /* chunks get best ways, not expectations */
	float *freq; /* by piece */
	/* of pruning */
	bool *keep;
	int32_t **other; /* the second-best cut, [n_other] */
	uint32_t *n_other;
};

static void lattice_room(struct lattice *l, size_t length)
{
	if (length + 2 > l->cap_length) {
		l->cap_length = 2 * (length + 2);
		l->first = mem_grow(l->first, l->cap_length, sizeof(*l->first));
		l->last = mem_grow(l->last, l->cap_length, sizeof(*l->last));
		l->a = mem_grow(l->a, l->cap_length, sizeof(*l->a));
		l->b = mem_grow(l->b, l->cap_length, sizeof(*l->b));
	}
}

static void lattice_add(struct lattice *l, int32_t id, size_t begin, size_t end, float score)
{
	if (l->n == l->cap) {
		l->cap = MAX(256, 2 * l->cap);
		l->node = mem_grow(l->node, l->cap, sizeof(*l->node));
		l->order = mem_grow(l->order, l->cap, sizeof(*l->order));
	}
	l->node[l->n++] = (struct node){ id, -1, (uint32_t)begin, (uint32_t)end, score, 0 };
}

static bool begins_character(char c) { return ((uint8_t)c & 0xC0) != 0x80; }

/* Nodes that begin at a byte, which is character `begin`. */
static void add_from(const struct fit *f, struct lattice *l, const char *text, size_t n, size_t begin)
{
	bool single = false;
	size_t end = begin;
	uint32_t node = 0;

	for (size_t i = 0; i < n; i++) {
		const struct trie_slot *s = trie_find(&f->trie, trie_key(node, text[i]));
		if (!s->key)
			break;
		node = s->child;
		if (i + 1 < n && !begins_character(text[i + 1]))
			continue;
		end++;
		int32_t id = s->seed < 0 ? -1 : f->now[s->seed];
		if (id < 0)
			continue;
		lattice_add(l, id, begin, end, f->piece[id].score);
		single |= end == begin + 1;
	}
	if (!single)
		lattice_add(l, 0, begin, begin + 1, f->lowest - 10.0f);
}

static void lattice_set(const struct fit *f, struct lattice *l, const char *text, size_t n)
{
	size_t length = 0;

	l->n = 0;
	lattice_room(l, n);
	for (size_t i = 0; i < n; i++)
		if (begins_character(text[i])) {
			l->first[length] = (uint32_t)l->n;
			add_from(f, l, text + i, n - i, length++);
		}
	l->length = length;
	l->first[length] = (uint32_t)l->n;
	memset(l->last, 0, (length + 2) * sizeof(*l->last));
	for (size_t i = 0; i < l->n; i++)
		l->last[l->node[i].end + 1]++;
	for (size_t p = 0; p <= length; p++)
		l->last[p + 1] += l->last[p];
	uint32_t *at =
		l->last; /* last[p] moves from the first that ends at p to behind them: then it is p + 1's first */
	for (size_t i = 0; i < l->n; i++)
		l->order[at[l->node[i].end]++] = (uint32_t)i;
}

/* Of those that end at p: order[ends_from(l, p) … ends_to(l, p)). */
static uint32_t ends_from(const struct lattice *l, size_t p) { return p ? l->last[p - 1] : 0; }
static uint32_t ends_to(const struct lattice *l, size_t p) { return l->last[p]; }

static float log_sum(float x, float y)
{
	float low = MIN(x, y), high = MAX(x, y);
	return high > low + 50.0f ? high : (float)(high + log1p(exp((double)(low - high))));
}

static void sum_ways(struct lattice *l)
{
	l->a[0] = 0;
	for (size_t p = 1; p <= l->length; p++) {
		l->a[p] = 0;
		for (uint32_t i = ends_from(l, p); i < ends_to(l, p); i++) {
			const struct node *x = &l->node[l->order[i]];
			float y = x->score + l->a[x->begin];
			l->a[p] = i == ends_from(l, p) ? y : log_sum(l->a[p], y);
		}
	}
	l->b[l->length] = 0;
	for (size_t p = l->length; p-- > 0;)
		for (uint32_t i = l->first[p]; i < l->first[p + 1]; i++) {
			float y = l->node[i].score + l->b[l->node[i].end];
			l->b[p] = i == l->first[p] ? y : log_sum(l->b[p], y);
		}
}

/* The best way to each node; returns the last node of the best of all. */
static int32_t best_way(struct lattice *l)
{
	int32_t end = -1;
	float best = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct node *r = &l->node[i];
		r->prev = -1;
		r->back = r->score;
		for (uint32_t k = ends_from(l, r->begin); k < ends_to(l, r->begin); k++) {
			float score = l->node[l->order[k]].back + r->score;
			if (k == ends_from(l, r->begin) || score > r->back) {
				r->back = score;
				r->prev = (int32_t)l->order[k];
			}
		}
	}
	for (uint32_t k = ends_from(l, l->length); k < ends_to(l, l->length); k++)
		if (k == ends_from(l, l->length) || l->node[l->order[k]].back > best) {
			best = l->node[l->order[k]].back;
			end = (int32_t)l->order[k];
		}
	return end;
}

/* --- chunks of words --- */

static void chunk_add(struct chunk *c, int32_t id, double amount)
{
	if (c->n == c->cap) {
		c->cap = MAX(4096, 2 * c->cap);
		c->add = mem_grow(c->add, c->cap, sizeof(*c->add));
	}
	c->add[c->n++] = (struct added){ id, amount };
}

static void expect_word(struct lattice *l, struct chunk *c, uint64_t count)
{
	float z, freq = (float)count;

	sum_ways(l);
	z = l->a[l->length];
	for (size_t i = 0; i < l->n; i++) {
		const struct node *x = &l->node[i];
		float share = l->a[x->begin] + x->score + l->b[x->end] - z;
		chunk_add(c, x->id, freq * exp((double)share));
	}
}

static void cut_word(struct lattice *l, struct chunk *c, uint64_t count)
{
	for (int32_t i = best_way(l); i >= 0; i = l->node[i].prev)
		chunk_add(c, l->node[i].id, (double)(float)count);
}

static void run_chunk(void *ctx, size_t item, int thread)
{
	struct fit *f = ctx;
	struct chunk *c = &f->chunk[item];
	struct lattice *l = &f->lattice[thread];
	size_t from = f->from + item * CHUNK, to = MIN(from + CHUNK, f->s->n_words);

	c->n = 0;
	for (size_t i = from; i < to; i++) {
		const struct sentence_word *w = &f->s->word[i];
		lattice_set(f, l, w->text, w->n);
		if (f->best)
			cut_word(l, c, w->count);
		else
			expect_word(l, c, w->count);
	}
}

/* Over all words: what is expected of each piece, or how often it is in best ways, into freq. */
static int over_words(struct fit *f, bool best, struct err *e)
{
	f->best = best;
	memset(f->freq, 0, f->n * sizeof(*f->freq));
	for (f->from = 0; f->from < f->s->n_words; f->from += (size_t)CHUNK * CHUNKS) {
		size_t left = f->s->n_words - f->from, n = MIN((left + CHUNK - 1) / CHUNK, (size_t)CHUNKS);
		if (!pool_try(f->t->pool, n, run_chunk, f))
			return stop_look(e, "pieces were fitted");
		for (size_t k = 0; k < n; k++)
			for (size_t i = 0; i < f->chunk[k].n; i++) {
				float *x = &f->freq[f->chunk[k].add[i].id];
				*x = (float)(*x + f->chunk[k].add[i].amount);
			}
	}
	return 0;
}

/* --- the pieces --- */

static void make_trie(struct fit *f)
{
	mem_free(f->trie.slot);
	f->trie = (struct trie){ 0 };
	trie_grow(&f->trie);
	for (size_t i = 0; i < f->n; i++) {
		f->seed[i] = (int32_t)i;
		trie_put(&f->trie, f->piece[i].text, f->piece[i].n, (int32_t)i);
	}
	f->n_seeds = f->n;
}

/* Pieces of f->piece were moved to their places: keeps n, and tells the trie. */
static void take_pieces(struct fit *f, size_t n)
{
	f->n = n;
	if (2 * n < f->n_seeds)
		make_trie(f);
	for (size_t i = 0; i < f->n_seeds; i++)
		f->now[i] = -1;
	f->lowest = FLT_MAX;
	for (size_t i = 0; i < n; i++) {
		f->now[f->seed[i]] = (int32_t)i;
		f->lowest = MIN(f->lowest, f->piece[i].score);
	}
}

static double digamma(double x)
{
	double result = 0, y, y2, y4;

	for (; x < 7; x++)
		result -= 1 / x;
	x -= 1.0 / 2.0;
	y = 1.0 / x;
	y2 = y * y;
	y4 = y2 * y2;
	return result + (log(x) + (1.0 / 24.0) * y2 - (7.0 / 960.0) * y4 + (31.0 / 8064.0) * y4 * y2 -
	                 (127.0 / 30720.0) * y4 * y4);
}

static void maximize(struct fit *f)
{
	float sum = 0;
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (f->freq[i] < 0.5f)
			continue;
		f->piece[n] = f->piece[i];
		f->seed[n] = f->seed[i];
		f->piece[n++].score = f->freq[i];
		sum += f->freq[i];
	}
	float all = (float)digamma(sum);
	for (size_t i = 0; i < n; i++)
		f->piece[i].score = (float)(digamma(f->piece[i].score) - all);
	take_pieces(f, n);
}

/* --- pruning --- */

/* A way from the end of a text back to a node; those to be gone on with are a heap, as std::priority_queue has it,
 * since equal ones come in its order. */
struct way {
	int32_t node, next;
	float fx, gx;
};
struct ways {
	struct way *way;
	size_t n, cap;
	uint32_t *heap;
	size_t n_heap, cap_heap;
};

static bool worse(const struct ways *w, uint32_t a, uint32_t b) { return w->way[a].fx < w->way[b].fx; }

static void rise(struct ways *w, size_t hole, uint32_t value)
{
	for (; hole > 0 && worse(w, w->heap[(hole - 1) / 2], value); hole = (hole - 1) / 2)
		w->heap[hole] = w->heap[(hole - 1) / 2];
	w->heap[hole] = value;
}

static void push(struct ways *w, struct way x)
{
	if (w->n == w->cap) {
		w->cap = MAX(256, 2 * w->cap);
		w->way = mem_grow(w->way, w->cap, sizeof(*w->way));
	}
	if (w->n_heap == w->cap_heap) {
		w->cap_heap = MAX(256, 2 * w->cap_heap);
		w->heap = mem_grow(w->heap, w->cap_heap, sizeof(*w->heap));
	}
	w->way[w->n++] = x;
	rise(w, w->n_heap++, (uint32_t)(w->n - 1));
}

static uint32_t pop(struct ways *w)
{
	uint32_t top = w->heap[0], value = w->heap[--w->n_heap];
	size_t n = w->n_heap, hole = 0, child = 0;

	if (!n)
		return top;
	while (child < (n - 1) / 2) {
		child = 2 * (child + 1);
		child -= worse(w, w->heap[child], w->heap[child - 1]);
		w->heap[hole] = w->heap[child];
		hole = child;
	}
	if (n % 2 == 0 && child == (n - 2) / 2) {
		child = 2 * (child + 1);
		w->heap[hole] = w->heap[child - 1];
		hole = child - 1;
	}
	rise(w, hole, value);
	return top;
}

enum { THE_END = -2, THE_BEGIN = -1 };

static void extend(const struct lattice *l, struct ways *w, uint32_t from)
{
	struct way x = w->way[from];
	size_t p = x.node == THE_END ? l->length : l->node[x.node].begin;

	if (p == 0)
		push(w, (struct way){ THE_BEGIN, (int32_t)from, x.gx, x.gx });
	for (uint32_t k = ends_from(l, p); p && k < ends_to(l, p); k++) {
		const struct node *n = &l->node[l->order[k]];
		push(w, (struct way){ (int32_t)l->order[k], (int32_t)from, n->back + x.gx, n->score + x.gx });
	}
}

/* The best two cuts of piece i: how many there are; *parts of the best; the second is in other[i]. */
static int best_two(struct fit *f, struct lattice *l, size_t i, struct ways *w, size_t *parts)
{
	int found = 0;

	lattice_set(f, l, f->piece[i].text, f->piece[i].n);
	int32_t end = best_way(l);
	w->n = w->n_heap = 0;
	push(w, (struct way){ THE_END, -1, end < 0 ? 0 : l->node[end].back, 0 });
	while (w->n_heap && found < 2) {
		uint32_t top = pop(w);
		if (w->way[top].node != THE_BEGIN) {
			extend(l, w, top);
			continue;
		}
		size_t n = 0;
		for (int32_t k = w->way[top].next; w->way[k].node >= 0; k = w->way[k].next)
			n++;
		if (found++ == 0) {
			*parts = n;
			continue;
		}
		f->other[i] = mem_array(n, sizeof(**f->other));
		for (int32_t k = w->way[top].next; w->way[k].node >= 0; k = w->way[k].next)
			f->other[i][f->n_other[i]++] = l->node[w->way[k].node].id;
	}
	return found;
}

static void cut_pieces(void *ctx, size_t item, int thread)
{
	struct fit *f = ctx;
	struct ways w = { 0 };

	for (size_t i = item * CHUNK; i < MIN((item + 1) * CHUNK, f->n); i++) {
		size_t parts = 0;
		int found = best_two(f, &f->lattice[thread], i, &w, &parts);
		f->keep[i] = found < 2 || parts < 2;
		if (found < 2 || parts > 1)
			f->n_other[i] = 0;
	}
	mem_free(w.way);
	mem_free(w.heap);
}

struct loss {
	size_t piece;
	float loss;
};

static int by_loss(const void *a, const void *b)
{
	const struct loss *x = a, *y = b;
	if (x->loss != y->loss)
		return x->loss > y->loss ? -1 : 1;
	return (x->piece > y->piece) - (x->piece < y->piece);
}

/* By how much the likelihood would fall without piece i. */
static float loss_of(const struct fit *f, size_t i, float sum, float log_all)
{
	float share = f->freq[i] / sum, with = (float)(log((double)f->freq[i]) - log_all), without = 0;
	float all = (float)log((double)(sum + f->freq[i] * (float)(f->n_other[i] - 1)));

	for (uint32_t k = 0; k < f->n_other[i]; k++)
		without = (float)(without + (log((double)(f->freq[f->other[i][k]] + f->freq[i])) - all));
	return share * (with - without);
}

/* The pieces that stay, in their order; losses: of those that may go, n_losses. */
static size_t judge(struct fit *f, size_t *stays, struct loss *losses, size_t *n_losses)
{
	double total = 0;
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		total += f->freq[i];
	float sum = (float)total, log_all = (float)log((double)sum);
	*n_losses = 0;
	for (size_t i = 0; i < f->n; i++) {
		if (f->freq[i] == 0 || !f->keep[i])
			continue;
		if (!f->n_other[i])
			stays[n++] = i;
		else
			losses[(*n_losses)++] = (struct loss){ i, loss_of(f, i, sum, log_all) };
	}
	if (*n_losses)
		qsort(losses, *n_losses, sizeof(*losses), by_loss);
	return n;
}

static void choose(struct fit *f, size_t wanted)
{
	size_t *stays = mem_array(f->n, sizeof(*stays)), n_losses, n, least;
	struct loss *losses = mem_array(f->n, sizeof(*losses));
	struct unigram_piece *piece = mem_array(f->n, sizeof(*piece));
	int32_t *seed = mem_array(f->n, sizeof(*seed));

	least = MAX(wanted, (size_t)((float)f->how->shrinking_factor * (float)f->n));
	n = judge(f, stays, losses, &n_losses);
	for (size_t i = 0; i < n_losses && n != least; i++)
		stays[n++] = losses[i].piece;
	for (size_t i = 0; i < n; i++) {
		piece[i] = f->piece[stays[i]];
		seed[i] = f->seed[stays[i]];
	}
	memcpy(f->piece, piece, n * sizeof(*piece));
	memcpy(f->seed, seed, n * sizeof(*seed));
	take_pieces(f, n);
	mem_free(stays);
	mem_free(losses);
	mem_free(piece);
	mem_free(seed);
}

static int prune(struct fit *f, size_t wanted, struct err *e)
{
	size_t n = f->n;

	f->keep = mem_array(n, sizeof(*f->keep));
	f->other = mem_array(n, sizeof(*f->other));
	f->n_other = mem_array(n, sizeof(*f->n_other));
	int status = pool_try(f->t->pool, (n + CHUNK - 1) / CHUNK, cut_pieces, f) ? 0 : stop_look(e, "pieces were cut");
	if (!status && (status = over_words(f, true, e)) == 0)
		choose(f, wanted);
	for (size_t i = 0; i < n; i++)
		mem_free(f->other[i]);
	mem_free(f->other);
	mem_free(f->n_other);
	mem_free(f->keep);
	return status;
}

static void find_shadowed(void *ctx, size_t item, int thread)
{
	struct fit *f = ctx;
	struct lattice *l = &f->lattice[thread];

	for (size_t i = item * CHUNK; i < MIN((item + 1) * CHUNK, f->n); i++) {
		lattice_set(f, l, f->piece[i].text, f->piece[i].n);
		for (uint32_t k = l->first[0]; k < l->first[1]; k++)
			if (l->node[k].end == l->length && l->node[k].id == (int32_t)i)
				l->node[k].score = -INFINITY;
		int32_t end = best_way(l);
		f->keep[i] = !(l->node[end].back > f->piece[i].score);
	}
}

/* What a cut of it is likelier than would never be used. */
static int drop_shadowed(struct fit *f, struct err *e)
{
	size_t n = 0;

	f->keep = mem_array(f->n, sizeof(*f->keep));
	int status = pool_try(f->t->pool, (f->n + CHUNK - 1) / CHUNK, find_shadowed, f) ?
	                     0 :
	                     stop_look(e, "pieces were looked at");
	for (size_t i = 0; i < f->n && !status; i++)
		if (f->keep[i]) {
			f->piece[n] = f->piece[i];
			f->seed[n++] = f->seed[i];
		}
	if (!status)
		take_pieces(f, n);
	mem_free(f->keep);
	return status;
}

static int fit(struct fit *f, struct err *e)
{
	size_t wanted = (size_t)((double)f->how->vocab_size * 1.1), first = f->n, before;

	do {
		for (int64_t i = 0; i < f->how->sub_iterations; i++) {
			if (over_words(f, false, e))
				return -1;
			maximize(f);
		}
		before = f->n;
		if (prune(f, wanted, e))
			return -1;
		token_train_progress(f->t, "fitting pieces", first - f->n, first - MIN(first, wanted));
	} while (f->n > wanted && f->n < before); /* else nothing may go */
	return drop_shadowed(f, e);
}

int unigram_fit(struct unigram_piece *pieces, size_t *n, const struct sentences *s, const struct unigram_settings *how,
                const struct token_training *t, struct err *e)
{
	struct fit f = { .s = s, .t = t, .how = how, .piece = pieces };
	int threads = pool_threads(t->pool);

	f.seed = mem_array(*n, sizeof(*f.seed));
	f.now = mem_array(*n, sizeof(*f.now));
	f.freq = mem_array(*n, sizeof(*f.freq));
	f.lattice = mem_array((size_t)threads, sizeof(*f.lattice));
	f.n = *n;
	make_trie(&f);
	take_pieces(&f, *n);
	int status = fit(&f, e);
	*n = f.n;
	for (int i = 0; i < threads; i++) {
		struct lattice *l = &f.lattice[i];
		mem_free(l->node);
		mem_free(l->first);
		mem_free(l->order);
		mem_free(l->last);
		mem_free(l->a);
		mem_free(l->b);
	}
	for (int i = 0; i < CHUNKS; i++)
		mem_free(f.chunk[i].add);
	mem_free(f.lattice);
	mem_free(f.seed);
	mem_free(f.now);
	mem_free(f.freq);
	mem_free(f.trie.slot);
	return status;
}
