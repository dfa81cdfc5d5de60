/* Forests against their definition: every document is read back by walking a segment's ancestors, visibility is
 * ancestry, each learnt token is one pair, and what forest_take counted is what forest_fill makes. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "data/forest.h"
#include "../test.h"

enum { MAX_DOCS = 200, MAX_LEN = 120 };

struct sample {
	struct document docs[MAX_DOCS];
	const struct document *list[MAX_DOCS];
	int32_t ids[MAX_DOCS][MAX_LEN];
	uint8_t learn[MAX_DOCS][MAX_LEN];
	int n;
};

static void sample_add(struct sample *s, const int32_t *ids, int32_t n, struct rng_stream *rng)
{
	struct document *d = &s->docs[s->n];
	*d = (struct document){ .ids = s->ids[s->n], .learn = s->learn[s->n], .n = n, .choice = -1 };
	memcpy(d->ids, ids, (size_t)n * sizeof(*ids));
	for (int32_t i = 0; i < n; i++) {
		d->learn[i] = i > 0 && rng_below(rng, 3) == 0;
		d->n_learn += d->learn[i];
	}
	s->list[s->n++] = d;
}

/* Documents that copy a random part of an earlier one and go on by themselves: nested prefixes, equal documents,
 * prefixes of others. */
static void sample_make(struct sample *s, struct rng_stream *rng, int n, uint32_t vocabulary)
{
	s->n = 0;
	while (s->n < n) {
		int32_t ids[MAX_LEN];
		int32_t shared = 0, len = 1 + (int32_t)rng_below(rng, MAX_LEN);
		if (s->n > 0 && rng_below(rng, 4) > 0) {
			const struct document *d = s->list[rng_below(rng, (uint32_t)s->n)];
			shared = rng_below(rng, 5) == 0 ? d->n : (int32_t)rng_below(rng, (uint32_t)d->n + 1);
			memcpy(ids, d->ids, (size_t)shared * sizeof(*ids));
			len = rng_below(rng, 6) == 0 ?
			              MAX(shared, 1) :
			              MAX(shared, 1) +
			                      (int32_t)rng_below(rng, (uint32_t)(MAX_LEN - MAX(shared, 1) + 1));
		}
		for (int32_t i = shared; i < len; i++)
			ids[i] = (int32_t)rng_below(rng, vocabulary);
		sample_add(s, ids, len, rng);
	}
}

/* Which segment each row belongs to. */
static void segments_of_rows(const struct batch *b, int32_t *of)
{
	for (int32_t g = 0; g < b->n_segments; g++) {
		for (int32_t i = 0; i < b->segments[g].len; i++)
			of[b->segments[g].start + i] = g;
	}
}

static bool is_ancestor(const struct batch *b, int32_t a, int32_t g)
{
	while (g >= 0 && g != a)
		g = b->segments[g].parent;
	return g == a;
}

static void check_structure(struct test *t, const struct batch *b)
{
	int32_t row = 0, trees = 0;
	for (int32_t g = 0; g < b->n_segments; g++) {
		const struct segment *s = &b->segments[g];
		CHECK(t, s->start == row && s->len > 0 && s->parent < g && s->end >= s->start + s->len &&
		                 s->end <= b->n_rows);
		int32_t pos0 = s->parent < 0 ? 0 : b->segments[s->parent].pos0 + b->segments[s->parent].len;
		CHECK(t, s->pos0 == pos0);
		if (s->parent < 0)
			CHECK(t, b->tree[trees++] == row);
		row += s->len;
	}
	CHECK(t, row == b->n_rows && trees == b->n_trees && b->tree[trees] == b->n_rows && b->n_keys == b->n_rows);
}

static void check_visibility(struct test *t, const struct batch *b, int32_t *of)
{
	double visible = 0;
	segments_of_rows(b, of);
	for (int32_t i = 0; i < b->n_rows; i++) {
		CHECK(t, b->key[i] == i && b->pos[i] == b->segments[of[i]].pos0 + i - b->segments[of[i]].start);
		for (int32_t j = 0; j < b->n_rows; j++) {
			bool want = of[j] == of[i] ? j <= i : is_ancestor(b, of[j], of[i]);
			bool got = j <= b->key[i] && b->key[i] < b->vis_end[j];
			if (want != got)
				CHECK_MSG(t, false, "row %d sees key %d: %d, wanted %d", i, j, got, want);
			visible += want;
		}
	}
	CHECK(t, visible == b->visible);
	int64_t tokens = 0;
	for (int32_t g = 0; g < b->n_segments; g++)
		tokens += (int64_t)b->segments[g].docs * b->segments[g].len;
	CHECK_MSG(t, tokens == b->tokens, "documents have %lld tokens, counted by segment %lld", (long long)b->tokens,
	          (long long)tokens);
}

/* Is there a chain of segments that spells the document up to row `last`? */
static bool row_spells(const struct batch *b, const int32_t *of, const struct document *d, int32_t last, int32_t n)
{
	int32_t row = last;
	for (int32_t i = n - 1; i >= 0; i--) {
		if (row < 0 || b->ids[row] != d->ids[i] || b->pos[row] != i)
			return false;
		const struct segment *s = &b->segments[of[row]];
		row = row > s->start ? row - 1 :
		      s->parent < 0  ? -1 :
		                       b->segments[s->parent].start + b->segments[s->parent].len - 1;
	}
	return row == -1;
}

static void check_pairs(struct test *t, const struct batch *b, const struct document *const *docs, bool all,
                        const int32_t *of)
{
	int32_t *seen = mem_array((size_t)b->n_docs * MAX_LEN, sizeof(*seen));
	for (int32_t p = 0; p < b->n_labels; p++) {
		const struct document *d = docs[b->label_doc[p]];
		int32_t row = b->target_row[b->label_target[p]], i = b->pos[row] + 1;
		CHECK(t,
		      i < d->n && d->ids[i] == b->label_token[p] && (all || d->learn[i]) && b->label_weight[p] == 1.0f);
		CHECK(t, row_spells(b, of, d, row, i));
		seen[b->label_doc[p] * MAX_LEN + i]++;
		if (p > 0)
			CHECK(t, b->label_target[p] > b->label_target[p - 1] ||
			                 (b->label_target[p] == b->label_target[p - 1] &&
			                  b->label_doc[p] > b->label_doc[p - 1]));
	}
	for (int32_t d = 0; d < b->n_docs; d++) {
		for (int32_t i = 1; i < docs[d]->n; i++)
			CHECK(t, seen[d * MAX_LEN + i] == (all || docs[d]->learn[i]));
	}
	for (int32_t i = 0; i + 1 < b->n_targets; i++)
		CHECK(t, b->target_row[i] < b->target_row[i + 1]);
	CHECK(t, b->n_labels == 0 || b->label_target[b->n_labels - 1] == b->n_targets - 1);
	mem_free(seen);
}

/* Some row ends each document. */
static void check_documents(struct test *t, const struct batch *b, const struct document *const *docs,
                            const int32_t *of)
{
	for (int32_t d = 0; d < b->n_docs; d++) {
		bool found = false;
		for (int32_t row = 0; row < b->n_rows && !found; row++)
			found = row_spells(b, of, docs[d], row, docs[d]->n);
		CHECK_MSG(t, found, "document %d is not there", d);
	}
}

static void check_batch(struct test *t, const struct document *const *docs, size_t n, const struct forest_options *o,
                        const struct batch_cap *need, const struct live *live, int64_t tokens)
{
	struct batch b;
	batch_init(&b, need); /* exactly what take asked for */
	mem_guard_arm();
	forest_fill(&b, docs, n, o);
	mem_guard_disarm();
	CHECK(t, b.n_rows == need->rows && b.n_targets == need->targets && b.n_labels == need->labels &&
	                 b.n_segments == need->segments && b.n_docs == need->docs && b.n_keys == need->keys &&
	                 b.tokens == tokens);
	struct live l = batch_live(&b);
	CHECK(t, l.rows == live->rows && l.targets == live->targets && l.labels == live->labels &&
	                 l.visible == live->visible && !memcmp(l.beyond, live->beyond, sizeof(l.beyond)));
	int32_t *of = mem_array((size_t)b.n_rows, sizeof(*of));
	check_structure(t, &b);
	check_visibility(t, &b, of);
	check_pairs(t, &b, docs, o->all_targets, of);
	check_documents(t, &b, docs, of);
	mem_free(of);
	batch_release(&b);
}

/* Packs all of s; returns the rows of all micro-batches. */
static int64_t check_sample(struct test *t, const struct sample *s, const struct forest_options *o)
{
	int64_t rows = 0;
	for (size_t at = 0; at < (size_t)s->n;) {
		struct batch_cap need;
		struct live live;
		int64_t tokens;
		size_t n = forest_take(s->list + at, (size_t)s->n - at, o, &need, &live, &tokens);
		CHECK(t, n >= 1 && need.rows <= o->max_tokens);
		if (n == 0)
			return -1;
		check_batch(t, s->list + at, n, o, &need, &live, tokens);
		rows += need.rows;
		at += n;
	}
	return rows;
}

static void test_random(struct test *t)
{
	static struct sample s;
	struct rng_stream rng = { 1 };
	static const int32_t sizes[] = { MAX_LEN, 200, 333, 1024 };
	for (int round = 0; round < 40; round++) {
		sample_make(&s, &rng, 1 + (int)rng_below(&rng, 60), round % 3 == 0 ? 2 : 50);
		struct forest_options o = { .max_tokens = sizes[round % 4],
			                    .share = round % 5 != 4,
			                    .all_targets = round % 2 };
		check_sample(t, &s, &o);
	}
}

enum { PAST = 17 };

/* The same documents behind tokens that all begin with. */
static void put_past(const struct sample *from, struct sample *to)
{
	to->n = from->n;
	for (int k = 0; k < from->n; k++) {
		const struct document *x = from->list[k];
		struct document *d = &to->docs[k];
		int32_t n = MIN(x->n, MAX_LEN - PAST);
		*d = (struct document){ .ids = to->ids[k], .learn = to->learn[k], .n = PAST + n, .choice = -1 };
		for (int32_t i = 0; i < PAST; i++)
			d->ids[i] = 7 + i;
		memset(d->learn, 0, PAST);
		memcpy(d->ids + PAST, x->ids, (size_t)n * sizeof(*x->ids));
		memcpy(d->learn + PAST, x->learn, (size_t)n);
		to->list[k] = d;
	}
}

/* b, with a past, and a, of the documents without it: the same rows and pairs, further back, and keys before them. */
static void check_behind(struct test *t, const struct batch *a, const struct batch *b)
{
	CHECK(t, a->n_rows == b->n_rows && a->n_labels == b->n_labels && a->n_segments == b->n_segments &&
	                 b->n_keys == a->n_keys + PAST && a->n_trees == b->n_trees);
	for (int32_t i = 0; i < a->n_rows; i++) {
		int32_t j = i + PAST;
		CHECK(t, b->ids[i] == a->ids[i] && b->pos[i] == a->pos[i] + PAST && b->key[i] == j &&
		                 b->key_pos[j] == b->pos[i] && b->vis_end[j] == a->vis_end[i] + PAST &&
		                 b->vis_from[j] == a->vis_from[i] + PAST);
	}
	for (int32_t j = 0; j < PAST; j++)
		CHECK(t, b->key_pos[j] == j && b->vis_end[j] == b->n_keys && b->vis_from[j] == 0);
	for (int32_t p = 0; p < a->n_labels; p++)
		CHECK(t, b->label_token[p] == a->label_token[p] && b->label_doc[p] == a->label_doc[p] &&
		                 b->target_row[b->label_target[p]] == a->target_row[a->label_target[p]]);
	CHECK(t, b->visible == a->visible + (double)PAST * a->n_rows);
}

static void test_past(struct test *t)
{
	static struct sample whole, s, behind;
	struct rng_stream rng = { 9 };

	test_case(t, "behind a past lie the rows that the documents would have without it");
	for (int round = 0; round < 20; round++) {
		struct forest_options o = { .max_tokens = 400, .share = round % 4 != 3 }, past = o;
		struct batch_cap need, more;
		struct live live;
		struct batch a, b;
		int64_t tokens;
		sample_make(&whole, &rng, 1 + (int)rng_below(&rng, 40), round % 3 == 0 ? 2 : 50);
		s.n = 0;
		for (int k = 0; k < whole.n; k++)
			sample_add(&s, whole.ids[k], MIN(whole.docs[k].n, MAX_LEN - PAST), &rng);
		put_past(&s, &behind);
		past.past = PAST;
		size_t n = forest_take(s.list, (size_t)s.n, &o, &need, &live, &tokens);
		CHECK(t, forest_take(behind.list, (size_t)s.n, &past, &more, &live, &tokens) == n &&
		                 more.rows == need.rows && more.keys == need.rows + PAST && live.rows == need.rows);
		batch_init(&a, &need);
		batch_init(&b, &more);
		forest_fill(&a, s.list, n, &o);
		forest_fill(&b, behind.list, n, &past);
		check_behind(t, &a, &b);
		batch_release(&a);
		batch_release(&b);
	}
}

/* The rule as text: a subtree's rows by plain recursion over the documents, sorted. */
static int compare_documents(const void *pa, const void *pb)
{
	const struct document *a = *(const struct document *const *)pa, *b = *(const struct document *const *)pb;
	for (int32_t i = 0; i < a->n && i < b->n; i++) {
		if (a->ids[i] != b->ids[i])
			return a->ids[i] < b->ids[i] ? -1 : 1;
	}
	return (a->n > b->n) - (a->n < b->n);
}

static int64_t rule_rows(const struct document **d, int n, int32_t depth, int64_t *copies)
{
	int32_t end = depth; /* of the edge that all n have */
	while (end < d[0]->n && d[n - 1]->n > end && d[0]->ids[end] == d[n - 1]->ids[end])
		end++;
	int64_t c = 0, rows = 0;
	int at = 0;
	for (; at < n && d[at]->n == end; at++)
		c++;
	while (at < n) {
		int to = at + 1;
		while (to < n && d[to]->ids[end] == d[at]->ids[end])
			to++;
		int64_t below;
		rows += rule_rows(d + at, to - at, end, &below);
		c += below;
		at = to;
	}
	*copies = c == 1 || (end - depth) * (c - 1) >= FOREST_MIN_SHARE ? 1 : c;
	return rows + *copies * (end - depth);
}

static void test_rule(struct test *t)
{
	static struct sample s;
	struct rng_stream rng = { 2 };
	for (int round = 0; round < 60; round++) {
		sample_make(&s, &rng, 1 + (int)rng_below(&rng, 100), round % 2 ? 2 : 1000);
		struct forest_options o = { .max_tokens = 1 << 20, .share = true };
		struct batch_cap need;
		struct live live;
		int64_t tokens, copies;
		CHECK(t, forest_take(s.list, (size_t)s.n, &o, &need, &live, &tokens) == (size_t)s.n);
		const struct document *sorted[MAX_DOCS];
		memcpy(sorted, s.list, (size_t)s.n * sizeof(*sorted));
		qsort(sorted, (size_t)s.n, sizeof(*sorted), compare_documents);
		CHECK(t, rule_rows(sorted, s.n, 0, &copies) == need.rows);
	}
}

/* Fixed cases whose numbers are known by hand. prefix + k children of `tail` ids each. */
static struct batch_cap take_family(int32_t prefix, int k, int32_t tail, bool share)
{
	static struct sample s;
	struct rng_stream rng = { 3 };
	s.n = 0;
	for (int d = 0; d < k; d++) {
		int32_t ids[MAX_LEN];
		for (int32_t i = 0; i < prefix + tail; i++)
			ids[i] = i < prefix ? i : 1000 + d;
		sample_add(&s, ids, prefix + tail, &rng);
	}
	struct batch_cap need;
	struct live live;
	int64_t tokens;
	struct forest_options o = { .max_tokens = 100000, .share = share };
	forest_take(s.list, (size_t)s.n, &o, &need, &live, &tokens);
	return need;
}

static void test_known(struct test *t)
{
	struct batch_cap c = take_family(54, 30, 26, true);
	CHECK(t, c.rows == 54 + 30 * 26 && c.segments == 31);
	c = take_family(54, 30, 26, false);
	CHECK(t, c.rows == 30 * 80 && c.segments == 30);
	c = take_family(15, 2, 4, true); /* saves 15 */
	CHECK(t, c.rows == 38 && c.segments == 2);
	c = take_family(16, 2, 4, true);
	CHECK(t, c.rows == 24 && c.segments == 3);
	c = take_family(40, 3, 0, true); /* three equal documents */
	CHECK(t, c.rows == 40 && c.segments == 1);
	c = take_family(1, 17, 5, true); /* a BOS alone, sixteen times saved */
	CHECK(t, c.rows == 1 + 17 * 5 && c.segments == 18);
}

/* A supervised token that k documents share gives k pairs of one target; a fork predicts another token for each
 * child. */
static void test_fork(struct test *t)
{
	static struct sample s;
	struct rng_stream rng = { 4 };
	int32_t ids[22];
	s.n = 0;
	for (int d = 0; d < 3; d++) {
		for (int i = 0; i < 22; i++)
			ids[i] = i < 20 ? i : 100 * (d + 1);
		sample_add(&s, ids, d == 2 ? 20 : 22, &rng); /* the third is a prefix of the others */
		memset(s.learn[d], 0, sizeof(s.learn[d]));
		s.learn[d][19] = s.learn[d][20] = 1;
	}
	struct forest_options o = { .max_tokens = 64, .share = true };
	struct batch_cap need;
	struct live live;
	int64_t tokens;
	CHECK(t, forest_take(s.list, 3, &o, &need, &live, &tokens) == 3 && tokens == 64);
	struct batch b;
	batch_init(&b, &need);
	forest_fill(&b, s.list, 3, &o);
	CHECK(t, b.n_rows == 24 && b.n_segments == 3 && b.n_trees == 1 && b.n_targets == 2 && b.n_labels == 5);
	static const int32_t row[] = { 18, 18, 18, 19, 19 }, token[] = { 19, 19, 19, 100, 200 },
			     doc[] = { 0, 1, 2, 0, 1 };
	for (int p = 0; p < 5; p++)
		CHECK(t, b.target_row[b.label_target[p]] == row[p] && b.label_token[p] == token[p] &&
		                 b.label_doc[p] == doc[p]);
	batch_release(&b);
}

/* What a filled batch says of its groups. */
static void check_groups(struct test *t, const struct batch *b, const struct document *const *docs)
{
	int32_t group = -1;

	for (int32_t d = 0; d < b->n_docs; d++) {
		group += d == 0 || !docs[d]->joined;
		CHECK(t, b->doc_group[d] == group && b->doc_role[d] == docs[d]->role);
		CHECK(t, d >= b->group_doc[group] && d < b->group_doc[group + 1]);
		CHECK(t, b->group_weight[group] == 1.0f);
	}
	CHECK(t, b->n_groups == group + 1 && b->group_doc[b->n_groups] == b->n_docs);
}

static void check_columns(struct test *t, struct batch_cap cap, const struct sample *s, size_t n,
                          const struct forest_options *o)
{
	static const struct batch_column columns[] = {
		{ "reference", PER_LABEL }, { "length", PER_DOCUMENT }, { "advantage", PER_GROUP }, { 0 }
	};
	struct batch b;
	size_t bare = batch_bytes(&cap);

	cap.columns = columns;
	CHECK(t, batch_bytes(&cap) >= bare + ((size_t)cap.labels + 2 * (size_t)cap.docs) * sizeof(float));
	batch_init(&b, &cap);
	forest_fill(&b, s->list, n, o);
	for (int i = 0; columns[i].name; i++)
		for (int32_t k = 0; k < batch_column_count(&b, columns[i].per); k++)
			batch_column(&b, columns[i].name)[k] = (float)k;
	check_groups(t, &b, s->list); /* nothing was overwritten */
	CHECK(t, b.n_labels > 1 && batch_column(&b, "reference")[b.n_labels - 1] == (float)(b.n_labels - 1));
	batch_release(&b);
}

/* Groups are never parted, and as many are taken as fit. */
static void test_groups(struct test *t)
{
	static struct sample s;
	static int32_t work[(MAX_DOCS + 3) * BATCH_WORK_DOC];
	struct rng_stream rng = { 6 };
	struct forest_options o = { .max_tokens = 3 * MAX_LEN, .share = true };

	sample_make(&s, &rng, MAX_DOCS, 40);
	for (int d = 0, size = 0; d < s.n; d++) {
		s.docs[d].joined = d > 0 && size < 3 && rng_below(&rng, 2);
		size = s.docs[d].joined ? size + 1 : 1;
		s.docs[d].role = size - 1;
	}
	for (size_t at = 0, n = (size_t)s.n, taken; at < n; at += taken) {
		struct batch_cap need;
		struct live live;
		int64_t tokens;
		struct batch b;
		taken = forest_take(s.list + at, n - at, &o, &need, &live, &tokens);
		size_t next = at + taken + 1;
		CHECK(t, taken == forest_count(s.list + at, n - at, &o, work, MAX_DOCS + 3));
		CHECK(t, at + taken == n || !s.docs[at + taken].joined);
		CHECK(t, need.rows == forest_rows(s.list + at, taken, true) && need.rows <= o.max_tokens);
		while (next < n && s.docs[next].joined)
			next++;
		CHECK(t, at + taken == n || forest_rows(s.list + at, next - at, true) > o.max_tokens);
		batch_init(&b, &need);
		forest_fill(&b, s.list + at, taken, &o);
		check_groups(t, &b, s.list + at);
		batch_release(&b);
		if (at == 0)
			check_columns(t, need, &s, taken, &o);
	}
}

static void test_many(struct test *t)
{
	enum { N = 20000, LEN = 40 };
	struct document *docs = mem_array(N, sizeof(*docs));
	const struct document **list = mem_array(N, sizeof(*list));
	int32_t *ids = mem_array((size_t)N * LEN, sizeof(*ids));
	uint8_t *learn = mem_array((size_t)N * LEN, 1);
	struct rng_stream rng = { 5 };
	for (int d = 0; d < N; d++) {
		docs[d] = (struct document){ .ids = ids + d * LEN, .learn = learn + d * LEN, .n = LEN };
		list[d] = &docs[d];
		for (int i = 0; i < LEN; i++)
			docs[d].ids[i] = i < 20 ? i : (int32_t)rng_below(&rng, 30000);
		learn[d * LEN + LEN - 1] = 1;
	}
	struct forest_options o = { .max_tokens = 2048, .share = true };
	struct batch_cap need;
	struct live live;
	int64_t tokens;
	size_t at = 0, batches = 0;
	for (; at < N; batches++)
		at += forest_take(list + at, N - at, &o, &need, &live, &tokens);
	CHECK(t, at == N && batches == (N + 100) / 101); /* (2048 − 20) ÷ 20 a micro-batch */
	mem_free(docs);
	mem_free(list);
	mem_free(ids);
	mem_free(learn);
}

void test_forest(struct test *t)
{
	test_case(t, "known families");
	test_known(t);
	test_case(t, "a fork and a shared supervised token");
	test_fork(t);
	test_case(t, "random documents against the definition");
	test_random(t);
	test_case(t, "rows against the rule by recursion");
	test_past(t);
	test_rule(t);
	test_case(t, "groups stay together; columns");
	test_groups(t);
	test_case(t, "twenty thousand documents");
	test_many(t);
}
