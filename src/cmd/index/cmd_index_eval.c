/* index eval: how well an index finds what is relevant, by queries and judgements in BEIR's form: nDCG@10, recall@100
 * and MRR@10 (retrieve/rank_scores.h), of each way to search that the index has, and what the others gain over BM25 on
 * the same queries. A document stands where its first chunk does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/index/index_embedder.h"
#include "cmd/index/index_queries.h"
#include "cmd/metering.h"
#include "cmd/text_table.h"
#include "eval/statistics.h"
#include "retrieve/rank_scores.h"

extern const struct command cmd_index_eval;

enum { NDCG, RECALL, MRR, MEASURES, SHORT = 10, DEEP = 100, CHUNKS_A_DOCUMENT = 5 };

struct eval_options {
	struct common common;
	const char *queries, *qrels, *retriever, *embedder, *compute;
	bool exact;
};

static const struct opt eval_opts[] = {
	OPT_STRING("queries", struct eval_options, queries, NULL, "FILE", "rows of `_id` and `text`"),
	OPT_STRING("qrels", struct eval_options, qrels, NULL, "FILE",
	           "what is relevant: query-id, corpus-id, score (BEIR), or TREC's four columns"),
	OPT_CHOICE("retriever", struct eval_options, retriever, "all", "all|bm25|dense|hybrid", "which way to search"),
	OPT_FLAG("exact", struct eval_options, exact, "false",
	         "all vectors are looked at, where they lie in lists too"),
	OPT_STRING("embedder", struct eval_options, embedder, NULL, "MODEL",
	           "where the index's embedder is now (default: where it was)"),
	COMPUTE_OPT(struct eval_options, compute, "f32"),
	COMMON_OPTS(struct eval_options, common),
	OPT_END
};

static const char *const measure_names[MEASURES] = { [NDCG] = "ndcg@10", [RECALL] = "recall@100", [MRR] = "mrr@10" };

struct way {                            /* one retriever's */
	enum retriever retriever;
	double *value[MEASURES];        /* [n] of each judged query */
	double seconds;
};

struct job {
	struct app *app;
	const struct eval_options *o;
	struct index *index;
	struct index_embedder embedder;
	struct queries queries;
	json_t *qrels;                  /* {query: {document: relevance}} */
	size_t *judged, n;              /* queries that have something relevant */
	struct way way[RETRIEVERS];
	size_t n_ways;
};

/* --- judgements --- */

/* A line's columns, by tabs where there are some, else by white space; returns how many. */
static size_t split(char *line, char *column[4])
{
	const char *by = strchr(line, '\t') ? "\t\r" : " \r";
	char *rest = NULL;
	size_t n = 0;

	for (char *s = strtok_r(line, by, &rest); s && n < 4; s = strtok_r(NULL, by, &rest))
		column[n++] = s;
	return n;
}

static int take_line(struct job *j, char *line, size_t number, struct err *e)
{
	char *column[4], *end;
	size_t n = split(line, column);

	if (!n)
		return 0;
	double score = n >= 3 ? strtod(column[n - 1], &end) : 0;
	bool is_number = n >= 3 && end != column[n - 1] && !*end && isfinite(score);
	if (!is_number && number == 1)
		return 0; /* the names of the columns */
	if (!is_number)
		return err_set(e, "%s:%zu: query-id, corpus-id and a score were wanted", j->o->qrels, number);
	json_t *of = json_object_get(j->qrels, column[0]);
	if (!of) {
		of = json_object();
		json_object_set_new(j->qrels, column[0], of);
	}
	json_object_set_new(of, column[n - 2], json_real(score));
	return 0;
}

static int read_qrels(struct job *j, struct err *e)
{
	struct buf text = BUF_INIT;
	char *rest = NULL;
	size_t number = 1;
	int status = io_read_gz(&text, j->o->qrels, e);

	j->qrels = json_object();
	if (status == 0 && text.len)
		for (char *line = strtok_r(text.data, "\n", &rest); line && status == 0;
		     line = strtok_r(NULL, "\n", &rest))
			status = take_line(j, line, number++, e);
	buf_release(&text);
	return status;
}

static size_t relevant(const json_t *of, double *out)
{
	const char *id;
	json_t *score;
	size_t n = 0;

	json_object_foreach((json_t *)(uintptr_t)of, id, score)
		if (json_real_value(score) > 0) {
			if (out)
				out[n] = json_real_value(score);
			n++;
		}
	return n;
}

static int choose_queries(struct job *j, struct err *e)
{
	j->judged = mem_array(j->queries.n + 1, sizeof(*j->judged));
	for (size_t i = 0; i < j->queries.n; i++)
		if (relevant(json_object_get(j->qrels, j->queries.items[i].id), NULL))
			j->judged[j->n++] = i;
	if (!j->n)
		return err_set(e, "%s says of no query of %s what is relevant", j->o->qrels, j->o->queries);
	if (j->n < j->queries.n)
		log_say("%zu of %zu queries have nothing relevant and are left out", j->queries.n - j->n, j->queries.n);
	return 0;
}

/* --- a query --- */

/* Relevance of each document in the order of its first chunk; returns how many. */
static int rank_documents(struct job *j, const struct index_hit *hits, size_t n, const json_t *of, double *found,
                          size_t *n_found, struct err *e)
{
	json_t *seen = json_object();
	int status = 0;

	*n_found = 0;
	for (size_t i = 0; i < n && *n_found < DEEP && status == 0; i++) {
		struct arena mem = ARENA_INIT;
		struct index_text t;
		status = index_fetch(j->index, hits[i].chunk, &mem, &t, e);
		if (status == 0 && !json_object_get(seen, t.id)) {
			json_object_set_new(seen, t.id, json_true());
			found[(*n_found)++] = json_real_value(json_object_get(of, t.id));
		}
		arena_release(&mem);
	}
	json_decref(seen);
	return status;
}

static int judge(struct job *j, struct way *w, size_t i, struct index_hit *hits, struct err *e)
{
	const struct query *q = &j->queries.items[j->judged[i]];
	const json_t *of = json_object_get(j->qrels, q->id);
	size_t width = (size_t)index_settings(j->index)->width, m = relevant(of, NULL), n_found,
	       k = DEEP * (size_t)(index_settings(j->index)->chunk_tokens ? CHUNKS_A_DOCUMENT : 1);
	const struct index_query iq = { .text = q->text, .n = q->n, .retriever = w->retriever, .top_k = k, .mmr = 1,
		                        .exact = j->o->exact,
		                        .vector = j->queries.vectors ? j->queries.vectors + j->judged[i] * width :
			NULL };
	double *ideal = mem_array(m + 1, sizeof(*ideal)), *found = mem_array(DEEP, sizeof(*found));
	double began = clock_seconds();
	size_t n = index_search(j->index, &iq, j->app->pool, hits);

	w->seconds += clock_seconds() - began;
	relevant(of, ideal);
	int status = rank_documents(j, hits, n, of, found, &n_found, e);
	w->value[NDCG][i] = rank_ndcg(found, n_found, ideal, m, SHORT);
	w->value[RECALL][i] = rank_recall(found, n_found, ideal, m, DEEP);
	w->value[MRR][i] = rank_mrr(found, n_found, SHORT);
	mem_free(ideal);
	mem_free(found);
	return status;
}

static int judge_all(struct job *j, enum retriever retriever, struct err *e)
{
	struct way *w = &j->way[j->n_ways++];
	struct index_hit *hits = mem_array(DEEP * CHUNKS_A_DOCUMENT, sizeof(*hits));
	int status = 0;

	*w = (struct way){ .retriever = retriever };
	for (int k = 0; k < MEASURES; k++)
		w->value[k] = mem_array(j->n + 1, sizeof(double));
	for (size_t i = 0; i < j->n && status == 0; i++)
		status = metering_over() ? err_set(e, "interrupted after %zu of %zu queries", i, j->n) :
		                           judge(j, w, i, hits, e);
	mem_free(hits);
	return status;
}

/* --- what came of it --- */

static struct estimate gain(const struct job *j, const struct way *w, int k)
{
	double *x = mem_array(j->n + 1, sizeof(*x));

	for (size_t i = 0; i < j->n; i++)
		x[i] = w->value[k][i] - j->way[0].value[k][i];
	struct estimate out = estimate_mean(x, j->n);
	mem_free(x);
	return out;
}

static bool has_gain(const struct job *j, const struct way *w)
{
	return w != &j->way[0] && j->way[0].retriever == RETRIEVER_BM25;
}

static json_t *way_json(const struct job *j, const struct way *w)
{
	json_t *out = json_pack("{s:s}", "retriever", retriever_names[w->retriever]);

	for (int k = 0; k < MEASURES; k++) {
		struct estimate x = estimate_mean(w->value[k], j->n), g = gain(j, w, k);
		char *name = mem_printf("%s_gain", measure_names[k]);
		put_estimate(out, measure_names[k], &x);
		if (has_gain(j, w))
			put_estimate(out, name, &g);
		mem_free(name);
	}
	json_object_set_new(out, "queries_per_second", jsonx_number((double)j->n / w->seconds));
	return out;
}

static void show(const struct job *j)
{
	struct table t = { .columns = 6, .right = 0x3E };
	struct buf out = BUF_INIT;

	app_print("%s: %zu queries\n", j->o->queries, j->n);
	table_cell(&t, "%s", "");
	for (int k = 0; k < MEASURES; k++)
		table_cell(&t, "%s", measure_names[k]);
	table_cell(&t, "ndcg@10 over bm25");
	table_cell(&t, "queries/s");
	for (size_t i = 0; i < j->n_ways; i++) {
		const struct way *w = &j->way[i];
		struct estimate g = gain(j, w, NDCG);
		table_cell(&t, "%s", retriever_names[w->retriever]);
		for (int k = 0; k < MEASURES; k++) {
			struct estimate x = estimate_mean(w->value[k], j->n);
			table_cell(&t, "%.4f ± %.4f", x.mean, x.stderr_);
		}
		if (has_gain(j, w))
			table_cell(&t, "%+.4f (%+.4f to %+.4f)", g.mean, g.low, g.high);
		else
			table_cell(&t, "–");
		table_cell(&t, "%.0f", (double)j->n / w->seconds);
	}
	table_write(&out, &t, "  ");
	app_print("%s", buf_str(&out));
	buf_release(&out);
	table_release(&t);
}

static void report(const struct job *j, const char *path)
{
	for (size_t i = 0; i < j->n_ways && j->app->json; i++) {
		json_t *line = way_json(j, &j->way[i]);
		app_json(line);
		json_decref(line);
	}
	json_t *out = way_json(j, &j->way[j->n_ways - 1]);
	json_object_set_new(out, "index", jsonx_path(path));
	json_object_set_new(out, "queries", json_integer((json_int_t)j->n));
	app_summary(j->app, out);
	if (!j->app->json)
		show(j);
}

/* --- the whole --- */

static int evaluate_all(struct job *j, const char *path, struct err *e)
{
	const struct eval_options *o = j->o;
	bool all = !strcmp(o->retriever, "all");
	enum retriever one = RETRIEVER_BM25;

	if (index_open(&j->index, path, false, e) < 0 || queries_read(&j->queries, o->queries, e) < 0 ||
	    read_qrels(j, e) < 0 || choose_queries(j, e) < 0 ||
	    (!all && retriever_of(o->retriever, j->index, &one, e) < 0))
		return -1;
	metering_in("index", path, NULL);
	metering_in("queries", o->queries, NULL);
	bool vectors = index_settings(j->index)->width && (all || one != RETRIEVER_BM25);
	if (!vectors && o->embedder)
		return err_set(e, QUERIES_WANT_NO_EMBEDDER);
	if (vectors && (index_embedder_of(&j->embedder, j->app, j->index, o->embedder, o->compute, 2048, e) < 0 ||
	                queries_embed(&j->queries, &j->embedder, e) < 0))
		return -1;
	metering_phase("search");
	for (int r = 0; r < RETRIEVERS; r++)
		if ((all ? r == RETRIEVER_BM25 || vectors : r == (int)one) && judge_all(j, (enum retriever)r, e) < 0)
			return -1;
	report(j, path);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct job j = { .app = app, .o = options };

	app_catch_signals();
	if (!j.o->queries || !j.o->qrels)
		return app_usage(&cmd_index_eval, "--queries FILE and --qrels FILE were wanted");
	int status = evaluate_all(&j, p->positional[0], e);
	for (size_t i = 0; i < j.n_ways; i++)
		for (int k = 0; k < MEASURES; k++)
			mem_free(j.way[i].value[k]);
	json_decref(j.qrels);
	mem_free(j.judged);
	queries_release(&j.queries);
	index_embedder_close(&j.embedder);
	index_close(j.index);
	return status;
}

const struct command cmd_index_eval = {
	.name = "index eval",
	.summary = "how well an index finds what is relevant: nDCG, recall and MRR of each way to search",
	.usage = "docs.db --queries FILE --qrels FILE",
	.example = "kungfu index eval docs.db --queries q --qrels r",
	.order = 27,
	.opts = eval_opts,
	.options_size = sizeof(struct eval_options),
	.least = 1, .most = 1, .wanted = "one index was wanted",
	.run = run,
};
