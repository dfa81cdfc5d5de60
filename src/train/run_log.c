/* run_log: metrics.jsonl, written as a run goes and read again when it is resumed. A line of metrics.jsonl is
 * complete when its newline is there; what follows the last newline is being written. */
#include "train/run_log.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "train/run_dir.h"

/* --- is it alive? --- */

static void host_name(char out[256])
{
	if (gethostname(out, 255))
		out[0] = 0;
	out[255] = 0;
}

static void own_name(long pid, struct buf *out)
{
	struct err ignored = ERR_INIT;
	char *path = mem_printf("/proc/%ld/comm", pid);
	io_read(out, path, &ignored);
	if (out->len > 0 && out->data[out->len - 1] == '\n')
		out->data[--out->len] = 0;
	mem_free(path);
}

void run_log_sign(json_t *process)
{
	char host[256];
	struct buf name = BUF_INIT;
	host_name(host);
	own_name(getpid(), &name);
	json_object_set_new(process, "host", json_string(host));
	json_object_set_new(process, "pid", json_integer(getpid()));
	json_object_set_new(process, "program", json_string(buf_str(&name)));
	buf_release(&name);
}

/* Does the process that signed the run's last entry still run? A number that another program has by now does not count.
 * Where it cannot be known (another machine, an entry without a signature), it is believed. */
static bool is_alive(const json_t *facts)
{
	const json_t *all = json_object_get(facts, "processes"),
		     *last = json_array_get(all, json_array_size(all) ? json_array_size(all) - 1 : 0);
	const char *there = json_string_value(json_object_get(last, "host")),
		   *program = json_string_value(json_object_get(last, "program"));
	long pid = (long)json_integer_value(json_object_get(last, "pid"));
	char here[256];
	struct buf name = BUF_INIT;

	host_name(here);
	if (!there || strcmp(there, here) != 0 || pid <= 0 || !program)
		return true;
	bool alive = kill((pid_t)pid, 0) == 0 || errno == EPERM;
	own_name(pid, &name);
	alive &= strcmp(buf_str(&name), program) == 0;
	buf_release(&name);
	return alive;
}

static const char *state_of(const json_t *facts)
{
	static const char *const known[] = { "stopped", "finished", "failed" };
	const char *said = json_string_value(json_object_get(facts, "status"));
	for (size_t i = 0; said && i < ARRAY_LEN(known); i++)
		if (!strcmp(said, known[i]))
			return known[i];
	return said && !strcmp(said, "running") && is_alive(facts) ? "running" : "stopped";
}

/* --- metrics --- */

static struct run_metric *metric_of(struct run_log *l, const char *name)
{
	for (size_t i = 0; i < l->n_metrics; i++)
		if (!strcmp(l->metrics[i].name, name))
			return &l->metrics[i];
	l->metrics = mem_grow(l->metrics, l->n_metrics + 1, sizeof(*l->metrics));
	l->metrics[l->n_metrics] = (struct run_metric){ .name = mem_strdup(name) };
	return &l->metrics[l->n_metrics++];
}

const struct run_metric *run_log_metric(const struct run_log *l, const char *name)
{
	for (size_t i = 0; i < l->n_metrics; i++)
		if (!strcmp(l->metrics[i].name, name))
			return &l->metrics[i];
	return NULL;
}

static double number_in(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	return json_is_number(v) ? json_number_value(v) : NAN;
}

/* Room for a power of two at a time. */
static double *push(double *list, size_t n, double x)
{
	if ((n & (n - 1)) == 0)
		list = mem_grow(list, n ? 2 * n : 1, sizeof(*list));
	list[n] = x;
	return list;
}

/* An evaluation's line does not say the tokens: those of the last step before it. */
static void add_line(struct run_log *l, const json_t *line, double *tokens)
{
	double step = number_in(line, "step"), epoch = number_in(line, "epoch"), now = number_in(line, "num_tokens");
	const char *key;
	json_t *value;

	*tokens = isnan(now) ? *tokens : now;
	l->steps = step > (double)l->steps && step < 1e15 ? (long)step : l->steps;
	json_object_foreach((json_t *)line, key, value) {
		if (!strcmp(key, "step") || !strcmp(key, "epoch") || !(json_is_number(value) || json_is_null(value)))
			continue;
		struct run_metric *m = metric_of(l, key);
		m->value = push(m->value, m->n, number_in(line, key));
		m->step = push(m->step, m->n, step);
		m->epoch = push(m->epoch, m->n, epoch);
		m->tokens = push(m->tokens, m->n, *tokens);
		m->n++;
	}
}

static int read_metrics(struct run_log *l, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct buf text = BUF_INIT;
	char *file = io_join(l->path, "metrics.jsonl");
	double tokens = NAN;
	int status = io_exists(file) ? io_read(&text, file, e) : 0;

	for (const char *at = buf_str(&text), *end; !status && (end = strchr(at, '\n')); at = end + 1) {
		json_t *line = jsonx_load(at, (size_t)(end - at), file, &ignored);
		if (json_is_object(line))
			add_line(l, line, &tokens);
		else
			l->damaged++;
		json_decref(line);
	}
	buf_release(&text);
	mem_free(file);
	return status;
}

/* --- the folder --- */

static bool has(const char *path, const char *name)
{
	char *file = io_join(path, name);
	bool there = io_exists(file);
	mem_free(file);
	return there;
}

bool run_log_is(const char *path)
{
	return has(path, "recipe.json") && (has(path, "run.json") || has(path, "metrics.jsonl"));
}

static int load_object(json_t **out, const char *dir, const char *name, struct err *e)
{
	char *file = io_join(dir, name);
	*out = jsonx_load_file(file, e);
	int status = *out ? 0 : -1;
	if (*out && !json_is_object(*out))
		status = err_set(e, "%s: an object was wanted", file);
	mem_free(file);
	return status;
}

int run_log_open(struct run_log *l, const char *path, struct err *e)
{
	*l = (struct run_log){ .planned_steps = -1 };
	if (!has(path, "recipe.json"))
		return run_dir_refuse(path, e);
	l->path = mem_strdup(path);
	if (load_object(&l->recipe, path, "recipe.json", e) < 0 ||
	    (has(path, "run.json") && load_object(&l->facts, path, "run.json", e) < 0) || read_metrics(l, e) < 0) {
		run_log_release(l);
		return -1;
	}
	l->facts = l->facts ? l->facts : json_object();
	/* those that remained then */
	const json_t *plan = json_object_get(l->facts, "plan"), *planned = json_object_get(plan, "steps");
	l->planned_steps =
		json_is_integer(planned) ?
			(long)(json_integer_value(planned) + json_integer_value(json_object_get(plan, "steps_done"))) :
			-1;
	l->state = state_of(l->facts);
	return 0;
}

json_t *run_log_result(const struct run_log *l, const char *name)
{
	return json_object_get(json_object_get(l->facts, "results"), name);
}

void run_log_release(struct run_log *l)
{
	for (size_t i = 0; i < l->n_metrics; i++) {
		mem_free(l->metrics[i].name);
		mem_free(l->metrics[i].value);
		mem_free(l->metrics[i].step);
		mem_free(l->metrics[i].epoch);
		mem_free(l->metrics[i].tokens);
	}
	mem_free(l->metrics);
	mem_free(l->path);
	json_decref(l->recipe);
	json_decref(l->facts);
	*l = (struct run_log){ 0 };
}
