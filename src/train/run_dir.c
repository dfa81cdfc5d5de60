/* run_dir: a run's folder: who may write it, what lies in it, which checkpoints stay. Only names that a run itself
 * writes are ever removed, and only from a folder that has a recipe.json. */
#include "train/run_dir.h"

#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/checkpoint.h"
#include "train/tensorboard.h"

#define RECIPE "recipe.json"
#define RUN "run.json"
#define METRICS "metrics.jsonl"

/* Besides checkpoints, and shards as model-00001-of-00002.safetensors. */
static const char *const run_files[] = { RUN,
	                                 METRICS,
	                                 TENSORBOARD_FILE,
	                                 "gas.json",
	                                 "loss.svg",
	                                 "adapter_config.json",
	                                 "adapter_model.safetensors",
	                                 "adapter.safetensors",
	                                 PARENT_FOLDER,
	                                 AVERAGE_FOLDER,
	                                 "model.safetensors",
	                                 QAT_FILE,
	                                 "model.safetensors.index.json",
	                                 "config.json",
	                                 "generation_config.json",
	                                 "tokenizer.json",
	                                 "tokenizer_config.json",
	                                 "special_tokens_map.json",
	                                 "vocab.json",
	                                 "merges.txt",
	                                 "chat_template.jinja",
	                                 NULL };

static bool is_run_file(const char *name)
{
	const char *end = strrchr(name, '.');
	for (size_t i = 0; run_files[i]; i++)
		if (!strcmp(run_files[i], name))
			return true;
	return end && !strncmp(name, "model-", 6) && !strcmp(end, ".safetensors");
}

/* What a killed process leaves of one of the run's files that it was writing, where files need a name meanwhile (see
 * base/io.c): recipe.json.tmp-0123456789abcdef. Other names are nobody's to remove. */
static bool is_leftover(const char *name)
{
	enum { DIGITS = 16 };
	const char *at = strstr(name, ".tmp-");
	if (!at || strspn(at + 5, "0123456789abcdef") != DIGITS || at[5 + DIGITS])
		return false;
	char *of = mem_strndup(name, (size_t)(at - name));
	bool ours = is_run_file(of) || !strcmp(of, RECIPE);
	mem_free(of);
	return ours;
}

char *run_dir_file(const struct run_dir *d, const char *name)
{
	return io_join(d->path, name);
}

static int is_empty(const char *path, bool *empty, struct err *e)
{
	char **names;
	size_t n;

	*empty = true;
	if (!io_exists(path))
		return 0;
	if (io_list(path, &names, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		*empty &= is_leftover(names[i]) || !strcmp(names[i], PRETRAIN_FILE) || !strcmp(names[i], PREPARED);
	io_list_free(names, n);
	return 0;
}

static int check(const char *path, bool overwrite, bool *old, struct err *e)
{
	bool empty;

	*old = false;
	if (io_exists(path) && !io_is_dir(path))
		return err_set(e, "%s is a file, the folder of a run was wanted", path);
	if (is_empty(path, &empty, e) < 0)
		return -1;
	if (empty)
		return 0;
	char *recipe = io_join(path, RECIPE);
	*old = io_exists(recipe);
	mem_free(recipe);
	if (overwrite && *old)
		return 0;
	if (!*old)
		return err_set(e, "%s holds files but no run (no %s)%s; name an empty or new folder", path, RECIPE,
		               overwrite ? ", so --overwrite does not touch it" : "");
	return err_set(e, "%s is not empty; --overwrite replaces the run in it, kungfu resume goes on with it", path);
}

int run_dir_check(const char *path, bool overwrite, bool *old, struct err *e)
{
	int lock;

	if (check(path, overwrite, old, e) < 0)
		return -1;
	if (!io_is_dir(path))
		return 0;
	if (io_lock_dir(path, &lock, e) < 0)
		return -1;
	io_unlock(lock);
	return 0;
}

static int remove_file(const char *path, const char *name, struct err *e)
{
	char *file = io_join(path, name);
	int status = io_remove_tree(file, e);
	mem_free(file);
	return status;
}

static int remove_files(const char *path, bool (*wanted)(const char *name), struct err *e)
{
	char **names;
	size_t n;
	int status = 0;

	if (io_list(path, &names, &n, e) < 0)
		return -1;
	for (size_t i = 0; !status && i < n; i++)
		if (wanted(names[i]))
			status = remove_file(path, names[i], e);
	io_list_free(names, n);
	return status;
}

static int remove_checkpoints(const char *path, struct err *e)
{
	long *steps;
	size_t n;
	int status = checkpoint_sweep(path, e);

	if (status || checkpoint_list(path, &steps, &n, e) < 0)
		return -1;
	for (size_t i = 0; !status && i < n; i++) {
		char *dir = checkpoint_path(path, steps[i]);
		status = io_remove_tree(dir, e);
		mem_free(dir);
	}
	mem_free(steps);
	return status;
}

/* The recipe goes last: until then the folder still is a run's, so that a second try may remove the rest. */
static int remove_run(const char *path, struct err *e)
{
	char *recipe = io_join(path, RECIPE);
	int status = io_exists(recipe) ? 0 : 1;
	mem_free(recipe);
	if (status)
		return 0;
	if (remove_checkpoints(path, e) < 0 || remove_files(path, is_run_file, e) < 0)
		return -1;
	return remove_file(path, RECIPE, e);
}

/* Under the lock: what was empty a while ago may be another's run by now. */
static int take_place(struct run_dir *d, const char *path, bool overwrite, const json_t *recipe, struct err *e)
{
	bool old;

	if (check(path, overwrite, &old, e) < 0 || remove_run(path, e) < 0 || remove_files(path, is_leftover, e) < 0)
		return -1;
	char *file = io_join(path, RECIPE);
	int status = jsonx_write_file(file, recipe, e);
	mem_free(file);
	d->path = mem_strdup(path);
	return status;
}

int run_dir_create(struct run_dir *d, const char *path, bool overwrite, const json_t *recipe, struct err *e)
{
	*d = (struct run_dir){ 0 };
	if (io_mkdirs(path, e) < 0 || io_lock_dir(path, &d->lock, e) < 0)
		return -1;
	if (take_place(d, path, overwrite, recipe, e) == 0)
		return 0;
	run_dir_release(d);
	return -1;
}

/* What an earlier process left half done goes; metrics.jsonl's length is known from then on. */
static int tidy(struct run_dir *d, struct err *e)
{
	char *metrics = run_dir_file(d, METRICS);
	int status = io_exists(metrics) ? io_size(metrics, &d->metrics_bytes, e) : 0;

	mem_free(metrics);
	return status || checkpoint_sweep(d->path, e) < 0 || remove_files(d->path, is_leftover, e) < 0 ? -1 : 0;
}

int run_dir_refuse(const char *path, struct err *e)
{
	struct err ignored = ERR_INIT;
	bool empty = false;

	if (!io_exists(path))
		return err_set(e, "%s: there is no such folder", path);
	return err_set(e, "%s is no run directory: it has no " RECIPE "%s", path,
	               io_is_dir(path) && io_dir_is_empty(path, &empty, &ignored) == 0 && empty ?
	                       "; what was stopped before it had begun is begun again" :
	                       "");
}

int run_dir_open(struct run_dir *d, const char *path, json_t **recipe, struct err *e)
{
	char *file = io_join(path, RECIPE);
	bool there = io_exists(file);

	*d = (struct run_dir){ 0 };
	*recipe = NULL;
	if (!there)
		run_dir_refuse(path, e);
	if (there && io_lock_dir(path, &d->lock, e) == 0) {
		d->path = mem_strdup(path);
		*recipe = jsonx_load_file(file, e);
		if (!*recipe || tidy(d, e) < 0) {
			json_decref(*recipe);
			*recipe = NULL;
			run_dir_release(d);
		}
	}
	mem_free(file);
	return *recipe ? 0 : -1;
}

void run_dir_discard(struct run_dir *d)
{
	struct err ignored = ERR_INIT;
	bool empty = false;

	if (!d->path)
		return;
	remove_run(d->path, &ignored);
	if (is_empty(d->path, &empty, &ignored) == 0 && empty)
		io_remove_tree(d->path, &ignored);
	run_dir_release(d);
}

void run_dir_release(struct run_dir *d)
{
	if (d->lock)
		io_unlock(d->lock);
	mem_free(d->path);
	*d = (struct run_dir){ 0 };
}

int run_dir_metric(struct run_dir *d, const json_t *line, struct err *e)
{
	char *file = run_dir_file(d, METRICS), *text = jsonx_line(line), *with_newline = mem_printf("%s\n", text);
	int status = io_append(file, with_newline, strlen(with_newline), e);

	if (!status)
		d->metrics_bytes += strlen(with_newline);
	mem_free(file);
	mem_free(text);
	mem_free(with_newline);
	return status;
}

int run_dir_rewind(struct run_dir *d, size_t metrics_bytes, struct err *e)
{
	char *file = run_dir_file(d, METRICS);
	int status = 0;

	/* the machine stopped before they reached the disk: only lines for eyes are lost */
	if (metrics_bytes > d->metrics_bytes)
		log_warn("%s lacks the last %zu bytes before the checkpoint", file, metrics_bytes - d->metrics_bytes);
	else if (metrics_bytes < d->metrics_bytes && !(status = io_truncate(file, metrics_bytes, e)))
		d->metrics_bytes = metrics_bytes;
	mem_free(file);
	return status;
}

json_t *run_dir_facts(const struct run_dir *d)
{
	struct err ignored = ERR_INIT;
	char *file = run_dir_file(d, RUN);
	json_t *j = io_exists(file) ? jsonx_load_file(file, &ignored) : NULL;
	mem_free(file);
	return j;
}

int run_dir_set_facts(const struct run_dir *d, const json_t *facts, struct err *e)
{
	char *file = run_dir_file(d, RUN);
	int status = jsonx_write_file(file, facts, e);
	mem_free(file);
	return status;
}
