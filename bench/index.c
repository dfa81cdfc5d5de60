/* index: milliseconds of a dense search of an index of random vectors (retrieve/index.h), made by the index's own writer
 * and read where it lies.
 *
 *     index FOLDER [-n ROWS] [-w WIDTH] [-t THREADS] [-q QUERIES] [-v int8|f16] [-l LISTS]    1,000,000 rows of 384 in int8
 *
 * LISTS: 0, none; else the recall that the index states is told too. FOLDER keeps the index; a second call finds it there. Vectors stand around as many centres as rows / 500, as texts do
 * around subjects. One line: rows, width, kind, threads, the median and the largest time, bytes a second. Build and run:
 * bench/run-index. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "retrieve/index.h"

enum { COMMIT_ROWS = 50000, ROWS_A_CENTRE = 500, TOP = 10 };

struct options { size_t rows, width, queries; int threads, lists; enum vectors_kind kind; const char *folder; };

static void die(const struct err *e)
{
	fprintf(stderr, "%s\n", e->msg);
	exit(1);
}

/* Of length 1, near a centre that the number chooses. */
static void make(float *x, size_t width, size_t number, size_t rows)
{
	size_t centres = rows / ROWS_A_CENTRE + 1;
	struct rng_stream centre = { number % centres + 1 }, own = { number + ((uint64_t)1 << 40) };
	double sum = 0;

	for (size_t i = 0; i < width; i++) {
		x[i] = rng_next_float(&centre) + 0.8f * rng_next_float(&own);
		sum += (double)x[i] * (double)x[i];
	}
	for (size_t i = 0; i < width; i++)
		x[i] /= (float)sqrt(sum);
}

static void build(const struct options *o, const char *path)
{
	const struct index_settings s = { .embedder = "random", .embedder_hash = "0", .width = (int)o->width, .vectors = o->kind,
		                          .ivf_lists = o->lists };
	struct err e = ERR_INIT;
	struct index *x;
	float *vector = mem_array(o->width, sizeof(*vector));

	if (index_create(path, &s, &e) < 0 || index_open(&x, path, true, &e) < 0)
		die(&e);
	for (size_t i = 0; i < o->rows; i++) {
		const struct index_chunk c = { "", 0, vector };
		char id[24];
		snprintf(id, sizeof(id), "%zu", i);
		make(vector, o->width, i, o->rows);
		if (index_add(x, &(struct index_document){ .id = id, .hash = "0", .chunks = &c, .n_chunks = 1 }, &e) < 0 ||
		    ((i + 1) % COMMIT_ROWS == 0 && index_commit(x, &e) < 0))
			die(&e);
	}
	double began = clock_seconds();
	struct pool *pool = pool_new(o->threads);
	if (index_commit(x, &e) < 0 || index_tidy(x, pool, &e) < 0)
		die(&e);
	if (o->lists)
		printf("%d lists made in %.1f s\n", o->lists, clock_seconds() - began);
	pool_free(pool);
	index_close(x);
	mem_free(vector);
}

static int ascending(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static void search(const struct options *o, const char *path)
{
	struct err e = ERR_INIT;
	struct index *x;
	struct index_hit hits[TOP];
	struct pool *pool = pool_new(o->threads);
	float *vector = mem_array(o->width, sizeof(*vector));
	double *seconds = mem_array(o->queries, sizeof(*seconds));

	if (index_open(&x, path, false, &e) < 0)
		die(&e);
	for (size_t i = 0; i <= o->queries; i++) {
		make(vector, o->width, o->rows + 7919 * i, o->rows);
		const struct index_query q = { .vector = vector, .retriever = RETRIEVER_DENSE, .top_k = TOP, .mmr = 1 };
		double began = clock_seconds();
		index_search(x, &q, pool, hits);
		if (i) /* the first brings the pages in */
			seconds[i - 1] = clock_seconds() - began;
	}
	qsort(seconds, o->queries, sizeof(*seconds), ascending);
	double median = seconds[o->queries / 2], bytes = (double)(o->rows * o->width) * (o->kind == VECTORS_F16 ? 2 : 1);
	printf("%zu rows of %zu, %s, %d threads: %.1f ms, at most %.1f ms, %.1f GB/s\n", index_places(x), o->width,
	       vectors_names[o->kind], o->threads, 1000 * median, 1000 * seconds[o->queries - 1], bytes / median / 1e9);
	struct index_counts counts;
	index_count(x, &counts);
	if (counts.lists)
		printf("%zu of %zu lists are looked at: recall %.3f, measured\n", counts.probes, counts.lists, counts.recall);
	index_close(x);
	pool_free(pool);
	mem_free(vector);
	mem_free(seconds);
}

int main(int argc, char **argv)
{
	struct options o = { .rows = 1000000, .width = 384, .queries = 20, .threads = 2 };
	int c;

	while ((c = getopt(argc, argv, "n:w:t:q:v:l:")) != -1) {
		if (c == 'n')
			o.rows = strtoul(optarg, NULL, 10);
		else if (c == 'w')
			o.width = strtoul(optarg, NULL, 10);
		else if (c == 't')
			o.threads = atoi(optarg);
		else if (c == 'q')
			o.queries = strtoul(optarg, NULL, 10);
		else if (c == 'v')
			o.kind = !strcmp(optarg, "f16") ? VECTORS_F16 : VECTORS_INT8;
		else if (c == 'l')
			o.lists = atoi(optarg);
		else
			return 2;
	}
	if (optind + 1 != argc || !o.rows || !o.width || !o.queries)
		return fprintf(stderr, "usage: index FOLDER [-n ROWS] [-w WIDTH] [-t THREADS] [-q QUERIES] [-v int8|f16] [-l LISTS]\n"), 2;
	char name[64];
	snprintf(name, sizeof(name), "random-%zu-%zu-%s-%d.db", o.rows, o.width, vectors_names[o.kind], o.lists);
	char *path = io_join(argv[optind], name);
	if (!io_exists(path))
		build(&o, path);
	search(&o, path);
	mem_free(path);
	return 0;
}
