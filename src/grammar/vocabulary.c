/* vocabulary: tokens sorted by their bytes are a trie in preorder, so it is two arrays and a walk needs no pointer.
 * What the first token of an answer adds may differ from what it adds later (SentencePiece drops a space), so there may
 * be two. */
#include "grammar/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool grammar_is_mark(const char *marks, const char *text) { return marks && *text && strstr(marks, text); }

/* --- one trie --- */

struct sorted {
	const char *bytes;
	size_t n;
	int32_t id;
};

static int by_bytes(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int order = memcmp(x->bytes, y->bytes, MIN(x->n, y->n));

	return order ? order : x->n != y->n ? (x->n > y->n) - (x->n < y->n) : (x->id > y->id) - (x->id < y->id);
}

/* Nodes from `common` bytes on, the last of which the token ends at. */
static void add_nodes(struct trie *t, const struct sorted *s, size_t common, uint32_t *open)
{
	for (size_t d = common; d < s->n; d++) {
		open[d] = (uint32_t)t->n_nodes;
		t->node[t->n_nodes++] = (struct trie_node){ .depth = (uint16_t)(d + 1),
			                                    .byte = (uint8_t)s->bytes[d],
			                                    .first = (uint32_t)t->n_ids };
	}
	t->node[open[s->n - 1]].n++;
	t->id[t->n_ids++] = s->id;
}

static void close_nodes(struct trie *t, const uint32_t *open, size_t from, size_t to)
{
	for (size_t d = from; d < to; d++)
		t->node[open[d]].skip = (uint32_t)t->n_nodes;
}

static void make_nodes(struct trie *t, const struct sorted *list, size_t n)
{
	size_t most = 1, before = 0;

	for (size_t i = 0; i < n; i++)
		t->depth = MAX(t->depth, list[i].n);
	for (size_t i = 0; i < n; i++)
		most += list[i].n;
	uint32_t *open = mem_array(t->depth + 1, sizeof(*open));
	t->node = mem_array(most, sizeof(*t->node));
	t->id = mem_array(n + 1, sizeof(*t->id));
	for (size_t i = 0; i < n; i++) {
		size_t common = 0;
		while (i && common < list[i].n && common < before && list[i].bytes[common] == list[i - 1].bytes[common])
			common++;
		close_nodes(t, open, common, before);
		add_nodes(t, &list[i], common, open);
		before = list[i].n;
	}
	close_nodes(t, open, 0, before);
	t->node = mem_grow(t->node, t->n_nodes + 1, sizeof(*t->node));
	mem_free(open);
}

enum { LONGEST = 4096 /* bytes of a token; longer ones are never allowed */ };

static void make_trie(struct trie *t, size_t V)
{
	struct sorted *list = mem_array(V + 1, sizeof(*list));
	size_t n = 0;

	for (size_t i = 0; i < V; i++) {
		size_t bytes = t->at[i + 1] - t->at[i];
		if (bytes && bytes <= LONGEST)
			list[n++] = (struct sorted){ t->bytes + t->at[i], bytes, (int32_t)i };
	}
	qsort(list, n, sizeof(*list), by_bytes);
	make_nodes(t, list, n);
	mem_free(list);
}

static void release_trie(struct trie *t)
{
	mem_free(t->node);
	mem_free(t->id);
	mem_free(t->at);
	mem_free(t->bytes);
}

/* --- tokens --- */

static bool has(const struct tokens *list, int32_t id)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->id[i] == id)
			return true;
	return false;
}

static struct grammar_vocabulary *begin(size_t V, const struct tokens *ends)
{
	struct grammar_vocabulary *v = mem_alloc(sizeof(*v));

	v->V = V;
	for (int k = 0; k < 2; k++)
		v->trie[k].at = mem_array(V + 1, sizeof(size_t));
	for (size_t i = 0; i < ends->n; i++)
		if (ends->id[i] >= 0 && (size_t)ends->id[i] < V && !has(&v->ends, ends->id[i]))
			tokens_add(&v->ends, ends->id[i]);
	return v;
}

static void take_bytes(struct grammar_vocabulary *v, int first, struct buf *all)
{
	struct trie *t = &v->trie[first];

	t->bytes = mem_alloc(all->len + 1);
	if (all->len)
		memcpy(t->bytes, all->data, all->len);
	make_trie(t, v->V);
	buf_release(all);
}

struct grammar_vocabulary *grammar_vocabulary_new(const struct tokenizer *t, size_t V, const struct tokens *ends,
                                                  const char *marks)
{
	struct grammar_vocabulary *v = begin(V, ends);

	for (int first = 0; first < 2; first++) {
		struct buf all = BUF_INIT;
		for (size_t i = 0; i < V; i++) {
			int32_t id = (int32_t)i;
			const char *text = i < tokenizer_size(t) ? tokenizer_text(t, id) : NULL;
			bool special = text && tokenizer_is_special(t, id),
			     mark = special && grammar_is_mark(marks, text);
			if (text && (!special || mark) && !has(&v->ends, id))
				tokenizer_decode_next(t, id, !mark, first, &all);
			v->trie[first].at[i + 1] = all.len;
		}
		take_bytes(v, first, &all);
	}
	v->first_differs = v->trie[0].at[V] != v->trie[1].at[V] ||
	                   memcmp(v->trie[0].at, v->trie[1].at, V * sizeof(size_t)) != 0 ||
	                   memcmp(v->trie[0].bytes, v->trie[1].bytes, v->trie[0].at[V]) != 0;
	return v;
}

struct grammar_vocabulary *grammar_vocabulary_of(const char *const *text, size_t V, const struct tokens *ends)
{
	struct grammar_vocabulary *v = begin(V, ends);
	struct buf all = BUF_INIT, none = BUF_INIT;

	for (size_t i = 0; i < V; i++) {
		if (text[i] && !has(&v->ends, (int32_t)i))
			buf_adds(&all, text[i]);
		v->trie[0].at[i + 1] = all.len;
	}
	take_bytes(v, 0, &all);
	take_bytes(v, 1, &none);
	return v;
}

void grammar_vocabulary_free(struct grammar_vocabulary *v)
{
	if (!v)
		return;
	release_trie(&v->trie[0]);
	release_trie(&v->trie[1]);
	tokens_release(&v->ends);
	mem_free(v);
}
