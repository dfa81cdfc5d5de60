/* test_index: documents in an index: found as BM25 in memory finds them, whatever was added, replaced, removed and
 * tidied before, in one commit or many; nothing that was committed is lost when the process is killed or bytes lie
 * behind what counts; vectors, both ways as one, and far from each other; damaged files are a sentence; rank scores. */
#include "../test.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "retrieve/bm25.h"
#include "retrieve/index.h"
#include "retrieve/ivf.h"
#include "retrieve/rank_scores.h"
#include "retrieve/vectors.h"

enum { WORDS = 40, WIDTH = 24, DOCS = 60, TOP = 20 };

static char *path_of(const char *name) { return io_join(test_tmp(), name); }

/* A text of some words, by its number. */
static void make_text(char *out, size_t size, int number)
{
	struct rng_stream r = { (uint64_t)number * 77 + 5 };
	size_t n = 3 + rng_below(&r, 12), at = 0;

	for (size_t i = 0; i < n && at + 10 < size; i++)
		at += (size_t)snprintf(out + at, size - at, "w%u ", rng_below(&r, WORDS) * rng_below(&r,
		                                                                                     WORDS) / WORDS);
}

static void make_vector(float *x, int number)
{
	struct rng_stream r = { (uint64_t)number + 999 };
	double sum = 0;

	for (int i = 0; i < WIDTH; i++) {
		x[i] = rng_next_float(&r);
		sum += (double)x[i] * (double)x[i];
	}
	for (int i = 0; i < WIDTH; i++)
		x[i] /= (float)sqrt(sum);
}

/* Document `id` with the text and vector of a number. */
static int add(struct index *x, int id, int number, struct err *e)
{
	char name[32], hash[32], text[256];
	float vector[WIDTH];

	snprintf(name, sizeof(name), "d%d", id);
	snprintf(hash, sizeof(hash), "%d", number);
	make_text(text, sizeof(text), number);
	make_vector(vector, number);
	const struct index_chunk c = { text, strlen(text), vector };
	return index_add(x, &(struct index_document){ .id = name, .hash = hash, .chunks = &c, .n_chunks = 1,
	                                              .fields = number % 2 ? "{\"kind\": \"odd\"}" : "{\"kind\": 2}" },
		e);
}

static struct index *create_of(struct test *t, const char *path, enum vectors_kind vectors)
{
	struct index *x = NULL;
	struct err e = ERR_INIT;
	const struct index_settings s = { .embedder = "none", .embedder_hash = "0", .width = WIDTH,
		                          .vectors = vectors };
	bool fine = index_create(path, &s, &e) == 0 && index_open(&x, path, true, &e) == 0;

	CHECK_MSG(t, fine, "%s", e.msg);
	return x;
}

static struct index *create(struct test *t, const char *path) { return create_of(t, path, VECTORS_INT8); }

/* The index finds for some queries what BM25 in memory does, whose document i has the text of number[i], or none. */
static void check_found(struct test *t, const char *path, const int *number, int n)
{
	struct err e = ERR_INIT;
	struct index *x = NULL;
	struct bm25 *b = bm25_new();
	struct pool *pool = pool_new(1);
	double *score = mem_array((size_t)n + 1, sizeof(*score));
	char text[256];
	int *live = mem_array((size_t)n + 1, sizeof(*live)), n_live = 0;

	for (int i = 0; i < n; i++)
		if (number[i] >= 0) {
			make_text(text, sizeof(text), number[i]);
			bm25_add(b, text, strlen(text));
			live[n_live++] = i;
		}
	CHECK_MSG(t, index_open(&x, path, false, &e) == 0, "%s", e.msg);
	for (int q = 0; x && q < 10; q++) {
		struct index_hit hits[TOP];
		make_text(text, sizeof(text), 5000 + q);
		bm25_score(b, text, strlen(text), score);
		size_t found = index_search(x, &(struct index_query){ .text = text, .n = strlen(text), .top_k = TOP,
		                                                      .mmr = 1 },
		                            pool, hits);
		size_t some = 0;
		for (int i = 0; i < n_live; i++)
			some += score[i] > 0;
		CHECK_MSG(t, found == MIN(some, (size_t)TOP), "%zu found of %zu", found, some);
		for (size_t i = 0; i < found; i++) {
			struct arena mem = ARENA_INIT;
			struct index_text of;
			int k = 0;
			CHECK_MSG(t, index_fetch(x, hits[i].chunk, &mem, &of, &e) == 0, "%s", e.msg);
			while (k < n_live && live[k] != atoi(of.id + 1))
				k++;
			CHECK_MSG(t, k < n_live && fabs(score[k] - hits[i].score) < 1e-5 * (1 + score[k]), "%s: %g",
			          of.id,
			          hits[i].score);
			CHECK(t, i == 0 || hits[i].score <= hits[i - 1].score);
			arena_release(&mem);
		}
	}
	index_close(x);
	bm25_free(b);
	pool_free(pool);
	mem_free(score);
	mem_free(live);
}

static void check_changes(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = path_of("changes.db");
	struct index *x = create(t, path);
	int number[DOCS];
	enum index_known known;
	bool there;

	test_case(t, "added in one commit and in many, replaced, removed, tidied");
	for (int i = 0; i < DOCS; i++) {
		number[i] = i;
		CHECK_MSG(t, add(x, i, i, &e) == 0, "%s", e.msg);
		if (i % 7 == 6)
			CHECK_MSG(t, index_commit(x, &e) == 0, "%s", e.msg);
	}
	CHECK(t, add(x, 3, 3, &e) == 1);
	CHECK(t, index_commit(x, &e) == 0);
	check_found(t, path, number, DOCS);
	CHECK(t, index_knows(x, "d3", "3", &known, &e) == 0 && known == INDEX_SAME);
	CHECK(t, index_knows(x, "d3", "4", &known, &e) == 0 && known == INDEX_OTHER);
	CHECK(t, index_knows(x, "x", "4", &known, &e) == 0 && known == INDEX_NEW);
	for (int i = 0; i < DOCS; i += 5) {
		char id[16];
		number[i] = i % 2 ? -1 : 1000 + i;
		snprintf(id, sizeof(id), "d%d", i);
		CHECK(t, i % 2 ? index_remove(x, id, &there, &e) == 0 && there : add(x, i, number[i], &e) == 0);
	}
	CHECK(t, index_remove(x, "none", &there, &e) == 0 && !there);
	CHECK(t, index_commit(x, &e) == 0);
	check_found(t, path, number, DOCS);
	for (int i = 0; i < DOCS; i++)
		if (i % 3) {
			char id[16];
			snprintf(id, sizeof(id), "d%d", i);
			CHECK(t, index_remove(x, id, &there, &e) == 0 && there == (number[i] >= 0));
			number[i] = -1;
		}
	CHECK(t, index_commit(x, &e) == 0);
	check_found(t, path, number, DOCS);
	struct pool *pool = pool_new(1);
	CHECK_MSG(t, index_tidy(x, pool, &e) == 0, "%s", e.msg);
	pool_free(pool);
	check_found(t, path, number, DOCS);
	struct index_counts c;
	struct index *y;
	CHECK(t, index_open(&y, path, false, &e) == 0);
	index_count(y, &c);
	CHECK_MSG(t, c.dead == 0 && c.segments == 1 && c.chunks == c.documents, "%zu dead, %zu segments", c.dead,
	          c.segments);
	index_close(y);
	CHECK(t, add(x, 500, 500, &e) == 0 && index_commit(x, &e) == 0);
	index_close(x);
	mem_free(path);
}

/* Who stays sees that something was committed since, once, and that another file is there. */
static void check_watched(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = path_of("watched.db"), *other = path_of("other.db");
	struct index *writer = create(t, path), *reader, *again;
	bool there;

	test_case(t, "watched");
	CHECK_MSG(t, index_open_watched(&reader, path, &e) == 0, "%s", e.msg);
	CHECK(t, !index_changed(reader));
	CHECK(t, add(writer, 1, 1, &e) == 0 && !index_changed(reader));
	CHECK(t, index_commit(writer, &e) == 0 && index_changed(reader));
	CHECK_MSG(t, index_open_watched(&again, path, &e) == 0, "%s", e.msg);
	CHECK(t, index_places(again) == 1 && !index_changed(again) && index_places(reader) == 0);
	CHECK(t, index_remove(writer, "d1", &there, &e) == 0 && there && index_commit(writer, &e) == 0);
	CHECK(t, index_changed(again));
	index_close(reader);
	index_close(again);
	index_close(writer);
	CHECK(t, index_open_watched(&reader, path, &e) == 0 && !index_changed(reader));
	CHECK(t, rename(path, other) == 0 && index_changed(reader));
	CHECK(t, index_open_watched(&again, path, &e) < 0);
	index_close(reader);
	mem_free(path);
	mem_free(other);
}

/* The child tells each document that is committed; when it is killed they are all there. */
static void check_killed(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = path_of("killed.db"), said;
	struct index *x = create(t, path);
	int ends[2], told = 0, state;

	test_case(t, "killed while adding");
	index_close(x);
	CHECK(t, pipe(ends) == 0);
	pid_t child = fork();
	if (child == 0) {
		if (index_open(&x, path, true, &e) < 0)
			_exit(1);
		for (int i = 0;; i++)
			if (add(x, i, i, &e) < 0 || index_commit(x, &e) < 0 || write(ends[1], "+", 1) != 1)
				_exit(1);
	}
	close(ends[1]);
	while (told < 12 && read(ends[0], &said, 1) == 1)
		told++;
	kill(child, SIGKILL);
	CHECK(t, waitpid(child, &state, 0) == child && WIFSIGNALED(state));
	while (read(ends[0], &said, 1) == 1)
		told++;
	close(ends[0]);
	CHECK_MSG(t, index_open(&x, path, true, &e) == 0, "%s", e.msg);
	for (int i = 0; i < told; i++) {
		enum index_known known;
		char id[16], hash[16];
		snprintf(id, sizeof(id), "d%d", i);
		snprintf(hash, sizeof(hash), "%d", i);
		CHECK(t, index_knows(x, id, hash, &known, &e) == 0 && known == INDEX_SAME);
	}
	int *number = mem_array((size_t)told + 2, sizeof(*number));
	for (int i = 0; i < told + 2; i++)
		number[i] = i;
	CHECK(t, add(x, told, told, &e) >= 0 && add(x, told + 1, told + 1, &e) >= 0 && index_commit(x, &e) == 0);
	check_found(t, path, number, told + 2);
	index_close(x);
	mem_free(number);
	mem_free(path);
}

static void check_behind(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = path_of("behind.db"), *words = path_of("behind.db.words-1"),
		*vectors = path_of("behind.db.vectors-1");
	struct index *x = create(t, path);
	const int number[] = { 0, 1 };

	test_case(t, "bytes behind what was committed");
	CHECK(t, add(x, 0, 0, &e) == 0 && index_commit(x, &e) == 0);
	CHECK(t, io_append(words, "half a segment", 14, &e) == 0 && io_append(vectors, "junk", 4, &e) == 0);
	check_found(t, path, number, 1);
	CHECK(t, add(x, 1, 1, &e) == 0 && index_commit(x, &e) == 0);
	check_found(t, path, number, 2);
	index_close(x);
	test_case(t, "a damaged file is a sentence");
	struct buf bytes = BUF_INIT;
	CHECK(t, io_read(&bytes, words, &e) == 0);
	for (size_t i = 0; i < bytes.len; i++) {
		struct index_hit hits[TOP];
		struct pool *pool = pool_new(1);
		bytes.data[i] ^= 0x55;
		CHECK(t, io_write(words, bytes.data, bytes.len, &e) == 0);
		if (index_open(&x, path, false, &e) == 0) { /* what it finds may be another then */
			index_search(x, &(struct index_query){ .text = "w1 w2 w3", .n = 8, .top_k = TOP, .mmr = 1 },
			             pool, hits);
			index_close(x);
		}
		bytes.data[i] ^= 0x55;
		pool_free(pool);
	}
	CHECK(t, io_write(words, bytes.data, bytes.len / 2, &e) == 0);
	CHECK(t, index_open(&x, path, false, &e) < 0 && strstr(e.msg, "bytes, the index counts"));
	CHECK(t, index_open(&x, words, false, &e) < 0);
	buf_release(&bytes);
	mem_free(path);
	mem_free(words);
	mem_free(vectors);
}

/* --- vectors --- */

static void check_vectors(struct test *t, enum vectors_kind kind)
{
	struct err e = ERR_INIT;
	char *path = path_of(kind == VECTORS_F16 ? "halves.db" : "vectors.db"), text[256];
	struct index *x = create_of(t, path, kind);
	struct pool *pool = pool_new(2);
	struct index_hit dense[TOP], words[TOP], both[TOP], far[3];
	float query[WIDTH], row[WIDTH];

	for (int i = 0; i < DOCS; i++)
		CHECK(t, add(x, i, i, &e) == 0);
	CHECK(t, index_commit(x, &e) == 0);
	index_close(x);
	CHECK_MSG(t, index_open(&x, path, false, &e) == 0, "%s", e.msg);
	make_vector(query, 7000);
	make_text(text, sizeof(text), 7000);
	struct index_query q = { .text = text, .n = strlen(text), .vector = query, .top_k = TOP, .mmr = 1,
		                 .retriever = RETRIEVER_DENSE };
	test_case(t, "dense, %s", vectors_names[kind]);
	CHECK(t, index_search(x, &q, pool, dense) == TOP);
	for (size_t i = 0; i < TOP; i++) {
		double dot = 0;
		make_vector(row, (int)dense[i].chunk);
		for (int c = 0; c < WIDTH; c++)
			dot += (double)row[c] * (double)query[c];
		CHECK_MSG(t, fabs(dot - dense[i].score) < (kind == VECTORS_F16 ? 1e-3 : 0.02), "%g, in float %g",
		          dense[i].score, dot);
		CHECK(t, i == 0 || dense[i].score <= dense[i - 1].score);
	}
	test_case(t, "hybrid: 1/(60 + rank) of both lists");
	q.retriever = RETRIEVER_BM25;
	size_t n = index_search(x, &q, pool, words);
	q.retriever = RETRIEVER_HYBRID;
	index_search(x, &q, pool, both);
	for (size_t i = 0; i < TOP; i++)
		for (size_t a = 0; a < n; a++)
			for (size_t b = 0; b < TOP; b++)
				if (words[a].chunk == both[i].chunk && dense[b].chunk == both[i].chunk) {
					double want = 1 / (61.0 + (double)a) + 1 / (61.0 + (double)b);
					CHECK(t, fabs(both[i].score - want) < 1e-12);
				}
	test_case(t, "maximal marginal relevance, filters");
	q.retriever = RETRIEVER_DENSE;
	q.mmr = 0;
	q.top_k = 3;
	CHECK(t, index_search(x, &q, pool, far) == 3 && far[0].chunk == dense[0].chunk &&
	      far[1].chunk != dense[1].chunk);
	uint8_t allowed[DOCS];
	q.mmr = 1;
	CHECK(t, index_filter(x, "kind", "odd", allowed, &e) == 0);
	q.allowed = allowed;
	CHECK(t, index_search(x, &q, pool, far) == 3 && far[0].chunk % 2 && far[1].chunk % 2 && far[2].chunk % 2);
	CHECK(t, index_filter(x, "kind", "2", allowed, &e) == 0 && allowed[0] && !allowed[1]);
	CHECK(t, index_filter(x, "id", "d5", allowed, &e) == 0 && allowed[5] && !allowed[4]);
	index_close(x);
	pool_free(pool);
	mem_free(path);
}

/* Lists find nearly what the exact scan does, by the recall that they state; rows that come later are found, those that
 * were removed are not; of numbers that are others the lists are made anew; a damaged file is a sentence. */
static void check_lists(struct test *t)
{
	enum { ROWS = 1200, LISTS = 20 };
	struct err e = ERR_INIT;
	char *path = path_of("lists.db"), *file = path_of("lists.db.ivf-1"), *next = path_of("lists.db.ivf-2");
	struct pool *pool = pool_new(2);
	const struct index_settings s = { .embedder = "none", .embedder_hash = "0", .width = WIDTH,
		                          .ivf_lists = LISTS };
	struct index *x, *y;
	struct index_counts c;
	struct index_hit all[TOP], some[TOP];
	float query[WIDTH];
	bool there;
	size_t same = 0;

	test_case(t, "lists of vectors");
	CHECK(t, index_create(path, &s, &e) == 0 && index_open(&x, path, true, &e) == 0);
	for (int i = 0; i < ROWS; i++)
		CHECK(t, add(x, i, i, &e) == 0);
	CHECK_MSG(t, index_commit(x, &e) == 0 && index_tidy(x, pool, &e) == 0, "%s", e.msg);
	for (int i = ROWS; i < ROWS + 3; i++)
		CHECK(t, add(x, i, i, &e) == 0);
	CHECK(t, index_remove(x, "d7", &there, &e) == 0 && there && index_commit(x, &e) == 0);
	CHECK(t, index_tidy(x, pool, &e) == 0 && io_exists(file) && !io_exists(next));
	CHECK_MSG(t, index_open(&y, path, false, &e) == 0, "%s", e.msg);
	index_count(y, &c);
	CHECK_MSG(t, c.in_lists == ROWS && c.lists == LISTS && c.probes < LISTS && c.recall >= IVF_RECALL,
	          "%zu of %zu lists, recall %g", c.probes, c.lists, c.recall);
	struct index_query q = { .vector = query, .top_k = TOP, .mmr = 1, .retriever = RETRIEVER_DENSE };
	for (int i = 0; i < 40; i++) {
		make_vector(query, 9000 + i);
		q.exact = true;
		CHECK(t, index_search(y, &q, pool, all) == TOP);
		q.exact = false;
		CHECK(t, index_search(y, &q, pool, some) == TOP);
		for (size_t a = 0; a < TOP; a++)
			for (size_t b = 0; b < TOP; b++)
				same += all[a].chunk == some[b].chunk;
	}
	CHECK_MSG(t, same > 40 * TOP * 85 / 100, "%zu of %d found", same, 40 * TOP);
	make_vector(query, ROWS + 1);
	CHECK(t, index_search(y, &q, pool, some) && some[0].chunk == ROWS + 1);
	make_vector(query, 7);
	CHECK(t, index_search(y, &q, pool, some) && some[0].chunk != 7);
	index_close(y);
	for (int i = 0; i < ROWS; i += 2) {
		char id[16];
		snprintf(id, sizeof(id), "d%d", i);
		CHECK(t, index_remove(x, id, &there, &e) == 0);
	}
	CHECK(t, index_commit(x, &e) == 0 && index_tidy(x, pool, &e) == 0);
	CHECK_MSG(t, index_open(&y, path, false, &e) == 0, "%s", e.msg);
	index_count(y, &c);
	CHECK(t, c.dead == 0 && c.in_lists == c.chunks && c.lists == LISTS);
	index_close(y);
	index_close(x);
	CHECK(t, io_write(file, "kfivf001 and little else, no lists", 33, &e) == 0);
	CHECK(t, index_open(&y, path, false, &e) < 0 && strstr(e.msg, "no lists of these vectors"));
	pool_free(pool);
	mem_free(path);
	mem_free(file);
	mem_free(next);
}

static void check_rank_scores(struct test *t)
{
	const double found[] = { 0, 2, 0, 1 }, ideal[] = { 1, 2, 3 };

	test_case(t, "rank scores, as trec_eval has them");
	CHECK(t, fabs(rank_ndcg(found, 4, ideal, 3,
	                        10) - (2 / log2(3) + 1 / log2(5)) / (3 + 2 / log2(3) + 1.0 / 2)) < 1e-12);
	CHECK(t, fabs(rank_recall(found, 4, ideal, 3, 3) - 1.0 / 3) < 1e-12);
	CHECK(t, fabs(rank_mrr(found, 4, 10) - 0.5) < 1e-12 && rank_mrr(found, 4, 1) == 0);
	CHECK(t, rank_ndcg(NULL, 0, ideal, 3, 10) == 0);
}

void test_index(struct test *t)
{
	check_changes(t);
	check_watched(t);
	check_killed(t);
	check_behind(t);
	for (int kind = 0; kind < VECTORS_KINDS; kind++)
		check_vectors(t, (enum vectors_kind)kind);
	check_lists(t);
	check_rank_scores(t);
}
