/* index show: what an index is, and which documents it has. */
#include <math.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "retrieve/index.h"

struct show {
	struct common common;
	bool documents;
};

static const struct opt show_opts[] = {
	OPT_FLAG("documents", struct show, documents, "false", "a line a document: id, chunks, title"),
	COMMON_OPTS(struct show, common),
	OPT_END
};

static int see(void *ctx, const char *id, const char *title, const char *source, int chunks)
{
	const struct app *app = ctx;

	if (app->json) {
		json_t *line = json_pack("{s:s, s:s?, s:s?, s:i}", "id", id, "title", title, "source", source, "chunks",
		                         chunks);
		app_json(line);
		json_decref(line);
	} else {
		app_print("%s  %d  %s\n", id, chunks, title ? title : "");
	}
	return app_interrupted();
}

static void tell(struct app *app, const char *path, struct index *x)
{
	const struct index_settings *s = index_settings(x);
	struct index_counts c;
	char size[32];

	index_count(x, &c);
	app_summary(app, json_pack("{s:o, s:I, s:I, s:I, s:I, s:f, s:I, s:i, s:i, s:s?, s:s?, s:i, s:s, s:s?, "
	                           "s:I, s:I, s:I, s:o}", "index",
	                           jsonx_path(path), "documents", (json_int_t)c.documents, "chunks",
		(json_int_t)c.chunks,
	                           "dead_chunks", (json_int_t)c.dead, "segments", (json_int_t)c.segments, "words",
		c.words,
	                           "bytes", (json_int_t)c.bytes, "chunk_tokens", s->chunk_tokens, "overlap", s->overlap,
	                           "embedder", s->embedder, "embedder_hash", s->embedder_hash, "width", s->width,
		"bm25",
	                           INDEX_BM25, "vectors", s->width ? vectors_names[s->vectors] : NULL,
	                           "ivf_lists", (json_int_t)c.lists, "ivf_probes", (json_int_t)c.probes, "ivf_chunks",
	                           (json_int_t)c.in_lists, "ivf_recall", jsonx_number(c.lists ? c.recall : NAN)));
	if (app->json)
		return;
	human_bytes(c.bytes, size);
	app_print("%s: %zu documents, %zu chunks%s", path, c.documents, c.chunks,
	          s->chunk_tokens ? "" : ", one a document");
	if (s->chunk_tokens)
		app_print(" of %d tokens, %d of them shared", s->chunk_tokens, s->overlap);
	app_print("\n  %.0f words in %zu segments, %s beside it", c.words, c.segments, size);
	if (c.dead)
		app_print(", %zu chunks that were removed", c.dead);
	app_print("\n  BM25 (%s)\n", INDEX_BM25);
	if (s->embedder)
		app_print("  vectors of %d numbers (%s) by %s\n", s->width, vectors_names[s->vectors], s->embedder);
	if (c.lists)
		app_print("  %zu of them in %zu lists, of which a search looks at %zu: recall of the ten best %.3f, "
		          "measured\n", c.in_lists, c.lists, c.probes, c.recall);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct show *o = options;
	struct index *x;

	app_catch_signals();
	if (index_open(&x, p->positional[0], false, e) < 0)
		return -1;
	int status = o->documents ? index_each(x, see, app, e) : 0;
	if (status == 0)
		tell(app, p->positional[0], x);
	index_close(x);
	return status;
}

const struct command cmd_index_show = {
	.name = "index show",
	.summary = "what an index is, and which documents it has",
	.usage = "docs.db [--documents]",
	.example = "kungfu index show docs.db",
	.looks = true,
	.order = 25,
	.opts = show_opts,
	.options_size = sizeof(struct show),
	.least = 1, .most = 1, .wanted = "one index was wanted",
	.run = run,
};
