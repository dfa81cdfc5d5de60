/* index add: documents into an index that is there: new ones, and those whose text is another now. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/index/index_adding.h"
#include "cmd/index/index_embedder.h"
#include "cmd/metering.h"

struct add {
	struct common common;
	const char *embedder, *compute;
	int64_t micro_batch_tokens, memory;
	struct guarding_options guard;
};

static const struct opt add_opts[] = {
	OPT_STRING("embedder", struct add, embedder, NULL, "MODEL",
	           "where the index's embedder is now (default: where it was)"),
	OPT_INT("micro-batch-tokens", struct add, micro_batch_tokens, "2048", 2, 1 << 22,
	        "tokens that the embedder computes at once"),
	OPT_BYTES("memory", struct add, memory, NULL,
	          "takes at most so much, as 500MB: documents are committed more often, or it refuses"),
	COMPUTE_OPT(struct add, compute, "f32"),
	GUARD_OPTS(struct add, guard),
	COMMON_OPTS(struct add, common),
	OPT_END
};

static int fill(struct app *app, const struct add *o, struct index *x, struct opt_parse *p, struct err *e)
{
	struct index_embedder embedder = { 0 };
	struct guarding guarding = { 0 };
	struct index_adding a = { .app = app, .index = x, .guarding = &guarding, .commit_bytes = INDEX_COMMIT,
		                  .memory = index_memory(o->memory) };
	double began = 0;
	int status = guarding_open(&guarding, app, &o->guard, e);
	if (status == 0)
		status = index_embedder_of(&embedder, app, x, o->embedder, o->compute, o->micro_batch_tokens, e);

	if (status >= 0) {
		a.embedder = status ? &embedder : NULL;
		status = index_surveyed(&a, index_settings(x), p->positional + 1, p->n_positional - 1, e);
		began = clock_seconds();
	}
	if (status == 0)
		status = index_add_paths(&a, p->positional + 1, p->n_positional - 1, e);
	index_embedder_close(&embedder);
	if (status == 0)
		status = index_adding_report(&a, p->positional[0], clock_seconds() - began, e);
	guarding_close(&guarding);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct index *x;

	app_catch_signals();
	if (index_open(&x, p->positional[0], true, e) < 0)
		return -1;
	int status = fill(app, options, x, p, e);
	index_close(x);
	return status;
}

const struct command cmd_index_add = {
	.name = "index add",
	.summary = "documents into an index: new ones, and those that are others now",
	.usage = "docs.db FILE|DIR…",
	.example = "kungfu index add docs.db more.jsonl",
	.plans = true,
	.order = 23,
	.opts = add_opts,
	.options_size = sizeof(struct add),
	.least = 2, .most = SIZE_MAX, .wanted = "an index and files or folders of documents were wanted",
	.run = run,
};
