/* promote: an alias moves to a model only where every requirement holds, each by a bound of its own against what the
 * alias stands for now: its parent. Both are measured on the same rows, or were (cmd/promote/evidence.h). What moved
 * it, with bounds and hashes of the lines that they were counted from, stands in the alias file's history
 * (serve/aliases.h); a rollback is one command and measures nothing.
 *
 * Where the alias stands for nothing yet, the parent is the model that the run began from, or --parent. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/promote/judgement.h"
#include "cmd/text_table.h"
#include "serve/aliases.h"
#include "train/run_log.h"

extern const struct command cmd_promote;

struct promote {
	struct common common;
	const char *to, *require, *aliases, *adapter, *parent, *evidence, *compute;
	bool rollback, dry_run;
};

static const struct opt promote_opts[] = {
	OPT_STRING("to", struct promote, to, NULL, "NAME", "the alias"),
	OPT_STRING("require", struct promote, require, NULL, "FILE.yaml", "what must hold before it moves"),
	OPT_STRING("aliases", struct promote, aliases, "aliases.yaml", "FILE.yaml", "the aliases, as serve reads them"),
	ADAPTER_OPT(struct promote, adapter),
	OPT_STRING("parent", struct promote, parent, NULL, "MODEL",
	           "compared with where the alias stands for nothing yet"),
	OPT_STRING("evidence", struct promote, evidence, NULL, "DIR",
	           "keeps what came of every row (default: evidence, beside the aliases)"),
	OPT_FLAG("dry-run", struct promote, dry_run, "false", "measures and tells; nothing moves"),
	OPT_FLAG("rollback", struct promote, rollback, "false", "back to what it stood for before"),
	COMPUTE_OPT(struct promote, compute, "f32"),
	COMMON_OPTS(struct promote, common),
	OPT_END
};

/* What can be served: a model, or one with an adapter over it; paths are whole. */
struct target { char *path, *adapter; };

struct promotion {
	struct app *app;
	const struct promote *o;
	struct requirements wanted;
	struct target now, parent;     /* parent.path NULL: there is none */
	bool placed;                   /* the alias stands for something: the parent */
	char *folder;
	struct evidence *of_now, *of_parent; /* [wanted.n] */
	char hash[2][33], adapter_hash[2][33]; /* now, parent */
	struct check *checks;          /* [n] */
	size_t n, failed;
};

/* --- who is meant --- */

static void target_release(struct target *t)
{
	mem_free(t->path);
	mem_free(t->adapter);
	*t = (struct target){ 0 };
}

static char *whole(const char *path)
{
	char room[PATH_MAX];

	return mem_strdup(realpath(path, room) ? room : path);
}

static bool is_adapter(const char *path)
{
	char *config = io_join(path, "adapter_config.json");
	bool is = io_exists(config);

	mem_free(config);
	return is;
}

/* The model that a run began from, mem_free; NULL: it is no run, or its model has no file. */
static char *base_of_run(const char *path)
{
	struct err ignored = ERR_INIT;
	struct run_log l = { 0 };
	char *base = NULL;

	if (run_log_is(path) && run_log_open(&l, path, &ignored) == 0) {
		const char *model = json_string_value(json_object_get(l.recipe, "model"));
		base = model && io_exists(model) ? whole(model) : NULL;
	}
	run_log_release(&l);
	return base;
}

/* A MODEL as it was written, with or without --adapter; *base: what it was made from, where that is known. */
static int find_target(struct target *t, const char *path, const char *adapter, char **base, struct err *e)
{
	*t = (struct target){ 0 };
	*base = base_of_run(adapter ? adapter : path);
	if (!io_exists(path))
		return err_set(e, "%s: no such file or folder", path);
	if (adapter || is_adapter(path)) {
		if (!adapter && !*base)
			return err_set(e, "%s is an adapter, and which model it lies over is not known: kungfu promote "
			                  "MODEL --adapter %s", path, path);
		t->path = adapter ? whole(path) : mem_strdup(*base);
		t->adapter = whole(adapter ? adapter : path);
		mem_free(*base);
		*base = mem_strdup(t->path);
	} else {
		t->path = whole(path);
	}
	return 0;
}

static int find_parent(struct promotion *p, char **base, struct err *e)
{
	const struct promote *o = p->o;
	struct aliases a = { 0 };
	char *ignored = NULL;
	int status = io_exists(o->aliases) ? aliases_open(&a, o->aliases, e) : 0;
	const struct alias *alias = status == 0 ? aliases_find(&a, o->to) : NULL;

	p->placed = alias;
	if (alias && o->parent)
		status = err_set(e, "--parent: %s stands for %s, which is its parent", o->to, alias->path);
	else if (alias)
		p->parent = (struct target){ whole(alias->path), alias->adapter ? whole(alias->adapter) : NULL };
	else if (status == 0 && o->parent)
		status = find_target(&p->parent, o->parent, NULL, &ignored, e);
	else if (status == 0 && *base)
		p->parent.path = mem_strdup(*base);
	mem_free(ignored);
	aliases_close(&a);
	return status;
}

static bool same_target(const struct target *a, const struct target *b)
{
	return b->path && !strcmp(a->path, b->path) && !a->adapter == !b->adapter &&
	       (!a->adapter || !strcmp(a->adapter, b->adapter));
}

static bool compares(const struct promotion *p)
{
	for (size_t i = 0; i < p->wanted.n; i++)
		if (p->wanted.items[i].not_worse_than)
			return true;
	return false;
}

/* --- measuring --- */

/* One of the two, for all requirements that want it. */
static int measure(struct promotion *p, const struct target *t, struct evidence *of, int side, struct err *e)
{
	struct evidence_side s = { .app = p->app, .path = t->path, .adapter = t->adapter, .folder = p->folder,
		                   .compute = p->o->compute };
	int status = evidence_open(&s, e);

	if (status < 0)
		return -1;
	for (size_t i = 0; i < p->wanted.n && status == 0; i++)
		if (!side || p->wanted.items[i].not_worse_than)
			status = evidence_get(&of[i], &s, &p->wanted.items[i], e);
	memcpy(p->hash[side], s.hash, sizeof(s.hash));
	memcpy(p->adapter_hash[side], s.adapter_hash, sizeof(s.adapter_hash));
	evidence_close(&s);
	return status;
}

static int judge_all(struct promotion *p, struct err *e)
{
	p->checks = mem_array(p->wanted.n * CHECKS_MOST, sizeof(*p->checks));
	for (size_t i = 0; i < p->wanted.n; i++) {
		int n = judge(&p->wanted.items[i], &p->of_now[i], &p->of_parent[i], p->checks + p->n, e);
		if (n < 0)
			return -1;
		p->n += (size_t)n;
	}
	for (size_t i = 0; i < p->n; i++)
		p->failed += !p->checks[i].holds;
	return 0;
}

static int measure_all(struct promotion *p, struct err *e)
{
	p->of_now = mem_array(p->wanted.n, sizeof(*p->of_now));
	p->of_parent = mem_array(p->wanted.n, sizeof(*p->of_parent));
	if (measure(p, &p->now, p->of_now, 0, e) < 0 ||
	    (compares(p) && measure(p, &p->parent, p->of_parent, 1, e) < 0))
		return -1;
	return judge_all(p, e);
}

/* --- what came of it --- */

static json_t *target_json(const struct promotion *p, const struct target *t, int side)
{
	if (!t->path)
		return json_null();
	return json_pack("{s:o, s:o*, s:s*, s:s*}", "path", jsonx_path(t->path), "adapter",
	                 t->adapter ? jsonx_path(t->adapter) : NULL, "hash", p->hash[side][0] ? p->hash[side] : NULL,
	                 "adapter_hash", p->adapter_hash[side][0] ? p->adapter_hash[side] : NULL);
}

static json_t *checks_json(const struct promotion *p)
{
	json_t *all = json_array();

	for (size_t i = 0; i < p->n; i++)
		json_array_append_new(all, check_json(&p->checks[i]));
	return all;
}

/* Hashes of the files of lines that bounds were counted from. */
static json_t *files_json(const struct promotion *p)
{
	json_t *all = json_object();

	for (size_t i = 0; i < p->wanted.n; i++) {
		const struct evidence *of[] = { &p->of_now[i], &p->of_parent[i] };
		for (size_t k = 0; k < ARRAY_LEN(of); k++)
			if (of[k]->file)
				json_object_set_new(all, io_basename(of[k]->file), json_string(of[k]->hash));
	}
	return all;
}

static const char *who(void)
{
	const char *name = env_get("USER");

	return name ? name : env_get("LOGNAME");
}

/* Why the alias moved, for its history. */
static json_t *note_of(const struct promotion *p)
{
	return json_pack("{s:s*, s:o, s:o, s:o, s:s, s:o, s:o}", "by", who(), "require", jsonx_path(p->o->require),
	                 "require_hash", json_string(p->wanted.hash), "from", target_json(p, &p->parent, 1), "hash",
	                 p->hash[0], "checks", checks_json(p), "evidence", files_json(p));
}

static void show_number(struct table *t, double x, const char *form)
{
	if (isnan(x))
		table_cell(t, "-");
	else
		table_cell(t, form, x);
}

static void show(const struct promotion *p)
{
	static const char *const heads[] = { "requirement", "rows", "parent", "this", "difference", "bound", "wanted",
		                             "holds" };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x3e };
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < p->n; i++) {
		const struct check *c = &p->checks[i];
		table_cell(&t, "%s", c->r->label);
		table_cell(&t, "%zu", c->n);
		show_number(&t, c->parent, "%.4f");
		show_number(&t, c->now, "%.4f");
		show_number(&t, c->difference, "%+.4f");
		show_number(&t, c->bound, isnan(c->parent) ? "%.4f" : "%+.4f");
		table_cell(&t, isnan(c->parent) ? "%s %.4f" : "%s %+.4f", c->at_least ? "at least" : "at most",
		           c->wanted);
		table_cell(&t, "%s", c->holds ? "yes" : isnan(c->bound) ? "no: too few rows" : "no");
	}
	table_write(&text, &t, "  ");
	app_print("%s", buf_str(&text));
	table_release(&t);
	buf_release(&text);
}

static void summarize(const struct promotion *p, bool moved)
{
	app_summary(p->app, json_pack("{s:b, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "promoted", moved, "alias",
	                              p->o->to, "aliases", jsonx_path(p->o->aliases), "from",
	                              target_json(p, &p->parent, 1), "to", target_json(p, &p->now, 0), "n_checks",
	                              (json_int_t)p->n, "failed", (json_int_t)p->failed, "checks", checks_json(p),
	                              "evidence", files_json(p)));
}

static int move(struct promotion *p, struct err *e)
{
	const struct alias was = { .path = p->placed ? p->parent.path : NULL,
		                   .adapter = p->placed ? p->parent.adapter : NULL };
	json_t *note = note_of(p);
	char time[32];

	clock_iso(time);
	int status = aliases_move_from(p->o->aliases, p->o->to, &was, p->now.path, p->now.adapter, time, note, e);
	json_decref(note);
	return status;
}

static int conclude(struct promotion *p, struct err *e)
{
	const struct promote *o = p->o;
	bool moves = !p->failed && !o->dry_run;

	if (moves && move(p, e) < 0)
		return -1;
	if (!p->app->json)
		show(p);
	summarize(p, moves);
	if (p->failed)
		return err_set(e, "%s stays where it is: %zu of %zu requirements %s not hold", o->to, p->failed, p->n,
		               p->failed == 1 ? "does" : "do");
	if (!p->app->json)
		app_print(moves ? "%s is %s%s%s now\n" : "%s would be %s%s%s\n", o->to, p->now.path,
		          p->now.adapter ? " with " : "", p->now.adapter ? p->now.adapter : "");
	return 0;
}

/* --- the whole --- */

static int find_both(struct promotion *p, const char *model, struct err *e)
{
	char *base = NULL;
	int status = find_target(&p->now, model, p->o->adapter, &base, e);

	if (status == 0)
		status = find_parent(p, &base, e);
	mem_free(base);
	if (status == 0 && same_target(&p->now, &p->parent) && p->placed)
		return err_set(e, "%s stands for %s%s%s already", p->o->to, p->now.path, p->now.adapter ? " with " : "",
		               p->now.adapter ? p->now.adapter : "");
	if (status == 0 && compares(p) && !p->parent.path)
		return err_set(e, "%s stands for nothing yet, and from which model %s was made is not known: --parent "
		                  "MODEL was wanted", p->o->to, model);
	return status;
}

static int promote(struct promotion *p, const char *model, struct err *e)
{
	char *beside = io_parent(p->o->aliases);
	int status = requirements_load(&p->wanted, p->o->require, e);

	p->folder = p->o->evidence ? mem_strdup(p->o->evidence) : io_join(beside, "evidence");
	mem_free(beside);
	if (status == 0)
		status = find_both(p, model, e);
	if (status == 0)
		status = measure_all(p, e);
	return status == 0 ? conclude(p, e) : -1;
}

static void release(struct promotion *p)
{
	for (size_t i = 0; i < p->wanted.n; i++) {
		if (p->of_now)
			evidence_release(&p->of_now[i]);
		if (p->of_parent)
			evidence_release(&p->of_parent[i]);
	}
	mem_free(p->of_now);
	mem_free(p->of_parent);
	mem_free(p->checks);
	mem_free(p->folder);
	target_release(&p->now);
	target_release(&p->parent);
	requirements_release(&p->wanted);
}

static int roll_back(struct app *app, const struct promote *o, struct err *e)
{
	struct aliases a;
	char time[32];

	clock_iso(time);
	if (aliases_back(o->aliases, o->to, time, who(), e) < 0 || aliases_open(&a, o->aliases, e) < 0)
		return -1;
	const struct alias *now = aliases_find(&a, o->to);
	if (!app->json)
		app_print("%s is %s%s%s again\n", o->to, now->path, now->adapter ? " with " : "",
		          now->adapter ? now->adapter : "");
	app_summary(app, json_pack("{s:b, s:s, s:o, s:{s:o, s:o*}}", "rolled_back", 1, "alias", o->to, "aliases",
	                           jsonx_path(o->aliases), "to", "path", jsonx_path(now->path), "adapter",
	                           now->adapter ? jsonx_path(now->adapter) : NULL));
	aliases_close(&a);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct promote *o = options;
	struct promotion job = { .app = app, .o = o };

	app_catch_signals();
	if (!o->to)
		return app_usage(&cmd_promote, "--to NAME was wanted");
	if (o->rollback && (p->n_positional || o->require || o->adapter || o->parent || o->dry_run))
		return app_usage(&cmd_promote, "--rollback goes with --to and --aliases alone");
	if (o->rollback)
		return roll_back(app, o, e);
	if (p->n_positional != 1)
		return app_usage(&cmd_promote, "%s", cmd_promote.wanted);
	if (!o->require)
		return app_usage(&cmd_promote, "--require FILE was wanted: nothing moves without it");
	int status = promote(&job, p->positional[0], e);
	release(&job);
	return status;
}

const struct command cmd_promote = {
	.name = "promote",
	.summary = "moves an alias to a model that is not worse than what it stands for",
	.usage = "RUN|MODEL --to NAME --require FILE [options]",
	.example = "kungfu promote run --to live --require safety.yaml",
	.brief = "an alias to a better one",
	.order = 59,
	.opts = promote_opts,
	.options_size = sizeof(struct promote),
	.least = 0, .most = 1, .wanted = "one run or model was wanted",
	.run = run,
};
