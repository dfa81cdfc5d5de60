/* pretrain: a model learns a language from raw text, from nothing (--config, --size, or what the text is enough for) or
 * going on with one (--from). What is made before the first step is prepare.c's and choose.c's; the run itself is a
 * trial (cmd/trial.h), as tune's. */
#include <string.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/output_check.h"
#include "cmd/pretrain/pretrain.h"
#include "cmd/tune_common.h"
#include "train/batch_ramp.h"

extern const struct command cmd_pretrain;

const struct opt pretrain_opts[] = {
	OPT_GROUP("Pretraining"),
	OPT_STRING("from", struct pretrain, from, NULL, "MODEL", "goes on with this model instead of a new one"),
	OPT_STRING("size", struct pretrain, size, NULL, "NAME",
	           "a new model of this size, as llama-d4, llama-15M, gpt2-small (default: what the text, or the "
	           "budget, is enough for)"),
	OPT_STRING("budget", struct pretrain, budget, NULL, "TIME",
	           "all of it may take so long, as 30m: the size and the steps follow"),
	OPT_FLOAT("flops", struct pretrain, flops, "0", 0, 1e30, "the same in operations of training, as 1e15"),
	{ OPT_TYPE_INT, "batch-tokens", NULL, offsetof(struct pretrain, batch_tokens), "0", 0, 1e12, NULL, "N",
	  "tokens of a step, of all ranks and accumulated ones; 0: by the tokens in all" },
	OPT_INT("block-size", struct pretrain, block_size, "0", 0, 1 << 20,
	        "tokens of a window, the model's context; 0: 256, of long texts more"),
	OPT_INT("vocab-size", struct pretrain, vocab_size, "0", 0, 1 << 24,
	        "of the tokenizer that is trained on the text; 0: by its length"),
	OPT_FLOAT("valid-ratio", struct pretrain, valid_ratio, "0.05", 0, 0.9, "share of a text that is held out"),
	OPT_CHOICE("valid-by", struct pretrain, valid_by, "auto", "auto|document|end",
	           "documents by hash, or the end of each; auto: of few ones the ends"),
	OPT_CHOICE("dedup", struct pretrain, dedup, "exact", "none|exact|minhash", "copies of documents that go"),
	OPT_STRING("filters", struct pretrain, filters, NULL, "LIST", "rules of data build, as c4,gopher"),
	OPT_INT("seeds", struct pretrain, seeds, "1", 1, 100,
	        "makes the run with N seeds, from --seed up, and tells which differences are noise"),
	OPT_FLAG("scaling-laws", struct pretrain, scaling_laws, "false",
	         "half of --flops or --budget for a ladder of models, half for the best"),
	OPT_FLAG("coord-check", struct pretrain, coord_check, "false",
	         "checks muP: sizes of numbers of models 1, 2, 4, 8 times as wide; makes no run"),
	RECIPE_NEW_OPTS(struct pretrain, recipe),
	RECIPE_OPTS(struct pretrain, recipe),
	OPT_GROUP("This command"),
	PROFILE_OPTS(struct pretrain, profiling, "the run directory"),
	OPT_LIST("set", struct pretrain, set, "NAME=VALUE", "overrides a value of recipe.yaml"),
	COMMON_OPTS(struct pretrain, common),
	OPT_DEFAULT("method", "full"),
	OPT_DEFAULT("max-length", "256"),
	OPT_DEFAULT("lr-scheduler-type", "cosine"),
	OPT_DEFAULT("min-lr-ratio", "0.1"),
	OPT_DEFAULT("weight-decay", "0.1"),
	OPT_DEFAULT("adam-beta2", "0.95"),
	OPT_DEFAULT("forgetting", "false"),
	OPT_DEFAULT("spike-threshold", "6"),
	/* a checkpoint is 12 bytes a weight, so many steps are millions of operations a weight */
	OPT_DEFAULT("spike-rewind-steps", "500"),
	OPT_END
};

/* --- what was asked --- */

static int read_words(struct pretrain *o, struct opt_parse *p, struct err *e)
{
	const char *word = p->n_positional ? p->positional[0] : NULL;

	if (tune_sets(&o->set, p, e) < 0)
		return -1;
	if (!word)
		return 0;
	if (!tune_is_recipe(word))
		return err_set(e, "%s is no recipe (.yaml): a text is given by --data, a model to go on with by --from",
		               word);
	return opt_yaml(p, word, e);
}

static int check(const struct pretrain *o, const struct opt_parse *p, struct err *e)
{
	const struct recipe *r = &o->recipe;
	bool budget = o->budget || o->flops > 0;
	struct batch_ramp ramp = { 0 };

	if (!r->data || !r->out)
		return err_set(e, "--data TEXT|SHARDS and --out DIR were wanted");
	if ((r->model != NULL) + (r->config != NULL) + (o->size != NULL) > 1)
		return err_set(e, "--from, --config and --size: one model was wanted");
	if (r->model && r->tokenizer)
		return err_set(e, "--tokenizer is of a new model, %s has its own", r->model);
	if ((o->budget && o->flops > 0) || (budget && opt_given(p, "max-steps")) ||
	    (budget && opt_given(p, "num-train-epochs")))
		return err_set(e, "--budget, --flops, --max-steps, --num-train-epochs: one of them says how long");
	if (o->scaling_laws && (!budget || o->seeds > 1 || r->model || r->config))
		return err_set(e, "--scaling-laws wants --flops or --budget, and is of new models, one seed: "
		                  "neither --from, --config nor --seeds");
	if (o->block_size && opt_given(p, "max-length"))
		return err_set(e, "--block-size and --max-length are the same");
	if (r->rampup_batch_size && o->scaling_laws)
		return err_set(e, "--rampup-batch-size: the runs of --scaling-laws have one batch each");
	if (batch_ramp_parse(&ramp, r->rampup_batch_size, e) < 0)
		return -1;
	if (r->replay && shards_are(r->data))
		return err_set(e, "--replay is mixed into texts; token shards have their mixture (data build --mix)");
	if (!objective_find(r->objective)->windows)
		return err_set(e, "--objective %s does not learn from texts: ntp and mlm do", r->objective);
	const char *names[] = { r->data, r->out, r->model, r->config, r->tokenizer, r->replay, r->eval_data };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i] && !utf8_valid(names[i], strlen(names[i]), NULL))
			return err_set(e, "%s: the name is no UTF-8, so recipe.json could not hold it", names[i]);
	return 0;
}

static int resolve(struct app *app, struct pretrain *o, struct opt_parse *p, struct err *e)
{
	struct recipe *r = &o->recipe;

	o->began = clock_seconds();
	if (app->plans && !r->out)
		r->out = ".";
	if (read_words(o, p, e) < 0)
		return -1;
	if (o->from)
		r->model = o->from;
	if (check(o, p, e) < 0)
		return -1;
	const char **paths[] = { &r->data, &r->model, &r->config, &r->eval_data, &r->replay,
	                        &r->retain, &r->instruction_data };
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		tune_whole_path(&o->mem, paths[i]);
	if (r->tokenizer && strcmp(r->tokenizer, "chars") != 0)
		tune_whole_path(&o->mem, &r->tokenizer);
	return 0;
}

/* --- what a resume needs before there is a recipe.json --- */

/* What was given, by name, as it would be given again. */
static json_t *given(const struct opt_parse *p)
{
	json_t *all = opt_record(p), *out = json_object(), *value;
	const char *key;

	json_object_foreach(all, key, value)
		if (opt_given(p, key) && !json_is_array(value) && strcmp(key, "out") != 0 && strcmp(key, "from") != 0)
			json_object_set(out, key, value);
	/* as whole paths, and in spite of --from's other name */
	const char *model = ((const struct pretrain *)p->target)->recipe.model;
	if (model)
		json_object_set_new(out, "model", json_string(model));
	json_decref(all);
	return out;
}

static int keep(const struct opt_parse *p, const char *dir, struct err *e)
{
	char *path = io_join(dir, PRETRAIN_FILE);
	json_t *j = given(p);
	int status = io_mkdirs(dir, e) < 0 ? -1 : jsonx_write_file(path, j, e);

	json_decref(j);
	mem_free(path);
	return status;
}

static int give_again(struct opt_parse *p, const char *dir, struct err *e)
{
	char *path = io_join(dir, PRETRAIN_FILE);
	json_t *j = jsonx_load_file(path, e), *value;
	int status = j ? 0 : -1;
	const char *key;

	json_object_foreach(j, key, value) {
		char *text = json_is_string(value) ? mem_strdup(json_string_value(value)) : jsonx_line(value);
		if (!status && !json_is_null(value))
			status = opt_assign(p, key, text, e);
		mem_free(text);
	}
	json_decref(j);
	mem_free(path);
	return status;
}

static bool has(const char *dir, const char *name)
{
	char *path = io_join(dir, name);
	bool there = io_exists(path);

	mem_free(path);
	return there;
}

bool pretrain_is(const char *dir) { return has(dir, PRETRAIN_FILE) && !has(dir, "recipe.json"); }

/* What was asked for behind the run itself; "": nothing, or it is there. */
static const char *rest_of(const char *dir)
{
	struct err ignored = ERR_INIT;
	char *path = io_join(dir, PRETRAIN_FILE);
	json_t *j = has(dir, PRETRAIN_FILE) ? jsonx_load_file(path, &ignored) : NULL;
	bool seeds = json_integer_value(json_object_get(j, "seeds")) > 1,
	     law = json_is_true(json_object_get(j, "scaling_laws"));

	json_decref(j);
	mem_free(path);
	return seeds && !has(dir, "seeds.json") ? "seeds" : law && !has(dir, "scaling.json") ? "law" : "";
}

bool pretrain_goes_on(const char *dir) { return rest_of(dir)[0]; }

/* prefix/rest becomes dir/rest */
static void move(const char **path, const char *prefix, const char *dir, struct arena *mem)
{
	size_t n = prefix ? strlen(prefix) : 0;

	if (*path && n && !strncmp(*path, prefix, n) && (*path)[n] == '/')
		*path = arena_printf(mem, "%s%s", dir, *path + n);
}

void pretrain_moved(struct recipe *r, const char *dir, struct arena *mem)
{
	const char *was = r->out;

	move(&r->data, was, dir, mem);
	move(&r->config, was, dir, mem);
	move(&r->tokenizer, was, dir, mem);
}

/* --- the run --- */

/* What is said of texts where there are shards, and of a tokenizer that is there. Before these are made. */
static void say_unused(const struct pretrain *o, const struct opt_parse *p)
{
	static const char *const of_texts[] = { "valid-ratio", "valid-by", "dedup", "filters" };
	const char *tokenizer = o->recipe.tokenizer;
	bool shards = shards_are(o->recipe.data);

	for (size_t i = 0; i < ARRAY_LEN(of_texts); i++)
		if (shards && opt_given(p, of_texts[i]))
			log_warn("--%s is of texts, and token shards are as they were built", of_texts[i]);
	if (opt_given(p, "vocab-size") && (shards || o->recipe.model || tokenizer))
		log_warn("--vocab-size is of a tokenizer that is trained on the text, and %s",
		         shards || o->recipe.model        ? "there is one" :
		         strcmp(tokenizer, "chars") ? "--tokenizer names one" :
		                                      "that of characters has as many as there are");
}

/* Texts, tokens, shape; then the run in the recipe's folder. in: where what is prepared lies. */
static int prepare_and_run(struct app *app, struct pretrain *o, struct opt_parse *p, const char *in, struct err *e)
{
	struct recipe *r = &o->recipe;
	struct buf unused = BUF_INIT;

	say_unused(o, p);
	if (pretrain_prepare(app, o, in, e) < 0 || pretrain_choose(app, o, p, in, e) < 0 || recipe_resolve(r, e) < 0)
		return -1;
	recipe_settle(r, app->kernels);
	recipe_unused(r, p, &unused);
	if (unused.len)
		log_warn("%s", buf_str(&unused));
	buf_release(&unused);
	r->replay = NULL; /* it is in the shards' mixture */
	int status = tune_run(app, r, TRIAL_NEW, "pretrain", o->began, &o->profiling, e);
	return status == 0 && o->seeds > 1 && !app->plans ? pretrain_seeds(app, o, e) : status;
}

/* The ladder, then the run that it speaks of. */
static int run_scaling(struct app *app, struct pretrain *o, struct opt_parse *p, struct err *e)
{
	struct scaling *s = NULL;
	int status = scaling_ladder(&s, app, o, p, e);

	if (status == 0)
		status = tune_run(app, &o->recipe, TRIAL_NEW, "pretrain", o->began, &o->profiling, e);
	if (status == 0)
		status = scaling_checked(s, e);
	scaling_free(s);
	return status;
}

/* The runs with other seeds, by the recipe of the first. */
static int rest_of_seeds(struct app *app, struct pretrain *o, struct err *e)
{
	struct pretrain all = { .seeds = o->seeds, .mem = ARENA_INIT };
	const char *dir = o->recipe.out;
	struct opt_parse p = { 0 };
	struct run_dir d;
	json_t *record;

	if (run_dir_open(&d, dir, &record, e) < 0)
		return -1;
	int status = recipe_load(&all.recipe, &p, record, e) < 0 || recipe_resolve(&all.recipe, e) < 0 ? -1 : 0;
	if (!status) {
		pretrain_moved(&all.recipe, dir, &all.mem);
		all.recipe.out = dir;
	}
	run_dir_release(&d);
	if (!status)
		status = pretrain_seeds(app, &all, e);
	opt_release(&p);
	arena_release(&all.mem);
	json_decref(record);
	return status;
}

static int rest_of_law(struct app *app, struct pretrain *o, struct opt_parse *p, struct err *e)
{
	struct scaling *s = NULL;
	int status = scaling_ladder(&s, app, o, p, e);

	if (status == 0)
		status = scaling_checked(s, e);
	scaling_free(s);
	return status;
}

/* What an older run with several seeds, or a ladder, left beside the run that is replaced. */
static int clear_old(const struct recipe *r, struct err *e)
{
	static const char *const names[] = { "seeds", "seeds.json", "scaling.json", "scaling.svg", PREPARED "/ladder" };
	int status = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && r->overwrite && has(r->out, PRETRAIN_FILE) && !status; i++) {
		char *path = io_join(r->out, names[i]);
		status = io_exists(path) ? io_remove_tree(path, e) : 0;
		mem_free(path);
	}
	return status;
}

/* A plan prepares too, in a folder that goes again. */
static int plan_it(struct app *app, struct pretrain *o, struct opt_parse *p, struct err *e)
{
	const char *tmp = env_get("TMPDIR");
	char *dir = mem_printf("%s/kungfu-pretrain-XXXXXX", tmp ? tmp : "/tmp");
	int status = io_temporary_dir(dir, e);

	if (!status) {
		struct err ignored = ERR_INIT;
		o->recipe.out = dir;
		status = prepare_and_run(app, o, p, dir, e);
		io_remove_tree(dir, &ignored);
	}
	mem_free(dir);
	return status;
}

static int begin(struct app *app, struct pretrain *o, struct opt_parse *p, struct err *e)
{
	bool old;

	if (app->plans)
		return plan_it(app, o, p, e);
	if (output_place("out", o->recipe.out, OUTPUT_FOLDER, true, e) < 0 ||
	    run_dir_check(o->recipe.out, o->recipe.overwrite, &old, e) < 0 || clear_old(&o->recipe, e) < 0 ||
	    keep(p, o->recipe.out, e) < 0)
		return -1;
	return o->scaling_laws ? run_scaling(app, o, p, e) : prepare_and_run(app, o, p, o->recipe.out, e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct pretrain *o = options;

	app_catch_signals();
	if (o->coord_check) {
		int status = read_words(o, p, e) < 0 ? -1 : pretrain_coordinates(app, o, e);
		arena_release(&o->mem);
		return status;
	}
	if (resolve(app, o, p, e) < 0) {
		arena_release(&o->mem);
		return app_usage(&cmd_pretrain, "%s", e->msg);
	}
	int status = begin(app, o, p, e);
	profiling_release(&o->profiling);
	arena_release(&o->mem);
	return status;
}

/* With what was asked for in that folder. */
static int begin_again(struct app *app, struct pretrain *o, struct opt_parse *p, const char *dir, struct err *e)
{
	int status = opt_begin(p, pretrain_opts, o, e) < 0 || give_again(p, dir, e) < 0 ? -1 : 0;

	o->recipe.out = dir;
	if (!status)
		status = resolve(app, o, p, e);
	o->recipe.out = dir;
	return status ? err_prefix(e, "%s/%s", dir, PRETRAIN_FILE) : 0;
}

int pretrain_resume(struct app *app, const struct common *common, const char *dir, struct err *e)
{
	struct pretrain o = { .common = *common };
	struct opt_parse p;
	int status = begin_again(app, &o, &p, dir, e);

	if (!status)
		log_say("%s: prepared anew, no step was made yet", dir);
	if (!status)
		status = o.scaling_laws ? run_scaling(app, &o, &p, e) : prepare_and_run(app, &o, &p, dir, e);
	opt_release(&p);
	arena_release(&o.mem);
	return status;
}

int pretrain_rest(struct app *app, const struct common *common, const char *dir, struct err *e)
{
	bool law = !strcmp(rest_of(dir), "law");
	struct pretrain o = { .common = *common };
	struct opt_parse p;
	int status = begin_again(app, &o, &p, dir, e);

	if (!status)
		status = law ? rest_of_law(app, &o, &p, e) : rest_of_seeds(app, &o, e);
	opt_release(&p);
	arena_release(&o.mem);
	return status;
}

const struct command cmd_pretrain = {
	.name = "pretrain",
	.summary = "teach a model a language from raw text, from nothing or going on",
	.usage = "recipe.yaml | --data TEXT|SHARDS --out DIR [--from MODEL] [options]",
	.example = "kungfu pretrain --data text --out run --budget 30m",
	.brief = "a model from raw text",
	.plans = true,
	.ranks = true,
	.order = 49,
	.opts = pretrain_opts,
	.options_size = sizeof(struct pretrain),
	.most = 1, .wanted = "one recipe.yaml was wanted, or options alone",
	.run = run,
};
