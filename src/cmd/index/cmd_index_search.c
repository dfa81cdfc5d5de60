/* index search: the chunks of an index that answer a query best, or those of many. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/term.h"
#include "cmd/index/index_embedder.h"
#include "cmd/index/index_queries.h"
#include "cmd/metering.h"

extern const struct command cmd_index_search;

enum { SHOWN_COLUMNS = 100 };

struct search {
	struct common common;
	const char *queries, *retriever, *embedder, *compute;
	struct opt_list filter;
	int64_t top_k;
	double mmr;
	bool texts, exact;
};

static const struct opt search_opts[] = {
	OPT_STRING("queries", struct search, queries, NULL, "FILE",
	           "rows of `_id` and `text`: a line each comes of them"),
	OPT_INT("top-k", struct search, top_k, "10", 1, 1 << 20, "so many chunks a query"),
	OPT_CHOICE("retriever", struct search, retriever, "auto", "auto|bm25|dense|hybrid",
	           "words, vectors, or both by reciprocal ranks (auto: hybrid where the index has vectors)"),
	OPT_FLOAT("mmr", struct search, mmr, "1", 0, 1,
	          "below 1: chunks that are like one before come later (maximal marginal relevance, lambda)"),
	OPT_LIST("filter", struct search, filter, "FIELD=VALUE",
	         "only documents of which this is so, before the search; id, title and source are fields too"),
	OPT_FLAG("exact", struct search, exact, "false", "all vectors are looked at, where they lie in lists too"),
	OPT_FLAG("texts", struct search, texts, "false", "--json has each chunk's text too"),
	OPT_STRING("embedder", struct search, embedder, NULL, "MODEL",
	           "where the index's embedder is now (default: where it was)"),
	COMPUTE_OPT(struct search, compute, "f32"),
	COMMON_OPTS(struct search, common),
	OPT_END
};

struct job {
	struct app *app;
	const struct search *o;
	struct index *index;
	struct index_embedder embedder;
	struct queries queries;
	enum retriever retriever;
	uint8_t *allowed;
	struct index_hit *hits;
	double seconds;
	size_t found;
};

/* Chunks of which every filter is so. */
static int filter(struct job *j, struct err *e)
{
	size_t n = index_places(j->index);
	uint8_t *one = mem_array(n + 1, 1);
	int status = 0;

	for (size_t i = 0; i < j->o->filter.n && status == 0; i++) {
		char *field = mem_strdup(j->o->filter.items[i]), *value = strchr(field, '=');
		if (!value)
			status = err_set(e, "--filter %s: FIELD=VALUE was wanted", field);
		if (value)
			*value++ = 0;
		if (status == 0)
			status = index_filter(j->index, field, value, one, e);
		if (!j->allowed) {
			j->allowed = mem_array(n + 1, 1);
			memset(j->allowed, 1, n);
		}
		for (size_t k = 0; k < n; k++)
			j->allowed[k] &= one[k];
		mem_free(field);
	}
	mem_free(one);
	return status;
}

static void show_hit(size_t rank, const struct index_hit *h, const struct index_text *t)
{
	size_t n = term_fit(t->text, strcspn(t->text, "\n"), SHOWN_COLUMNS);

	app_print("%3zu  %8.4f  %s", rank, h->score, t->id);
	if (t->of > 1)
		app_print("  chunk %d of %d", t->place + 1, t->of);
	app_print("\n     ");
	app_text(t->text, n);
	app_print("\n");
}

static json_t *hit_json(const struct job *j, const struct index_hit *h, const struct index_text *t)
{
	json_t *out = json_pack("{s:s, s:f}", "id", t->id, "score", h->score);

	if (t->of > 1)
		json_object_set_new(out, "chunk", json_integer(t->place));
	if (j->o->texts)
		json_object_set_new(out, "text", json_string(t->text));
	return out;
}

static int tell(struct job *j, const struct query *q, size_t n, struct err *e)
{
	json_t *results = json_array();
	int status = 0;

	if (!j->app->json && j->o->queries)
		app_print("%s: %s\n", q->id, q->text);
	for (size_t i = 0; i < n && status == 0; i++) {
		struct arena mem = ARENA_INIT;
		struct index_text t;
		status = index_fetch(j->index, j->hits[i].chunk, &mem, &t, e);
		if (status == 0 && j->app->json)
			json_array_append_new(results, hit_json(j, &j->hits[i], &t));
		else if (status == 0)
			show_hit(i + 1, &j->hits[i], &t);
		arena_release(&mem);
	}
	json_t *line = json_pack("{s:s, s:O}", "query_id", q->id, "results", results);
	if (status == 0 && j->app->json)
		app_json(line);
	json_decref(line);
	json_decref(results);
	return status;
}

static int search_all(struct job *j, struct err *e)
{
	size_t width = (size_t)index_settings(j->index)->width;
	int status = 0;

	metering_phase("search");
	j->hits = mem_array((size_t)j->o->top_k, sizeof(*j->hits));
	for (size_t i = 0; i < j->queries.n && status == 0; i++) {
		const struct query *q = &j->queries.items[i];
		const struct index_query iq = { .text = q->text, .n = q->n, .retriever = j->retriever,
			                        .vector = j->queries.vectors ? j->queries.vectors + i * width : NULL,
			                        .top_k = (size_t)j->o->top_k, .allowed = j->allowed, .mmr = j->o->mmr,
			                        .exact = j->o->exact };
		double began = clock_seconds();
		size_t n = index_search(j->index, &iq, j->app->pool, j->hits);
		j->seconds += clock_seconds() - began;
		j->found += n;
		status = metering_over() ? err_set(e, "interrupted after %zu of %zu queries", i, j->queries.n) :
		                           tell(j, q, n, e);
	}
	return status;
}

static int open_all(struct job *j, const char *path, struct err *e)
{
	const struct search *o = j->o;

	if (index_open(&j->index, path, false, e) < 0 || retriever_of(o->retriever, j->index, &j->retriever, e) < 0)
		return -1;
	metering_in("index", path, NULL);
	if (o->mmr < 1 && !index_settings(j->index)->width)
		return err_set(e, "--mmr tells chunks apart by vectors, and the index has words alone");
	if (filter(j, e) < 0)
		return -1;
	if (j->retriever == RETRIEVER_BM25)
		return o->embedder ? err_set(e, QUERIES_WANT_NO_EMBEDDER) : 0;
	if (index_embedder_of(&j->embedder, j->app, j->index, o->embedder, o->compute, 2048, e) < 0)
		return -1;
	return queries_embed(&j->queries, &j->embedder, e);
}

static int search(struct job *j, const char *path, const char *text, struct err *e)
{
	if (text)
		queries_add(&j->queries, "0", text);
	else if (queries_read(&j->queries, j->o->queries, e) < 0)
		return -1;
	if (open_all(j, path, e) < 0 || search_all(j, e) < 0)
		return -1;
	app_summary(j->app, json_pack("{s:o, s:s, s:I, s:I, s:f, s:o}", "index", jsonx_path(path), "retriever",
	                              retriever_names[j->retriever], "queries", (json_int_t)j->queries.n, "results",
	                              (json_int_t)j->found, "search_seconds", j->seconds, "queries_per_second",
	                              jsonx_number((double)j->queries.n / j->seconds)));
	if (!j->app->json && !j->found)
		log_say("nothing was found");
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct job j = { .app = app, .o = options };
	const char *text = p->n_positional > 1 ? p->positional[1] : NULL;

	app_catch_signals();
	if (!text == !j.o->queries)
		return app_usage(&cmd_index_search, "a text, or --queries FILE, was wanted");
	int status = search(&j, p->positional[0], text, e);
	index_embedder_close(&j.embedder);
	queries_release(&j.queries);
	mem_free(j.allowed);
	mem_free(j.hits);
	index_close(j.index);
	return status;
}

const struct command cmd_index_search = {
	.name = "index search",
	.summary = "what of an index answers a query best, by words, by vectors or by both",
	.usage = "docs.db TEXT | --queries FILE [--top-k N]",
	.example = "kungfu index search docs.db \"wing flutter\"",
	.order = 26,
	.opts = search_opts,
	.options_size = sizeof(struct search),
	.least = 1, .most = 2, .wanted = "an index and a text were wanted",
	.run = run,
};
