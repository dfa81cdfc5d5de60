/* batch: the arrays of one micro-batch, carved out of one block.
 *
 * Every array begins at a multiple of 64 bytes from the block's start and all elements are four-byte words, so the
 * offsets are a pure function of the capacities; batch_bytes is the end of the last one. The block is found again as
 * `ids`, the first array. Filling is the packer's work (data/forest.c, a session), not this file's. */
#include "op/batch.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "op/kv_cache.h"

enum { ARRAY_ALIGN = 64 };

/* Takes n elements of `size` bytes at *at, which moves on; NULL base only measures. */
static void *carve(char *base, size_t *at, int64_t n, size_t size)
{
	if (n < 0)
		BUG("a batch with a negative capacity %lld", (long long)n);
	void *p = base ? base + *at : NULL;
	*at = ROUND_UP(*at + (size_t)n * size, (size_t)ARRAY_ALIGN);
	return p;
}

static int32_t column_cap(const struct batch_cap *cap, enum batch_per per)
{
	return per == PER_LABEL ? cap->labels : cap->docs;
}

static void carve_columns(struct batch *b, char *base, size_t *at, const struct batch_cap *cap)
{
	for (int i = 0; cap->columns && cap->columns[i].name; i++) {
		if (i == BATCH_COLUMNS)
			BUG("a batch with more than %d columns", BATCH_COLUMNS);
		b->column[i] = carve(base, at, column_cap(cap, cap->columns[i].per), sizeof(*b->column[i]));
	}
}

/* Points b's arrays into base (NULL: nowhere) and returns the bytes they take. */
static size_t batch_layout(struct batch *b, char *base, const struct batch_cap *cap)
{
	size_t at = 0;
	b->ids = carve(base, &at, cap->rows, sizeof(*b->ids));
	b->pos = carve(base, &at, cap->rows, sizeof(*b->pos));
	b->type = carve(base, &at, cap->rows, sizeof(*b->type));
	b->key = carve(base, &at, cap->rows, sizeof(*b->key));
	b->vis_end = carve(base, &at, cap->keys, sizeof(*b->vis_end));
	b->vis_from = carve(base, &at, cap->keys, sizeof(*b->vis_from));
	b->key_pos = carve(base, &at, cap->keys, sizeof(*b->key_pos));
	b->place = carve(base, &at, (int64_t)cap->memories * (cap->keys / KV_RANGE), sizeof(*b->place));
	b->segments = carve(base, &at, cap->segments, sizeof(*b->segments));
	b->tree = carve(base, &at, cap->segments + 1, sizeof(*b->tree)); /* a tree has at least one segment */
	b->target_row = carve(base, &at, cap->targets, sizeof(*b->target_row));
	b->label_target = carve(base, &at, cap->labels, sizeof(*b->label_target));
	b->label_token = carve(base, &at, cap->labels, sizeof(*b->label_token));
	b->label_weight = carve(base, &at, cap->labels, sizeof(*b->label_weight));
	b->label_doc = carve(base, &at, cap->labels, sizeof(*b->label_doc));
	b->doc_group = carve(base, &at, cap->docs, sizeof(*b->doc_group));
	b->doc_labels = carve(base, &at, cap->docs, sizeof(*b->doc_labels));
	b->doc_role = carve(base, &at, cap->docs, sizeof(*b->doc_role));
	b->group_doc = carve(base, &at, (int64_t)cap->docs + 1, sizeof(*b->group_doc)); /* and a group one document */
	b->group_weight = carve(base, &at, cap->docs, sizeof(*b->group_weight));
	carve_columns(b, base, &at, cap);
	b->work = carve(base, &at, cap->rows + (int64_t)cap->docs * BATCH_WORK_DOC, sizeof(*b->work));
	return at;
}

size_t batch_bytes(const struct batch_cap *cap)
{
	struct batch b;
	return batch_layout(&b, NULL, cap);
}

void batch_init(struct batch *b, const struct batch_cap *cap)
{
	memset(b, 0, sizeof(*b));
	b->cap = *cap;
	batch_layout(b, mem_alloc(batch_bytes(cap)), cap);
}

void batch_release(struct batch *b)
{
	mem_free(b->ids);
	memset(b, 0, sizeof(*b));
}

const int32_t *batch_places(const struct batch *b, int memory)
{
	return b->place + (size_t)memory * (size_t)(b->cap.keys / KV_RANGE);
}

struct live batch_live(const struct batch *b)
{
	struct live l = {
		.rows = b->n_rows, .targets = b->n_targets, .labels = b->n_labels, .visible = b->visible
	};

	memcpy(l.beyond, b->beyond, sizeof(l.beyond));
	return l;
}

/* Σ max(0, x − w) for x = first, first + 1, …, n of them; whole numbers, so exact below 2^53. */
static double sum_beyond(double first, double n, double w)
{
	double last = first + n - 1, from = first > w ? first : w + 1;

	return last < from ? 0 : (last - from + 1) * ((from - w) + (last - w)) / 2;
}

static void see(double *visible, double beyond[LIVE_POWERS], double first, double n)
{
	*visible += sum_beyond(first, n, 0);
	for (int k = 0; k < LIVE_POWERS; k++)
		beyond[k] += sum_beyond(first, n, (double)(1 << k));
}

void batch_see(struct batch *b, double first, double n) { see(&b->visible, b->beyond, first, n); }
void live_see(struct live *l, double first, double n) { see(&l->visible, l->beyond, first, n); }

static double cut_off(const struct live *l, int32_t window)
{
	int k = 31 - __builtin_clz((uint32_t)window);

	if (k >= LIVE_POWERS - 1)
		return 0;
	double part = (double)window / (1 << k) - 1;
	return l->beyond[k] + part * (l->beyond[k + 1] - l->beyond[k]);
}

/* Both ways in a document of its own: as many keys after a row as before it, over all its rows. */
double live_visible(const struct live *l, int32_t window, bool both_ways)
{
	double seen = l->visible - (window > 0 ? cut_off(l, window) : 0);

	return both_ways ? 2 * seen - l->rows : seen;
}

float *batch_column(const struct batch *b, const char *name)
{
	const struct batch_column *c = b->cap.columns;

	for (int i = 0; c && c[i].name; i++)
		if (!strcmp(c[i].name, name))
			return b->column[i];
	BUG("a batch without the column %s", name);
}

int32_t batch_column_count(const struct batch *b, enum batch_per per)
{
	return per == PER_LABEL ? b->n_labels : per == PER_DOCUMENT ? b->n_docs : b->n_groups;
}

int32_t batch_segment_of(const struct batch *b, int32_t row)
{
	int32_t low = 0, high = b->n_segments - 1;

	while (low < high) {
		int32_t middle = (low + high + 1) / 2;
		if (b->segments[middle].start <= row)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

void live_add(struct live *to, const struct live *x, double times)
{
	to->rows += times * x->rows;
	to->targets += times * x->targets;
	to->labels += times * x->labels;
	to->visible += times * x->visible;
	for (int k = 0; k < LIVE_POWERS; k++)
		to->beyond[k] += times * x->beyond[k];
}

struct live live_over(const struct live *sum, double n)
{
	struct live mean = { sum->rows / n, sum->targets / n, sum->labels / n, sum->visible / n, { 0 } };

	for (int k = 0; k < LIVE_POWERS; k++)
		mean.beyond[k] = sum->beyond[k] / n;
	return mean;
}
