/* batch_sample: random forests for tests.
 *
 * Segments are drawn in depth-first preorder directly: each new one hangs under some segment of the path to the one
 * before it, or begins a tree. Everything else (ends, positions, trees, visibility) follows from lengths and parents,
 * so what comes out is valid by construction. Pairs are drawn per (row, document through that row): the token is the
 * document's next one, or a random one after its last, so branching rows predict several tokens. */
#include "op/batch_sample.h"

#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

const struct batch_cap batch_sample_cap = {
	.rows = SAMPLE_ROWS, .targets = SAMPLE_TARGETS, .labels = SAMPLE_LABELS, .segments = SAMPLE_SEGMENTS,
	.docs = SAMPLE_SEGMENTS, .keys = SAMPLE_ROWS,
};

/* A parent for the next segment: somewhere on the path from the last one to its root, or −1. */
static int32_t draw_parent(const struct batch *b, struct rng_stream *rng)
{
	int32_t parent = b->n_segments - 1;
	while (parent >= 0 && rng_below(rng, 3) == 0)
		parent = b->segments[parent].parent;
	return parent;
}

static void draw_segments(struct batch *b, struct rng_stream *rng, int n_rows, int max_segments)
{
	int32_t row = 0, longest = MAX(1, n_rows / 3);

	b->n_segments = b->n_trees = 0;
	while (row < n_rows) {
		struct segment *s = &b->segments[b->n_segments];
		int32_t left = n_rows - row, parent = draw_parent(b, rng),
			len = 1 + (int32_t)rng_below(rng, (uint32_t)longest);
		s->start = row;
		s->len = b->n_segments == max_segments - 1 ? left : MIN(left, len);
		s->parent = parent;
		s->pos0 = parent < 0 ? 0 : b->segments[parent].pos0 + b->segments[parent].len;
		row += s->len;
		for (int32_t a = b->n_segments; a >= 0; a = b->segments[a].parent)
			b->segments[a].end = row;
		if (parent < 0)
			b->tree[b->n_trees++] = s->start;
		b->n_segments++;
	}
	b->tree[b->n_trees] = n_rows;
}

static void fill_rows(struct batch *b, struct rng_stream *rng, int n_rows, int V)
{
	b->n_rows = b->n_keys = n_rows;
	b->visible = 0;
	memset(b->beyond, 0, sizeof(b->beyond));
	for (int32_t s = 0; s < b->n_segments; s++) {
		batch_see(b, b->segments[s].pos0 + 1, b->segments[s].len);
		for (int32_t i = 0; i < b->segments[s].len; i++) {
			int32_t row = b->segments[s].start + i;
			b->ids[row] = (int32_t)rng_below(rng, (uint32_t)V);
			b->pos[row] = b->segments[s].pos0 + i;
			b->type[row] = s % 2;
			b->key[row] = row;
			b->vis_end[row] = b->segments[s].end;
			b->vis_from[row] = b->segments[s].start;
			b->key_pos[row] = b->pos[row];
		}
	}
}

/* Has it no children: then a document ends there. */
static bool is_leaf(const struct batch *b, int32_t s)
{
	return b->segments[s].end == b->segments[s].start + b->segments[s].len;
}

static bool is_through(const struct batch *b, int32_t leaf, int32_t row)
{
	for (int32_t s = leaf; s >= 0; s = b->segments[s].parent)
		if (row >= b->segments[s].start && row < b->segments[s].start + b->segments[s].len)
			return true;
	return false;
}

/* The token after `row` in the document that ends with `leaf`. */
static int32_t next_token(const struct batch *b, struct rng_stream *rng, int32_t leaf, int32_t row, int V)
{
	int32_t after = -1;
	for (int32_t s = leaf; s >= 0; s = b->segments[s].parent) {
		if (row >= b->segments[s].start && row + 1 < b->segments[s].start + b->segments[s].len)
			return b->ids[row + 1];
		if (row + 1 == b->segments[s].start + b->segments[s].len)
			return after < 0 ? (int32_t)rng_below(rng, (uint32_t)V) : b->ids[after];
		after = b->segments[s].start;
	}
	BUG("row %d is not on the path to segment %d", row, leaf);
}

static void draw_pair(struct batch *b, struct rng_stream *rng, int32_t row, int32_t leaf, int32_t doc, int V)
{
	if (b->n_targets == 0 || b->target_row[b->n_targets - 1] != row)
		b->target_row[b->n_targets++] = row;
	int32_t i = b->n_labels++;
	b->label_target[i] = b->n_targets - 1;
	b->label_token[i] = next_token(b, rng, leaf, row, V);
	b->label_weight[i] = rng_below(rng, 2) ? 1.0f : 1.25f + rng_next_float(rng);
	b->label_doc[i] = doc;
}

static void draw_pairs(struct batch *b, struct rng_stream *rng, int V, int max_labels)
{
	b->n_targets = b->n_labels = 0;
	for (int32_t row = 0; row < b->n_rows; row++) {
		int32_t doc = 0;
		for (int32_t s = 0; s < b->n_segments; s++) {
			if (!is_leaf(b, s))
				continue;
			if (is_through(b, s, row) && b->n_labels < max_labels &&
			    (b->n_labels == 0 || rng_below(rng, 2)))
				draw_pair(b, rng, row, s, doc, V);
			doc++;
		}
	}
}

static void count_documents(struct batch *b)
{
	b->n_docs = 0;
	b->tokens = 0;
	for (int32_t s = 0; s < b->n_segments; s++)
		b->segments[s].docs = 0;
	for (int32_t s = 0; s < b->n_segments; s++)
		if (is_leaf(b, s)) {
			b->n_docs++;
			b->tokens += b->segments[s].pos0 + b->segments[s].len;
			for (int32_t g = s; g >= 0; g = b->segments[g].parent)
				b->segments[g].docs++;
		}
	b->n_groups = 0;
	for (int32_t d = 0; d < b->n_docs; d++) { /* two a group, but for a last one */
		if (d % 2 == 0) {
			b->group_weight[b->n_groups] = 1.0f;
			b->group_doc[b->n_groups++] = d;
		}
		b->doc_group[d] = b->n_groups - 1;
		b->doc_role[d] = d % 2;
	}
	b->group_doc[b->n_groups] = b->n_docs;
}

void batch_sample_sized(struct batch *b, struct rng_stream *rng, int n_rows, int V, int max_segments, int max_labels)
{
	if (n_rows < 1 || V < 1 || max_segments < 1 || max_labels < 1)
		BUG("a sample batch of %d rows, %d tokens, %d segments, %d pairs", n_rows, V, max_segments, max_labels);
	draw_segments(b, rng, n_rows, max_segments);
	fill_rows(b, rng, n_rows, V);
	count_documents(b);
	draw_pairs(b, rng, V, max_labels);
	for (int32_t d = 0; d < b->n_docs; d++)
		b->doc_labels[d] = 0;
	for (int32_t i = 0; i < b->n_labels; i++)
		b->doc_labels[b->label_doc[i]]++;
	b->seed = rng_next(rng);
	b->step = rng_below(rng, 1000);
	b->micro = rng_below(rng, 8);
}

void batch_sample(struct batch *b, struct rng_stream *rng, int n_rows, int V)
{
	if (n_rows > SAMPLE_ROWS)
		BUG("a sample batch of %d rows, at most %d", n_rows, SAMPLE_ROWS);
	batch_sample_sized(b, rng, n_rows, V, SAMPLE_SEGMENTS, SAMPLE_LABELS);
}
