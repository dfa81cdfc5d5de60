/* index remove: documents out of an index, by their ids. */
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "retrieve/index.h"

struct remove_options { struct common common; };

static const struct opt remove_opts[] = { COMMON_OPTS(struct remove_options, common), OPT_END };

static int drop(struct app *app, struct index *x, const struct opt_parse *p, size_t *n, struct err *e)
{
	for (size_t i = 1; i < p->n_positional; i++) {
		bool there;
		if (index_remove(x, p->positional[i], &there, e) < 0)
			return -1;
		if (!there)
			return err_set(e, "%s has no document '%.80s'; nothing was removed", p->positional[0],
			               p->positional[i]);
		++*n;
	}
	return index_commit(x, e) < 0 ? -1 : index_tidy(x, app->pool, e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct index *x;
	size_t n = 0;
	(void)options;

	if (index_open(&x, p->positional[0], true, e) < 0)
		return -1;
	int status = drop(app, x, p, &n, e);
	index_close(x);
	if (status < 0)
		return -1;
	metering_out("index", p->positional[0]);
	app_summary(app, json_pack("{s:o, s:I}", "index", jsonx_path(p->positional[0]), "removed", (json_int_t)n));
	if (!app->json)
		app_print("%s: %zu documents removed\n", p->positional[0], n);
	return 0;
}

const struct command cmd_index_remove = {
	.name = "index remove",
	.summary = "documents out of an index, by their ids",
	.usage = "docs.db ID…",
	.example = "kungfu index remove docs.db notes/old.md",
	.order = 24,
	.opts = remove_opts,
	.options_size = sizeof(struct remove_options),
	.least = 2, .most = SIZE_MAX, .wanted = "an index and ids of documents were wanted",
	.run = run,
};
