/* batch: one micro-batch, packed as a forest.
 *
 * Documents lie end to end as segments in depth-first preorder. A segment that several documents
 * begin with is stored once and is the parent of what follows. The whole attention mask is one integer a key:
 * key j is seen by the rows whose own key i satisfies  j ≤ i < vis_end[j].  In training the keys are
 * this batch's rows (key[row] = row), behind those of a past, which are no rows (op_past_keys.c: key[row] = past + row,
 * n_keys = past + n_rows). In a session they are numbered anew for each step: what its sequences hold, by
 * ranges of KV_RANGE (op/kv_cache.h) in depth-first order of the tree that they are. `place` says where in a memory
 * such a range is, so that the order of keys is the forest's whatever lies where.
 *
 * That is the causal mask, of which a layer may want another (struct attention_spec in op/ops.h): a window looks at the
 * positions of row and key, which are counted in the document and so hold over branches, too; both ways, a row sees the
 * key where  vis_from[j] ≤ i < vis_end[j],  which says something only where no document shares its beginning.
 *
 * What the model predicts is a list of pairs, not a label a row: the last row of a shared prefix predicts another
 * token for each child. Logits are computed once a *target row* (a row that has at least one pair).
 *
 * Documents come in groups (a row of the data: one document, or chosen and rejected), which no micro-batch parts. What
 * an objective has to know besides (log-probabilities of a reference, advantages) stands in columns of numbers that it
 * names: one a label, a document or a group. */
#ifndef OP_BATCH_H
#define OP_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BATCH_WORK_DOC = 40 }; /* words of scratch a document, for the packer */
enum { LIVE_POWERS = 21 };    /* windows up to 2^20 are told apart */

struct segment {
	int32_t start, len;     /* rows */
	int32_t parent;         /* segment number, −1 for a root; always smaller than its own number */
	int32_t pos0;           /* position of its first token in every document through it */
	int32_t end;            /* one past the last row of its subtree */
	/* where several serve one batch (adapt/multi_adapter.h): which of them its rows go through, −1 for none */
	int32_t adapter;
	int32_t invoked;        /* position from which on they do; those before it go through none. 0: all do */
	int32_t docs;           /* documents through it; not in a session */
};

enum { BATCH_COLUMNS = 8 };   /* at most */
enum batch_per { PER_LABEL, PER_DOCUMENT, PER_GROUP };
struct batch_column { const char *name; enum batch_per per; };

/* Capacities: the declared maxima. Equal struct for plan, arrays and packer. */
struct batch_cap {
	int32_t rows, targets, labels, segments, docs, keys;
	const struct batch_column *columns; /* until one without a name; NULL: none */
	int32_t memories;       /* of a session, else 0; then keys are a multiple of KV_RANGE */
};

struct batch {
	struct batch_cap cap;   /* what the arrays can hold */
	int32_t n_rows, n_targets, n_labels, n_segments, n_docs, n_keys, n_trees, n_groups;
	int32_t *ids;           /* [n_rows] token */
	int32_t *pos;           /* [n_rows] position in its document */
	int32_t *type;          /* [n_rows] 1: of a pair's second text, else 0; not in a session */
	int32_t *key;           /* [n_rows] the row's own key; ascending */
	int32_t *vis_end;       /* [n_keys] */
	int32_t *vis_from;      /* [n_keys] first row of its segment; not in a session */
	int32_t *key_pos;       /* [n_keys] position in its document */
	/* [memories][cap.keys / KV_RANGE] of each range of keys which range of a memory's caches it is; −1: none, as no
	 * row sees any of it there */
	int32_t *place;
	struct segment *segments;
	int32_t *tree;          /* [n_trees + 1] first row of each tree, then n_rows */
	int32_t *target_row;    /* [n_targets] ascending */
	int32_t *label_target;   /* [n_labels] index into target_row, ascending */
	int32_t *label_token;    /* [n_labels] the token to predict */
	float *label_weight;     /* [n_labels] how often it counts in the loss */
	int32_t *label_doc;      /* [n_labels] document of this batch, 0..n_docs-1, in the caller's order */
	int32_t *doc_group;      /* [n_docs] group of this batch, ascending */
	int32_t *doc_labels;     /* [n_docs] how many labels it has */
	int32_t *doc_role;       /* [n_docs] index into the roles of its shape (data/shape.h) */
	int32_t *group_doc;      /* [n_groups + 1] first document of each group, then n_docs */
	float *group_weight;     /* [n_groups] how often it counts in the loss; label_weight has it for each label */
	float *column[BATCH_COLUMNS]; /* in the order of cap.columns */
	/* [cap.rows + cap.docs × BATCH_WORK_DOC] scratch of the packer, which so allocates nothing */
	int32_t *work;
	/* Where randomness of this batch comes from (dropout). */
	uint64_t seed;
	uint32_t step, micro;
	/* Σ over rows of the keys that a row sees: what attention costs. See struct live. */
	double visible, beyond[LIVE_POWERS];
	/* Tokens of the documents as written, shared prefixes counted every time. */
	int64_t tokens;
};

/* Live counts that decide the cost of a node: of one batch, or summed over a run. visible: Σ over rows of the keys
 * that a row sees with all before it in sight; beyond[k]: Σ of those by which they are more than 2^k, which a window
 * of that width cuts off. */
struct live {
	double rows, targets, labels, visible, beyond[LIVE_POWERS];
};

/* All arrays in one block of memory at the given capacities. batch_bytes is that block. */
size_t batch_bytes(const struct batch_cap *cap);
void batch_init(struct batch *b, const struct batch_cap *cap);
void batch_release(struct batch *b);
const int32_t *batch_places(const struct batch *b, int memory); /* its table */
int32_t batch_segment_of(const struct batch *b, int32_t row);
struct live batch_live(const struct batch *b);
/* n rows one after the other, the first of which sees `first` keys. */
void batch_see(struct batch *b, double first, double n);
void live_see(struct live *l, double first, double n);
/* Pairs of row and key under a mask. window 0: none; exact where it is a power of 2, between two by a straight line.
 * both_ways: documents that share nothing. */
double live_visible(const struct live *l, int32_t window, bool both_ways);
/* The numbers of a column; one that the capacities do not name is a BUG. */
float *batch_column(const struct batch *b, const char *name);
/* What it counts now. */
int32_t batch_column_count(const struct batch *b, enum batch_per per);
void live_add(struct live *to, const struct live *x, double times);
struct live live_over(const struct live *sum, double n); /* each count divided by n */

#endif
