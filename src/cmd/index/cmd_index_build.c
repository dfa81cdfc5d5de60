/* index build: a new index (retrieve/index.h) of files and folders. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/index/index_adding.h"
#include "cmd/index/index_embedder.h"
#include "cmd/metering.h"

extern const struct command cmd_index_build;

struct build {
	struct common common;
	const char *out, *embedder, *vectors, *compute;
	int64_t chunk_tokens, overlap, micro_batch_tokens, memory, ivf_lists;
	struct guarding_options guard;
};

static const struct opt build_opts[] = {
	OPT_GROUP("What is built"),
	OPT_STRING("out", struct build, out, NULL, "docs.db", "the index; its words and vectors lie beside it"),
	OPT_STRING("embedder", struct build, embedder, NULL, "MODEL",
	           "makes vectors too, for --retriever dense and hybrid (default: words alone, BM25)"),
	OPT_CHOICE("vectors", struct build, vectors, "int8", "int8|f16",
	           "how vectors are kept: in a byte a number, or in two, nearly exact"),
	OPT_INT("ivf-lists", struct build, ivf_lists, NULL, 0, 1 << 20,
	        "vectors lie in so many lists, of which a search looks at the nearest (default: 2·√n of n beyond "
	        "2 million; 0: it looks at all)"),
	OPT_INT("chunk-tokens", struct build, chunk_tokens, "256", 0, 1 << 20,
	        "a document is cut into pieces of so many tokens, or words without an embedder; 0: it is one piece"),
	OPT_INT("overlap", struct build, overlap, "32", 0, 1 << 20, "tokens that a piece has of the one before"),
	OPT_GROUP("How"),
	OPT_INT("micro-batch-tokens", struct build, micro_batch_tokens, "2048", 2, 1 << 22,
	        "tokens that the embedder computes at once"),
	OPT_BYTES("memory", struct build, memory, NULL,
	          "takes at most so much, as 500MB: documents are committed more often, or it refuses"),
	COMPUTE_OPT(struct build, compute, "f32"),
	GUARD_OPTS(struct build, guard),
	COMMON_OPTS(struct build, common),
	OPT_END
};

/* A build that stored nothing leaves nothing. */
static int fill(struct index_adding *a, const struct build *o, const struct opt_parse *p, struct err *e)
{
	struct index_counts c;
	double began = clock_seconds();

	if (index_open(&a->index, o->out, true, e) < 0)
		return -1;
	int status = index_add_paths(a, p->positional, p->n_positional, e);
	index_count(a->index, &c);
	index_close(a->index);
	if (status < 0 && !c.documents)
		index_discard(o->out);
	return status < 0 ? -1 : index_adding_report(a, o->out, clock_seconds() - began, e);
}

static int build(struct app *app, const struct build *o, struct index_embedder *x, struct guarding *guarding,
                 const struct opt_parse *p, struct err *e)
{
	struct index_settings s = { .chunk_tokens = (int)o->chunk_tokens, .overlap = (int)o->overlap,
		                    .embedder = o->embedder };
	struct index_adding a = { .app = app, .guarding = guarding,
		                  .embedder = o->embedder ? x : NULL, .commit_bytes = INDEX_COMMIT,
		                  .memory = index_memory(o->memory) };

	if (index_is_there(o->out, e) < 0 ||
	    (o->embedder && index_embedder_open(x, app, o->embedder, o->compute, o->micro_batch_tokens, e) < 0))
		return -1;
	s.width = (int)x->width;
	s.ivf_lists = o->ivf_lists == OPT_UNSET_INT ? INDEX_IVF_AUTO : (int)o->ivf_lists;
	s.vectors = !strcmp(o->vectors, vectors_names[VECTORS_F16]) ? VECTORS_F16 : VECTORS_INT8;
	s.embedder_hash = o->embedder ? x->hash : NULL;
	if (index_surveyed(&a, &s, p->positional, p->n_positional, e) < 0 || index_create(o->out, &s, e) < 0)
		return -1;
	return fill(&a, o, p, e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct build *o = options;
	struct index_embedder x = { 0 };

	app_catch_signals();
	if (!o->out)
		return app_usage(&cmd_index_build, "--out docs.db was wanted");
	if (!o->embedder && strcmp(o->vectors, vectors_names[VECTORS_INT8]) != 0)
		return app_usage(&cmd_index_build, "--vectors is of --embedder");
	if (!o->embedder && o->ivf_lists != OPT_UNSET_INT)
		return app_usage(&cmd_index_build, "--ivf-lists are of --embedder");
	if (o->chunk_tokens && o->overlap >= o->chunk_tokens)
		return app_usage(&cmd_index_build, "--overlap %lld is no less than --chunk-tokens %lld",
		                 (long long)o->overlap, (long long)o->chunk_tokens);
	struct guarding guarding;
	int status = guarding_open(&guarding, app, &o->guard, e);
	if (status == 0)
		status = build(app, o, &x, &guarding, p, e);
	index_embedder_close(&x);
	guarding_close(&guarding);
	return status;
}

const struct command cmd_index_build = {
	.name = "index build",
	.summary = "an index of documents, searched by their words and by an embedder's vectors",
	.usage = "FILE|DIR… --out docs.db [--embedder MODEL]",
	.example = "kungfu index build notes --out docs.db",
	.plans = true,
	.order = 22,
	.opts = build_opts,
	.options_size = sizeof(struct build),
	.least = 1, .most = SIZE_MAX, .wanted = "files or folders of documents were wanted",
	.run = run,
};
