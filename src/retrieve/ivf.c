/* ivf: see ivf.h. Everything is compared in whole numbers (vectors_put as int8), whatever form the rows have. */
#include "retrieve/ivf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"

static const char magic[8] = { 'k', 'f', 'i', 'v', 'f', '0', '0', '1' };
enum { STEPS = 8, SAMPLE_A_LIST = 64, PIECE = 256, BEST = 10, SAID_AFTER = 2 /* seconds */ };

struct centres { size_t n, width; float *scale; int8_t *q; };

static struct vectors_form whole_of(size_t width) { return (struct vectors_form){ VECTORS_INT8, width }; }

static float likeness(const struct centres *c, const struct kernels *k, size_t list, const int8_t *q)
{
	return c->scale[list] * (float)k->dot_s8(c->q + list * c->width, q, c->width);
}

static uint32_t nearest(const struct centres *c, const struct kernels *k, const int8_t *q)
{
	uint32_t best = 0;
	float most = -INFINITY;

	for (size_t i = 0; i < c->n; i++) {
		float like = likeness(c, k, i, q);
		if (like > most) {
			most = like;
			best = (uint32_t)i;
		}
	}
	return best;
}

/* --- rows to lists --- */

struct assigning {
	const struct vectors_form *f;
	const struct kernels *kernels;
	const uint8_t *data;
	const struct centres *centres;
	size_t n, rows;                /* n of the rows, evenly spread */
	uint32_t *list;                /* [n] */
};

static size_t row_of(const struct assigning *a, size_t i) { return i * a->rows / a->n; }

static void assign_piece(void *ctx, size_t item, int thread)
{
	const struct assigning *a = ctx;
	const struct vectors_form whole = whole_of(a->f->width);
	float *x = mem_array(a->f->width, sizeof(*x)), scale;
	int8_t *q = mem_alloc(a->f->width);
	(void)thread;

	for (size_t i = item * PIECE; i < MIN(a->n, (item + 1) * PIECE); i++) {
		vectors_get(a->f, a->data, row_of(a, i), x);
		vectors_put(&whole, x, q, &scale);
		a->list[i] = nearest(a->centres, a->kernels, q);
	}
	mem_free(x);
	mem_free(q);
}

static void assign(struct assigning *a, struct pool *pool)
{
	pool_run(pool, (a->n + PIECE - 1) / PIECE, assign_piece, a);
}

/* --- centres --- */

static void put_centre(struct centres *c, size_t i, float *x)
{
	const struct vectors_form whole = whole_of(c->width);
	double length = 0;

	for (size_t j = 0; j < c->width; j++)
		length += (double)x[j] * (double)x[j];
	for (size_t j = 0; j < c->width && length > 0; j++)
		x[j] /= (float)sqrt(length);
	vectors_put(&whole, x, c->q + i * c->width, &c->scale[i]);
}

/* One that nothing is nearest to stays where it was. */
static void move_centres(struct centres *c, const struct assigning *a, float *sum, float *x)
{
	uint32_t *count = mem_array(c->n, sizeof(*count));

	memset(sum, 0, c->n * c->width * sizeof(*sum));
	for (size_t i = 0; i < a->n; i++) {
		float *to = sum + a->list[i] * c->width;
		vectors_get(a->f, a->data, row_of(a, i), x);
		for (size_t j = 0; j < c->width; j++)
			to[j] += x[j];
		count[a->list[i]]++;
	}
	for (size_t i = 0; i < c->n; i++)
		if (count[i])
			put_centre(c, i, sum + i * c->width);
	mem_free(count);
}

/* What takes minutes where there are millions says how far it is. */
static void show(const char *what, size_t done, size_t n, double began)
{
	if (clock_seconds() - began > SAID_AFTER)
		log_live("lists of vectors: %s %zu of %zu, %.0f s", what, done, n, clock_seconds() - began);
}

static int find_centres(struct centres *c, struct assigning *a, struct pool *pool, struct err *e)
{
	float *sum = mem_array(c->n * c->width, sizeof(*sum)), *x = mem_array(c->width, sizeof(*x));
	double began = clock_seconds();
	int status = 0;

	for (size_t i = 0; i < c->n; i++) {
		vectors_get(a->f, a->data, row_of(a, i * a->n / c->n), x);
		put_centre(c, i, x);
	}
	for (int step = 0; step < STEPS && status == 0; step++) {
		status = stop_look(e, "vectors were put into lists");
		if (status == 0)
			assign(a, pool);
		if (status == 0)
			move_centres(c, a, sum, x);
		show("centres, turn", (size_t)step + 1, STEPS, began);
	}
	mem_free(sum);
	mem_free(x);
	return status;
}

/* --- how well that finds --- */

struct best { uint32_t row; float like; };

static void keep_best(struct best *best, size_t *n, uint32_t row, float like)
{
	if (*n == BEST && like <= best[BEST - 1].like)
		return;
	size_t at = *n < BEST ? (*n)++ : BEST - 1;
	for (; at > 0 && like > best[at - 1].like; at--)
		best[at] = best[at - 1];
	best[at] = (struct best){ row, like };
}

/* How many centres are nearer to the query than that of the list. */
static size_t rank_of(const struct centres *c, const struct kernels *k, const int8_t *q, uint32_t list)
{
	float own = likeness(c, k, list, q);
	size_t rank = 0;

	for (size_t i = 0; i < c->n; i++)
		rank += likeness(c, k, i, q) > own;
	return rank;
}

/* needs[lists]: of the ten best of a row as the query, how many lie in the list of that rank. */
static size_t ask(const struct assigning *a, size_t row, const uint8_t *dead, struct pool *pool, float *score,
                  uint32_t *needs)
{
	const struct vectors_form whole = whole_of(a->f->width);
	struct best best[BEST];
	float *x = mem_array(a->f->width, sizeof(*x)), scale;
	int8_t *q = mem_alloc(a->f->width);
	size_t n = 0;

	vectors_get(a->f, a->data, row, x);
	vectors_put(&whole, x, q, &scale);
	vectors_scan(a->f, a->kernels, a->data, 0, a->rows, x, pool, score);
	for (size_t i = 0; i < a->rows; i++)
		if (i != row && !dead[i])
			keep_best(best, &n, (uint32_t)i, score[i]);
	for (size_t i = 0; i < n; i++)
		needs[rank_of(a->centres, a->kernels, q, a->list[best[i].row])]++;
	mem_free(x);
	mem_free(q);
	return n;
}

static int measure(const struct assigning *a, const uint8_t *dead, struct pool *pool, struct ivf_head *head,
                   struct err *e)
{
	float *score = mem_array(a->rows, sizeof(*score));
	uint32_t *needs = mem_array(a->centres->n, sizeof(*needs));
	size_t asked = MIN(a->rows, (size_t)IVF_ASKED), all = 0, found = 0;
	double began = clock_seconds();
	int status = 0;

	for (size_t i = 0; i < asked && status == 0; i++) {
		size_t row = i * a->rows / asked;
		status = stop_look(e, "the lists of vectors were tried");
		if (status == 0 && !dead[row])
			all += ask(a, row, dead, pool, score, needs);
		show("tried with question", i + 1, asked, began);
	}
	head->probes = 0;
	do
		found += needs[head->probes++];
	while (head->probes < a->centres->n && (double)found < IVF_RECALL * (double)all);
	head->recall = all ? (double)found / (double)all : 1;
	mem_free(score);
	mem_free(needs);
	return status;
}

/* --- the file --- */

static void write_lists(const struct assigning *a, const struct centres *c, const struct ivf_head *head,
                        struct buf *out)
{
	uint32_t *begin = mem_array(c->n + 2, sizeof(*begin)), *row = mem_array(a->rows + 1, sizeof(*row));

	for (size_t i = 0; i < a->rows; i++)
		begin[a->list[i] + 2]++;
	for (size_t i = 2; i <= c->n; i++)
		begin[i] += begin[i - 1];
	for (size_t i = 0; i < a->rows; i++)
		row[begin[a->list[i] + 1]++] = (uint32_t)i; /* begin[l + 1] comes to be where list l ends */
	buf_add(out, head, sizeof(*head));
	buf_add(out, c->scale, c->n * sizeof(*c->scale));
	buf_add(out, c->q, c->n * c->width);
	while (out->len % sizeof(uint32_t))
		buf_addc(out, 0);
	buf_add(out, begin, (c->n + 1) * sizeof(*begin));
	buf_add(out, row, a->rows * sizeof(*row));
	mem_free(begin);
	mem_free(row);
}

size_t ivf_lists(size_t rows) { return MAX((size_t)(2 * sqrt((double)rows)), (size_t)1); }

int ivf_build(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, size_t rows,
              const uint8_t *dead, size_t lists, struct pool *pool, struct buf *out, struct err *e)
{
	struct centres c = { .n = MIN(lists, rows), .width = f->width };
	struct ivf_head head = { .rows = (uint32_t)rows, .lists = (uint32_t)c.n, .width = (uint32_t)f->width };
	uint32_t *list = mem_array(rows + 1, sizeof(*list));
	struct assigning sample = { f, k, data, &c, MIN(rows, SAMPLE_A_LIST * c.n), rows, list }, all = sample;

	memcpy(head.magic, magic, sizeof(magic));
	c.scale = mem_array(c.n, sizeof(*c.scale));
	c.q = mem_array(c.n, c.width);
	double began = clock_seconds();
	int status = find_centres(&c, &sample, pool, e);
	all.n = rows;
	if (status == 0) {
		show("every vector into one of", c.n, c.n, began);
		assign(&all, pool);
		status = measure(&all, dead, pool, &head, e);
	}
	if (status == 0)
		write_lists(&all, &c, &head, out);
	log_live_end();
	mem_free(list);
	mem_free(c.scale);
	mem_free(c.q);
	return status;
}

int ivf_read(struct ivf *x, const void *data, size_t size, size_t rows, size_t width, const char *where, struct err *e)
{
	const uint8_t *from = data;
	struct ivf_head *h = &x->head;

	*x = (struct ivf){ 0 };
	if (size >= sizeof(*h))
		memcpy(h, data, sizeof(*h));
	size_t scales = sizeof(*h), centres = scales + (size_t)h->lists * sizeof(float),
	       begins = ROUND_UP(centres + (size_t)h->lists * h->width, sizeof(uint32_t)),
	       ids = begins + ((size_t)h->lists + 1) * sizeof(uint32_t);
	if (memcmp(h->magic, magic, sizeof(magic)) != 0 || !h->lists || h->width != width || h->rows > rows ||
	    h->probes > h->lists || ids + (size_t)h->rows * sizeof(uint32_t) > size)
		return err_set(e, "%s: no lists of these vectors, or damaged", where);
	x->scale = (const void *)(from + scales);
	x->centre = (const void *)(from + centres);
	x->begin = (const void *)(from + begins);
	x->row = (const void *)(from + ids);
	bool sound = x->begin[0] == 0 && x->begin[h->lists] == h->rows;
	for (uint32_t i = 0; i < h->lists && sound; i++)
		sound = x->begin[i] <= x->begin[i + 1];
	for (uint32_t i = 0; i < h->rows && sound; i++)
		sound = x->row[i] < h->rows;
	return sound ? 0 : err_set(e, "%s: the lists of vectors are damaged", where);
}

struct ranked { float like; uint32_t list; };

static int descending(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->like > y->like ? -1 : x->like < y->like ? 1 : (x->list > y->list) - (x->list < y->list);
}

size_t ivf_near(const struct ivf *x, const struct kernels *k, const float *query, uint32_t *out)
{
	const struct vectors_form whole = whole_of(x->head.width);
	struct ranked *ranked = mem_array(x->head.lists, sizeof(*ranked));
	int8_t *q = mem_alloc(x->head.width);
	float scale;
	size_t n = 0;

	vectors_put(&whole, query, q, &scale);
	for (uint32_t i = 0; i < x->head.lists; i++)
		ranked[i] = (struct ranked){ x->scale[i] * (float)k->dot_s8(x->centre + (size_t)i * x->head.width, q,
		                                                            x->head.width), i };
	qsort(ranked, x->head.lists, sizeof(*ranked), descending);
	for (uint32_t i = 0; i < x->head.probes; i++) {
		uint32_t list = ranked[i].list, some = x->begin[list + 1] - x->begin[list];
		memcpy(out + n, x->row + x->begin[list], some * sizeof(*out));
		n += some;
	}
	mem_free(ranked);
	mem_free(q);
	return n;
}
