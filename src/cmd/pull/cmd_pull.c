/* pull: a model from a hub into the cache that Hugging Face's tools share; other commands then take its name as MODEL.
 * Of datasets/ORG/NAME the files that rows are read from; their folder is told. */
#include <string.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/pull/hub.h"
#include "format/hub_cache.h"

extern const struct command cmd_pull;

#define WANTED "a model's name was wanted: ORG/NAME, ORG/NAME:FILE, or datasets/ORG/NAME of a data set"

struct pull {
	struct common common;
	const char *revision;
	struct opt_list include;
	int64_t connections;
};

static const struct opt pull_opts[] = {
	OPT_STRING("revision", struct pull, revision, "main", "NAME", "a branch, a tag or a commit"),
	OPT_LIST("include", struct pull, include, "PATTERN",
	         "only files of such names, as *.safetensors; may be given again (default: what a model, or rows, are "
	         "read from)"),
	OPT_INT("connections", struct pull, connections, "4", 1, 16, "files that are fetched beside each other"),
	COMMON_OPTS(struct pull, common), OPT_END
};

static void show(const struct app *app, const struct hub_result *r)
{
	char size[32];
	json_t *j = json_pack("{s:o, s:s, s:I, s:I, s:I}", "path", jsonx_path(r->path), "commit", r->commit, "files",
	                      (json_int_t)r->files, "fetched", (json_int_t)r->fetched, "bytes", (json_int_t)r->bytes);

	app_summary(app, j);
	if (app->json)
		return;
	app_print("%s\n%zu files, %zu of them fetched, %s\n", r->path, r->files, r->fetched,
	          human_bytes(r->bytes, size));
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct pull *o = options;
	bool dataset = !strncmp(p->positional[0], "datasets/", 9);
	const char *name = p->positional[0] + (dataset ? 9 : 0), *colon = strchr(name, ':');
	struct hub_result r;

	if (!hub_is_name(name))
		return app_usage(&cmd_pull, "%s", WANTED);
	char *repo = colon ? mem_strndup(name, (size_t)(colon - name)) : mem_strdup(name);
	const char **include = mem_array(o->include.n + 1, sizeof(*include));
	for (size_t i = 0; i < o->include.n; i++)
		include[i] = o->include.items[i];
	struct hub_wish w = { .name = repo,
		              .dataset = dataset,
		              .file = colon ? colon + 1 : NULL,
		              .revision = o->revision,
		              .include = o->include.n ? include : NULL,
		              .connections = (size_t)o->connections };
	app_catch_signals();
	int status = hub_pull(&w, &r, e);
	if (status == 0)
		show(app, &r);
	mem_free(r.path);
	mem_free(include);
	mem_free(repo);
	return status;
}

const struct command cmd_pull = {
	.name = "pull",
	.summary = "a model or data set from a hub, into the cache that others read too",
	.usage = "[datasets/]ORG/NAME[:FILE] [options]",
	.example = "kungfu pull HuggingFaceTB/SmolLM2-135M-Instruct",
	.brief = "a model from a hub",
	.order = 5,
	.looks = true,
	.opts = pull_opts,
	.options_size = sizeof(struct pull),
	.least = 1,
	.most = 1,
	.wanted = WANTED,
	.run = run,
};
