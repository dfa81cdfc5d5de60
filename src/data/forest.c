/* forest: documents into micro-batches, shared prefixes stored once.
 *
 * The documents of a micro-batch are put into a radix tree of ids: a node is an edge (a stretch of ids that all
 * documents through it have), its children differ in their first id and are kept in its order, and some documents end
 * at it. A node is *shared*, that is, becomes one segment, when c copies of its edge would be needed otherwise and
 *
 *     len · (c − 1) ≥ FOREST_MIN_SHARE,
 *     c = Σ over children (1 if shared, else their own c) + documents that end
 * here.
 *
 * Else its edge is written in front of each of the c segments below it. The decision goes from the leaves up and a
 * node's (copies, rows, segments) are a function of its children's sums, so adding a document changes only the nodes on
 * its path: taking documents one by one costs their length plus that path. The tree depends on the set of documents
 * alone, hence forest_fill builds again what forest_take had measured.
 *
 * Every segment is laid down in preorder. A document ends at the end of a segment, so it is found again by walking the
 * parents from there; two walks over all documents count and then place the pairs, in order of (row, document) without
 * a sort.
 *
 * With virtual tokens the root is a segment of them, on which all others stand; nodes and depths count the documents'
 * own tokens. With a past, documents are put into the tree from the first token behind it on.
 *
 * What this does not do: choose which documents come together (the shuffle does), or cut one that is too long. */
#include "data/forest.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum {
	/* Tokens as written, over rows: beyond that a micro-batch of equal documents would have pairs without bound. */
	MAX_REUSE = 256,
};

/* What a subtree costs: segments that hang from whatever stands above it, its rows, its segments in all. */
struct cost { int32_t copies, rows, segments; };

struct node {
	int32_t doc, from, len;   /* the edge: ids [from, from + len) of that document */
	int32_t parent, child, next;
	int32_t ends, n_ends;     /* documents that end here: the first of a chain, and how many */
	struct cost below;        /* sum over the children */
	struct cost cost;         /* this node included: what below of the parent has of it */
	int32_t segment, depth;   /* once laid down: what stands above the children (−1: nothing), and where it ends */
};

enum { NODE_WORDS = sizeof(struct node) / sizeof(int32_t) };
_Static_assert(2 * NODE_WORDS + 3 <= BATCH_WORK_DOC,
               "the packer's scratch a document: two nodes, its chain, its segment, where its adapter begins");

struct trie {
	const struct document *const *docs;
	bool share;
	int32_t lead;             /* virtual tokens */
	int32_t past;
	struct node *nodes;       /* nodes[0]: the root, with an empty edge */
	int32_t n_nodes, n_docs;
	int32_t *chain;           /* [n_docs] the next document that ends at the same node, −1 */
	int32_t *segment;         /* [n_docs] the segment that the document ends with */
	int32_t *invoked;         /* [n_docs] from which token on it goes through its adapter */
	const struct forest_options *o;
};

static struct trie trie_of(const struct document *const *docs, const struct forest_options *o)
{
	if (o->past && o->virtual_tokens)
		BUG("a past of %d tokens behind %d virtual ones", o->past, o->virtual_tokens);
	return (struct trie){ .docs = docs, .share = o->share, .lead = o->virtual_tokens, .past = o->past, .o = o };
}

/* --- the radix tree --- */

static struct cost cost_add(struct cost a, struct cost b, int sign)
{
	return (struct cost){ a.copies + sign * b.copies, a.rows + sign * b.rows, a.segments + sign * b.segments };
}

/* Copies of v's edge were it not shared. */
static int32_t node_copies(const struct node *v)
{
	return v->below.copies + v->n_ends;
}

static bool node_is_segment(const struct trie *t, const struct node *v)
{
	int64_t c = node_copies(v);
	return v != t->nodes && (c == 1 || (t->share && v->len * (c - 1) >= FOREST_MIN_SHARE));
}

static struct cost node_cost(const struct trie *t, const struct node *v)
{
	bool one = node_is_segment(t, v);
	int32_t copies = one ? 1 : node_copies(v);
	return (struct cost){
		.copies = copies,
		.rows = v->below.rows + v->len * copies,
		.segments = v->below.segments + (one ? 1 : v->n_ends),
	};
}

/* v's below or n_ends changed: carries that up to the root. */
static void trie_update(struct trie *t, int32_t v)
{
	for (; v >= 0; v = t->nodes[v].parent) {
		struct node *p = &t->nodes[v];
		struct cost now = node_cost(t, p);
		if (p->parent >= 0) {
			struct cost *sum = &t->nodes[p->parent].below;
			*sum = cost_add(cost_add(*sum, p->cost, -1), now, 1);
		}
		p->cost = now;
	}
}

static int32_t trie_node(struct trie *t, int32_t parent, int32_t doc, int32_t from, int32_t len)
{
	int32_t v = t->n_nodes++;
	t->nodes[v] = (struct node){
		.doc = doc, .from = from, .len = len, .parent = parent, .child = -1, .next = -1, .ends = -1
	};
	return v;
}

static int32_t trie_rows(const struct trie *t) { return t->lead + t->nodes[0].cost.rows; }

static int32_t trie_segments(const struct trie *t) { return (t->lead > 0) + t->nodes[0].cost.segments; }

static void trie_init(struct trie *t)
{
	t->n_nodes = t->n_docs = 0;
	trie_node(t, -1, 0, t->past, 0);
}

static int32_t edge_first(const struct trie *t, int32_t v)
{
	return t->docs[t->nodes[v].doc]->ids[t->nodes[v].from];
}

enum { NO_ADAPTER = -2 };         /* a token before its document's adapter is invoked */

/* What token i of document d goes through. */
static int32_t acting(const struct trie *t, int32_t d, int32_t i)
{
	return i >= t->invoked[d] ? t->docs[d]->adapter : NO_ADAPTER;
}

/* Whether edge c comes before (−1), takes in (0) or comes after document d, which goes on there with its token
 * `depth`. */
static int edge_order(const struct trie *t, int32_t c, int32_t d, int32_t depth)
{
	int32_t there = acting(t, t->nodes[c].doc, depth), here = acting(t, d, depth);
	int32_t first = edge_first(t, c), id = t->docs[d]->ids[depth];
	if (there != here)
		return there < here ? -1 : 1;
	return first < id ? -1 : first > id;
}

/* The link (a child or next field) where v's child for document d, which goes on with its token `depth`, is or
 * belongs. */
static int32_t *trie_link(struct trie *t, int32_t v, int32_t d, int32_t depth)
{
	int32_t *link = &t->nodes[v].child;
	while (*link >= 0 && edge_order(t, *link, d, depth) < 0)
		link = &t->nodes[*link].next;
	return link;
}

/* Cuts v's edge after len ids: a new node takes the first part and v's place (*link). Costs are put right by the
 * caller's update. */
static int32_t trie_split(struct trie *t, int32_t *link, int32_t v, int32_t len)
{
	struct node *p = &t->nodes[v];
	int32_t u = trie_node(t, p->parent, p->doc, p->from, len);
	t->nodes[u].next = p->next;
	t->nodes[u].child = v;
	t->nodes[u].cost = p->cost; /* what the parent has summed so far */
	*link = u;
	p->next = -1;
	p->parent = u;
	p->from += len;
	p->len -= len;
	p->cost = t->nodes[u].below = node_cost(t, p);
	return u;
}

/* How many of document d's tokens from `depth` on, at most n, are document e's, as the first of them is, and go through
 * the same. */
static int32_t common_length(const struct trie *t, int32_t e, int32_t d, int32_t depth, int32_t n)
{
	const int32_t *a = t->docs[e]->ids + depth, *b = t->docs[d]->ids + depth;
	int32_t first = MIN(t->invoked[e], t->invoked[d]), i = 0;
	bool alike = t->docs[e]->adapter == t->docs[d]->adapter && t->invoked[e] == t->invoked[d];
	if (!alike && first > depth)
		n = MIN(n, first - depth);
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

/* The node at which document d ends, made if it is not there. The nodes above it are not yet updated. */
static int32_t trie_descend(struct trie *t, int32_t d)
{
	const struct document *doc = t->docs[d];
	int32_t v = 0, depth = t->past;
	while (depth < doc->n) {
		int32_t *link = trie_link(t, v, d, depth), c = *link;
		if (c < 0 || edge_order(t, c, d, depth) != 0) {
			int32_t leaf = trie_node(t, v, d, depth, doc->n - depth);
			t->nodes[leaf].next = c;
			*link = leaf;
			return leaf;
		}
		const struct node *p = &t->nodes[c];
		int32_t len = common_length(t, p->doc, d, depth, MIN(p->len, doc->n - depth));
		v = len < p->len ? trie_split(t, link, c, len) : c;
		depth += len;
	}
	return v;
}

static void trie_add(struct trie *t)
{
	int32_t d = t->n_docs++;
	const struct document *doc = t->docs[d];
	if (doc->n <= t->past)
		BUG("a document of %d tokens behind a past of %d", doc->n, t->past);
	t->invoked[d] = t->o->invoked ? t->o->invoked(t->o->ctx, doc->adapter, doc->ids, doc->n) : 0;
	int32_t v = trie_descend(t, d);
	t->chain[d] = t->nodes[v].ends;
	t->nodes[v].ends = d;
	t->nodes[v].n_ends++;
	trie_update(t, v);
}

/* --- laying it down --- */

struct laying { struct segment *segments; int32_t n, rows; };

/* A segment of `len` rows of that document, under the node `up`. */
static int32_t segment_add(const struct trie *t, struct laying *l, const struct node *up, int32_t doc, int32_t len)
{
	l->segments[l->n] = (struct segment){ .start = l->rows,
		                              .len = len,
		                              .parent = up->segment,
		                              .pos0 = t->lead + up->depth,
		                              .end = l->rows + len,
		                              .adapter = t->docs[doc]->adapter,
		                              .invoked = t->invoked[doc] ? t->lead + t->invoked[doc] : 0 };
	l->rows += len;
	return l->n++;
}

static void node_lay(struct trie *t, struct node *v, struct laying *l)
{
	const struct node *up = &t->nodes[v->parent];
	int32_t end = v->from + v->len, len = end - up->depth;
	bool one = node_is_segment(t, v);
	v->segment = one ? segment_add(t, l, up, v->doc, len) : up->segment;
	v->depth = one ? end : up->depth;
	for (int32_t d = v->ends; d >= 0; d = t->chain[d])
		t->segment[d] = one ? v->segment : segment_add(t, l, up, d, len);
}

/* Preorder without a stack: down to the first child, else to the next sibling of the nearest ancestor that has one. */
static int32_t trie_next(const struct trie *t, int32_t v)
{
	if (t->nodes[v].child >= 0)
		return t->nodes[v].child;
	while (v >= 0 && t->nodes[v].next < 0)
		v = t->nodes[v].parent;
	return v < 0 ? -1 : t->nodes[v].next;
}

/* Writes all segments; returns the rows. */
static int32_t trie_lay(struct trie *t, struct segment *s)
{
	struct laying l = { .segments = s, .n = t->lead > 0, .rows = t->lead };
	if (t->lead)
		s[0] = (struct segment){ .len = t->lead, .parent = -1, .end = t->lead, .adapter = t->docs[0]->adapter };
	t->nodes[0].segment = t->lead ? 0 : -1;
	t->nodes[0].depth = t->past;
	for (int32_t v = trie_next(t, 0); v >= 0; v = trie_next(t, v))
		node_lay(t, &t->nodes[v], &l);
	for (int32_t i = l.n - 1; i >= 0; i--) {
		if (s[i].parent >= 0 && s[s[i].parent].end < s[i].end)
			s[s[i].parent].end = s[i].end;
	}
	if (l.rows != trie_rows(t) || l.n != trie_segments(t))
		BUG("the forest has %d rows in %d segments, counted were %d in %d", l.rows, l.n, trie_rows(t),
		    trie_segments(t));
	return l.rows;
}

/* How many documents go through each segment. */
static void documents_count(const struct trie *t, struct segment *s, int32_t n)
{
	for (int32_t g = 0; g < n; g++)
		s[g].docs = 0;
	for (int32_t d = 0; d < t->n_docs; d++)
		for (int32_t g = t->segment[d]; g >= 0; g = s[g].parent)
			s[g].docs++;
}

/* --- pairs --- */

/* The token that row number `row` of a document predicts, −1: none. Virtual tokens' rows have negative numbers. */
static int32_t target_of(const struct document *d, int32_t row, const struct forest_options *o)
{
	int32_t i = o->own_rows ? row : row + 1;

	return row >= 0 && i < d->n && (o->all_targets || d->learn[i]) ? i : -1;
}

/* count[row] = pairs of that row. */
static void pairs_count(const struct trie *t, const struct segment *s, const struct forest_options *o, int32_t *count)
{
	for (int32_t d = 0; d < t->n_docs; d++) {
		for (int32_t g = t->segment[d]; g >= 0; g = s[g].parent) {
			for (int32_t i = 0; i < s[g].len; i++)
				count[s[g].start + i] += target_of(t->docs[d], s[g].pos0 - t->lead + i, o) >= 0;
		}
	}
}

/* The same walk: ids of every row, and each pair into its row's next place, which keeps documents in order. */
static void pairs_place(struct batch *b, const struct trie *t, const struct forest_options *o, int32_t *place)
{
	for (int32_t i = 0; i < t->lead; i++) {
		b->ids[i] = o->first_virtual + i;
		b->type[i] = 0;
	}
	for (int32_t d = 0; d < t->n_docs; d++) {
		const struct document *doc = t->docs[d];
		for (int32_t g = t->segment[d]; g >= 0; g = b->segments[g].parent) {
			const struct segment *s = &b->segments[g];
			int32_t at = s->pos0 - t->lead; /* in the document; of the virtual tokens it is negative */
			if (at < 0)
				break;
			memcpy(b->ids + s->start, doc->ids + at, (size_t)s->len * sizeof(*b->ids));
			for (int32_t i = 0; i < s->len; i++) {
				int32_t target = target_of(doc, at + i, o);
				b->type[s->start + i] = doc->second > 0 && at + i >= doc->second;
				if (target < 0)
					continue;
				int32_t pair = place[s->start + i]++;
				b->label_token[pair] = (doc->predicted ? doc->predicted : doc->ids)[target];
				b->label_doc[pair] = d;
				b->label_weight[pair] = 1.0f;
			}
		}
	}
}

/* Turns counts a row into target rows, their pairs' places, and both numbers. */
static void targets_place(struct batch *b, int32_t *count)
{
	b->n_targets = b->n_labels = 0;
	for (int32_t row = 0; row < b->n_rows; row++) {
		int32_t n = count[row];
		count[row] = b->n_labels;
		for (int32_t i = 0; i < n; i++)
			b->label_target[b->n_labels++] = b->n_targets;
		if (n > 0)
			b->target_row[b->n_targets++] = row;
	}
}

static void rows_place(struct batch *b, int32_t past)
{
	b->n_trees = 0;
	b->visible = 0;
	memset(b->beyond, 0, sizeof(b->beyond));
	b->n_keys = past + b->n_rows;
	for (int32_t j = 0; j < past; j++) {
		b->key_pos[j] = j;
		b->vis_end[j] = b->n_keys;
		b->vis_from[j] = 0;
	}
	for (int32_t g = 0; g < b->n_segments; g++) {
		const struct segment *s = &b->segments[g];
		if (s->parent < 0)
			b->tree[b->n_trees++] = s->start;
		batch_see(b, s->pos0 + 1, s->len);
		for (int32_t i = 0; i < s->len; i++) {
			int32_t row = s->start + i, key = past + row;
			b->pos[row] = b->key_pos[key] = s->pos0 + i;
			b->key[row] = key;
			b->vis_end[key] = past + s->end;
			b->vis_from[key] = past + s->start;
		}
	}
	b->tree[b->n_trees] = b->n_rows;
}

static void groups_place(struct batch *b, const struct document *const *docs)
{
	b->n_groups = 0;
	for (int32_t d = 0; d < b->n_docs; d++) {
		if (d == 0 || !docs[d]->joined) {
			b->group_weight[b->n_groups] = 1.0f;
			b->group_doc[b->n_groups++] = d;
		}
		b->doc_group[d] = b->n_groups - 1;
		b->doc_role[d] = docs[d]->role;
	}
	b->group_doc[b->n_groups] = b->n_docs;
	memset(b->doc_labels, 0, (size_t)b->n_docs * sizeof(*b->doc_labels));
	for (int32_t i = 0; i < b->n_labels; i++)
		b->doc_labels[b->label_doc[i]]++;
}

static bool cap_holds(const struct batch_cap *cap, const struct batch_cap *need)
{
	return cap->rows >= need->rows && cap->targets >= need->targets && cap->labels >= need->labels &&
	       cap->segments >= need->segments && cap->docs >= need->docs && cap->keys >= need->keys;
}

static struct batch_cap trie_need(const struct trie *t, const int32_t *count, int32_t n_rows)
{
	struct batch_cap need = {
		.rows = n_rows, .keys = t->past + n_rows, .docs = t->n_docs, .segments = trie_segments(t)
	};
	for (int32_t row = 0; row < n_rows; row++) {
		need.targets += count[row] > 0;
		need.labels += count[row];
	}
	return need;
}

/* --- what others call --- */

/* Scratch of forest_take, which cannot know how much it will need; or the caller's, which knows. */
struct room {
	struct trie trie;
	int32_t cap;
	bool fixed;
};

static void room_grow(struct room *r)
{
	if (r->trie.n_docs < r->cap)
		return;
	if (r->fixed)
		BUG("a micro-batch of more than the %d documents that were planned", r->cap - 1);
	r->cap = MAX(64, 2 * r->cap);
	r->trie.nodes = mem_grow(r->trie.nodes, 2 * (size_t)r->cap, sizeof(*r->trie.nodes));
	r->trie.chain = mem_grow(r->trie.chain, (size_t)r->cap, sizeof(*r->trie.chain));
	r->trie.segment = mem_grow(r->trie.segment, (size_t)r->cap, sizeof(*r->trie.segment));
	r->trie.invoked = mem_grow(r->trie.invoked, (size_t)r->cap, sizeof(*r->trie.invoked));
}

static void room_release(struct room *r)
{
	mem_free(r->trie.nodes);
	mem_free(r->trie.chain);
	mem_free(r->trie.segment);
	mem_free(r->trie.invoked);
}

/* Adds documents while their groups fit; how many are in whole groups. */
static int32_t take_grow(struct room *r, size_t n, int32_t max_tokens)
{
	const struct document *const *docs = r->trie.docs;
	int64_t written = 0, most = (int64_t)max_tokens * MAX_REUSE;
	size_t whole = 0;

	for (size_t i = 0; i < n && (i == 0 || docs[i]->joined || written + docs[i]->n <= most); i++) {
		room_grow(r);
		trie_add(&r->trie);
		if (trie_rows(&r->trie) > max_tokens)
			break;
		written += docs[i]->n;
		if (i + 1 == n || !docs[i + 1]->joined)
			whole = i + 1;
	}
	if (n && !whole)
		BUG("%s:%zu: its documents together have more than the %d rows of a micro-batch", docs[0]->file,
		    docs[0]->line, max_tokens);
	return (int32_t)whole;
}

/* The exact needs of the documents in the tree. */
static void take_measure(struct trie *t, const struct forest_options *o, struct batch_cap *need, struct live *live)
{
	struct segment *segments = mem_array((size_t)trie_segments(t), sizeof(*segments));
	int32_t rows = trie_lay(t, segments);
	int32_t *count = mem_array((size_t)rows, sizeof(*count));
	pairs_count(t, segments, o, count);
	*need = trie_need(t, count, rows);
	*live = (struct live){ .rows = rows, .targets = need->targets, .labels = need->labels };
	for (int32_t g = 0; g < need->segments; g++)
		live_see(live, segments[g].pos0 + 1, segments[g].len);
	mem_free(count);
	mem_free(segments);
}

size_t forest_take(const struct document *const *docs, size_t n, const struct forest_options *o, struct batch_cap *need,
                   struct live *live, int64_t *tokens)
{
	*need = (struct batch_cap){ 0 };
	*live = (struct live){ 0 };
	*tokens = 0;
	if (n == 0)
		return 0;
	if (o->max_tokens < 1 || o->max_tokens > FOREST_MAX_ROWS || docs[0]->n > o->max_tokens - o->virtual_tokens)
		BUG("a document of %d tokens for a micro-batch of %d rows (at most %d), %d of them virtual", docs[0]->n,
		    o->max_tokens, FOREST_MAX_ROWS, o->virtual_tokens);
	struct room r = { .trie = trie_of(docs, o) };
	room_grow(&r);
	trie_init(&r.trie);
	int32_t taken = take_grow(&r, n, o->max_tokens);
	if (r.trie.n_docs > taken) { /* the one that did not fit is in the tree: once more without it */
		trie_init(&r.trie);
		while (r.trie.n_docs < taken)
			trie_add(&r.trie);
	}
	take_measure(&r.trie, o, need, live);
	for (int32_t i = 0; i < taken; i++)
		*tokens += docs[i]->n;
	room_release(&r);
	return (size_t)taken;
}

/* nodes, chain and segment of at most n documents. */
static void trie_lend(struct trie *t, int32_t *work, int32_t n)
{
	t->nodes = (struct node *)work;
	t->chain = work + 2 * (size_t)n * NODE_WORDS;
	t->segment = t->chain + n;
	t->invoked = t->segment + n;
}

size_t forest_count(const struct document *const *docs, size_t n, const struct forest_options *o, int32_t *work,
                    int32_t room)
{
	struct room r = { .trie = trie_of(docs, o), .cap = room, .fixed = true };
	trie_lend(&r.trie, work, room);
	trie_init(&r.trie);
	return (size_t)take_grow(&r, n, o->max_tokens);
}

void forest_fill(struct batch *b, const struct document *const *docs, size_t n, const struct forest_options *o)
{
	if (n == 0 || n > (size_t)b->cap.docs)
		BUG("%zu documents for a batch of at most %d", n, b->cap.docs);
	struct trie t = trie_of(docs, o);
	trie_lend(&t, b->work + b->cap.rows, b->cap.docs);
	trie_init(&t);
	b->tokens = 0;
	while ((size_t)t.n_docs < n) {
		trie_add(&t);
		b->tokens += docs[t.n_docs - 1]->n;
	}
	if (trie_rows(&t) > b->cap.rows || trie_segments(&t) > b->cap.segments)
		BUG("%d rows in %d segments for a batch of at most %d in %d", trie_rows(&t), trie_segments(&t),
		    b->cap.rows, b->cap.segments);
	b->n_docs = t.n_docs;
	b->n_segments = trie_segments(&t);
	b->n_rows = trie_lay(&t, b->segments);
	documents_count(&t, b->segments, b->n_segments);
	int32_t *count = b->work;
	memset(count, 0, (size_t)b->n_rows * sizeof(*count));
	pairs_count(&t, b->segments, o, count);
	struct batch_cap need = trie_need(&t, count, b->n_rows);
	if (!cap_holds(&b->cap, &need))
		BUG("%d pairs of %d targets for a batch of at most %d of %d", need.labels, need.targets, b->cap.labels,
		    b->cap.targets);
	targets_place(b, count);
	pairs_place(b, &t, o, count);
	rows_place(b, t.past);
	groups_place(b, docs);
}

int32_t forest_rows(const struct document *const *docs, size_t n, bool share)
{
	struct forest_options o = { .share = share };
	struct room r = { .trie = trie_of(docs, &o) };

	room_grow(&r);
	trie_init(&r.trie);
	while ((size_t)r.trie.n_docs < n) {
		room_grow(&r);
		trie_add(&r.trie);
	}
	int32_t rows = r.trie.nodes[0].cost.rows;
	room_release(&r);
	return rows;
}

void batch_cap_max(struct batch_cap *a, const struct batch_cap *b)
{
	a->rows = MAX(a->rows, b->rows);
	a->targets = MAX(a->targets, b->targets);
	a->labels = MAX(a->labels, b->labels);
	a->segments = MAX(a->segments, b->segments);
	a->docs = MAX(a->docs, b->docs);
	a->keys = MAX(a->keys, b->keys);
	a->columns = a->columns ? a->columns : b->columns;
}
