/* tuning: jobs, the process of the one that runs, what it says. See tuning.h.
 *
 * A job's object is written whenever it changes, before anybody sees it changed; a line of metrics.jsonl becomes an
 * event when it is seen, so an event's time is that of the step within a fraction of a second. */
#include "serve/tuning.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/beside.h"
#include "serve/models.h"
#include "serve/openai_parts.h"
#include "train/checkpoint.h"

enum { NICE = 10, ARGS = 64 };

struct job {
	json_t *job, *own; /* own: {args, wanted} */
	char *dir;
	long step; /* the last that is an event */
	size_t events;
	size_t seen; /* bytes of metrics.jsonl that were looked at */
};

struct tuning {
	const struct beside_options *o;
	char *dir;
	pid_t pid; /* of the job that runs, 0: none; the engine's thread's */
	size_t running;
	bool told; /* to stop: a second signal would end it without its state */
	bool stopped;
	pthread_mutex_t lock; /* of what follows */
	struct job *jobs;     /* in the order of their ids */
	size_t n;
};

static const char *text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

static bool is(const struct job *j, const char *status) { return !strcmp(text_of(j->job, "status"), status); }

/* --- what is kept --- */

static void save_locked(const struct job *j)
{
	struct err e = ERR_INIT;
	char *path = io_join(j->dir, "job.json");
	json_t *all = json_pack("{s:O, s:O}", "job", j->job, "own", j->own);

	if (jsonx_write_file(path, all, &e) < 0)
		log_warn("%s", e.msg);
	json_decref(all);
	mem_free(path);
}

/* data: of a step, or NULL; taken. */
static void event_locked(struct job *j, const char *level, json_t *data, const char *message)
{
	struct err e = ERR_INIT;
	char *path = io_join(j->dir, "events.jsonl");
	json_t *event = json_pack("{s:s, s:o, s:I, s:s, s:s, s:s, s:o}", "object", "fine_tuning.job.event", "id",
	                          json_sprintf("ftevent-%s-%06zu", text_of(j->job, "id") + 6, ++j->events),
	                          "created_at", (json_int_t)clock_wall_seconds(), "level", level, "message", message,
	                          "type", data ? "metrics" : "message", "data", data ? data : json_null());
	char *line = jsonx_line(event), *whole = mem_printf("%s\n", line);

	if (io_append(path, whole, strlen(whole), &e) < 0)
		log_warn("%s", e.msg);
	mem_free(whole);
	mem_free(line);
	mem_free(path);
	json_decref(event);
}

static json_t *read_events(const struct job *j)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	char *path = io_join(j->dir, "events.jsonl");
	json_t *list = json_array();

	if (io_exists(path) && io_read(&text, path, &e) == 0)
		for (char *rest = text.data, *line; rest && (line = strsep(&rest, "\n"));) {
			json_t *event = *line ? jsonx_load(line, strlen(line), path, &e) : NULL;
			if (event)
				json_array_insert_new(list, 0, event);
		}
	buf_release(&text);
	mem_free(path);
	return list;
}

/* Of those that are served the one that a job is of: by where it lies, else by its name, if one alone has it (a server
 * of one model may be started with another path). NULL: none is. */
static struct openai *model_of(const struct tuning *t, const struct job *j)
{
	struct openai *list[MODELS_MOST], *named = NULL;
	size_t n = models_list(t->o->models, list), same = 0;

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(text_of(j->own, "path"), list[i]->o.path))
			return list[i];
		if (strcmp(text_of(j->own, "base"), list[i]->o.name) != 0)
			continue;
		named = list[i];
		same++;
	}
	return same == 1 ? named : NULL;
}

/* An adapter in a folder is a model from now on; false: none is there. */
static bool name_adapter(struct tuning *t, const struct job *j, const char *name, const char *dir)
{
	char *config = io_join(dir, "adapter_config.json");
	bool there = io_exists(config);

	mem_free(config);
	struct openai *s = there ? model_of(t, j) : NULL;
	if (s && s->o.adapters)
		adapters_name(s->o.adapters, name, dir);
	return there;
}

/* The checkpoints of its run that are adapters, as models too: the newest first; of a job that runs, or waits to, none,
 * as older ones go. */
static json_t *name_checkpoints(struct tuning *t, const struct job *j)
{
	struct err e = ERR_INIT;
	char *run = io_join(j->dir, "run");
	json_t *list = json_array();
	long *steps = NULL;
	size_t n = 0;

	if (!is(j, "running") && !is(j, "queued") && io_is_dir(run) && checkpoint_list(run, &steps, &n, &e) == 0)
		for (size_t i = n; i--;) {
			char *name = mem_printf("%s:ckpt-step-%ld", text_of(j->own, "name"), steps[i]),
			     *dir = checkpoint_path(run, steps[i]);
			struct stat st;
			if (stat(dir, &st) == 0 && name_adapter(t, j, name, dir))
				json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "name", name, "step",
				                                      (json_int_t)steps[i], "time",
				                                      (json_int_t)st.st_mtime));
			mem_free(name);
			mem_free(dir);
		}
	mem_free(steps);
	mem_free(run);
	return list;
}

/* Its result is a model from now on, and what its run kept. */
static void attach(struct tuning *t, const struct job *j)
{
	char *run = io_join(j->dir, "run");

	if (is(j, "succeeded"))
		name_adapter(t, j, text_of(j->job, "fine_tuned_model"), run);
	json_decref(name_checkpoints(t, j));
	mem_free(run);
}

void tuning_attach(struct tuning *t)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->n; i++)
		attach(t, &t->jobs[i]);
	pthread_mutex_unlock(&t->lock);
}

static void set_status_locked(struct job *j, const char *status)
{
	bool over = !strcmp(status, "succeeded") || !strcmp(status, "failed") || !strcmp(status, "cancelled");

	json_object_set_new(j->job, "status", json_string(status));
	if (over)
		json_object_set_new(j->job, "finished_at", json_integer((json_int_t)clock_wall_seconds()));
}

/* --- opening --- */

static struct job *add_locked(struct tuning *t, const char *id, json_t *job, json_t *own)
{
	t->jobs = mem_grow(t->jobs, t->n + 1, sizeof(*t->jobs));
	t->jobs[t->n] = (struct job){ job, own, io_join(t->dir, id), 0, 0, 0 };
	return &t->jobs[t->n++];
}

static void load_job(struct tuning *t, const char *id)
{
	struct err e = ERR_INIT;
	char *dir = io_join(t->dir, id), *path = io_join(dir, "job.json");
	json_t *all = io_exists(path) ? jsonx_load_file(path, &e) : NULL, *event;
	size_t i;

	if (all && json_is_object(json_object_get(all, "job")) && json_is_object(json_object_get(all, "own"))) {
		struct job *j = add_locked(t, id, json_incref(json_object_get(all, "job")),
		                           json_incref(json_object_get(all, "own")));
		json_t *events = read_events(j);
		j->events = json_array_size(events);
		json_array_foreach (events, i, event)
			j->step = MAX(j->step,
			              json_integer_value(json_object_get(json_object_get(event, "data"), "step")));
		json_decref(events);
		if (is(j, "running"))
			set_status_locked(j, "queued");
		attach(t, j);
	} else if (*e.msg) {
		log_warn("%s", e.msg);
	}
	json_decref(all);
	mem_free(path);
	mem_free(dir);
}

int tuning_new(struct tuning **out, struct beside *b, struct err *e)
{
	struct tuning *t = *out = mem_alloc(sizeof(*t));
	char **names;
	size_t n;

	*t = (struct tuning){ .o = &b->o, .dir = io_join(b->o.dir, "jobs") };
	pthread_mutex_init(&t->lock, NULL);
	if (io_mkdirs(t->dir, e) < 0 || io_list(t->dir, &names, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		load_job(t, names[i]);
	io_list_free(names, n);
	return 0;
}

void tuning_free(struct tuning *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		json_decref(t->jobs[i].job);
		json_decref(t->jobs[i].own);
		mem_free(t->jobs[i].dir);
	}
	mem_free(t->jobs);
	mem_free(t->dir);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

/* --- the process --- */

/* In the child: nothing but calls that are safe in it until it is another program; where that fails it ends. */
static void become(const char *const *argv, int log, pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		raise(SIGKILL);
	setpgid(0, 0); /* a Ctrl C is the server's to pass on */
	setpriority(PRIO_PROCESS, 0, NICE);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDWR);
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
	raise(SIGKILL);
}

/* Words of the command line: of a run that has begun, resume. run, threads: texts that stay. */
static void words_of(const struct tuning *t, const struct job *j, const char *run, const char *threads,
                     const char *argv[ARGS])
{
	char *recipe = io_join(run, "recipe.json");
	const json_t *args = json_object_get(j->own, "args");
	size_t n = 0, i;
	json_t *word;

	argv[n++] = "kungfu";
	const struct openai *s = model_of(t, j);
	argv[n++] = io_exists(recipe) ? "resume" : "tune";
	if (io_exists(recipe)) {
		argv[n++] = run;
	} else {
		argv[n++] = s ? s->o.path : text_of(j->own, "path");
		argv[n++] = "--out";
		argv[n++] = run;
		argv[n++] = "--overwrite";
		json_array_foreach (args, i, word)
			argv[n++] = json_string_value(word);
	}
	argv[n++] = "--threads";
	argv[n++] = threads;
	if (t->o->ledger) {
		argv[n++] = "--ledger";
		argv[n++] = t->o->ledger;
	}
	argv[n] = NULL;
	mem_free(recipe);
}

static void start_locked(struct tuning *t, size_t i)
{
	struct job *j = &t->jobs[i];
	char *run = io_join(j->dir, "run"), *log = io_join(j->dir, "log");
	const char *argv[ARGS];
	char threads[16];
	pid_t self = getpid();
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	snprintf(threads, sizeof(threads), "%d", t->o->tune_threads);
	words_of(t, j, run, threads, argv);
	t->pid = fd < 0 ? -1 : fork();
	if (t->pid == 0)
		become(argv, fd, self);
	if (t->pid < 0) {
		json_object_set_new(j->job, "error",
		                    json_pack("{s:s, s:s, s:n}", "code", "server_error", "message", strerror(errno),
		                              "param"));
		set_status_locked(j, "failed");
		t->pid = 0;
	} else {
		t->running = i;
		t->told = false;
		set_status_locked(j, "running");
		event_locked(j, "info", NULL,
		             !strcmp(argv[1], "resume") ? "Fine-tuning job goes on" : "Fine-tuning job started");
	}
	save_locked(j);
	if (fd >= 0)
		close(fd);
	mem_free(log);
	mem_free(run);
}

/* --- what it says --- */

static void metric_locked(struct job *j, const json_t *line)
{
	static const struct {
		const char *ours, *theirs;
		bool training;
	} told[] = { { "loss", "train_loss", true },
		     { "reward", "train_mean_reward", true },
		     { "eval_loss", "valid_loss" },
		     { "eval_reward", "valid_mean_reward" } };
	const json_t *step = json_object_get(line, "step"), *loss = json_object_get(line, "loss"),
		     *eval = json_object_get(line, "eval_loss"), *tokens = json_object_get(line, "num_tokens");
	const json_t *shown = json_is_number(loss) ? loss : eval;

	if (json_is_integer(tokens))
		json_object_set_new(j->job, "trained_tokens", json_integer(json_integer_value(tokens)));
	if (!json_is_number(shown) || (shown == loss && json_integer_value(step) <= j->step))
		return; /* a step that was made again */
	if (shown == loss)
		j->step = (long)json_integer_value(step);
	json_t *data = json_pack("{s:I}", "step", json_integer_value(step));
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		const json_t *value = json_object_get(line, told[i].ours);
		if (json_is_number(value) && told[i].training == (shown == loss))
			json_object_set_new(data, told[i].theirs, json_real(json_number_value(value)));
	}
	char *message = mem_printf("Step %lld: %s loss=%.4f", (long long)json_integer_value(step),
	                           shown == loss ? "training" : "validation", json_number_value(shown));
	event_locked(j, "info", data, message);
	mem_free(message);
}

/* Whole lines of metrics.jsonl that came. */
static void look_locked(struct job *j)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	char *run = io_join(j->dir, "run"), *path = io_join(run, "metrics.jsonl");
	size_t size = 0;

	if (io_exists(path) && io_size(path, &size, &e) == 0 && size != j->seen && io_read(&text, path, &e) == 0) {
		size_t from = j->seen <= text.len ? j->seen : 0;
		for (const char *end; (end = memchr(buf_str(&text) + from, '\n', text.len - from));) {
			size_t n = (size_t)(end - buf_str(&text)) - from;
			json_t *line = jsonx_load(buf_str(&text) + from, n, path, &e);
			if (line)
				metric_locked(j, line);
			json_decref(line);
			from += n + 1;
		}
		j->seen = from;
	}
	buf_release(&text);
	mem_free(path);
	mem_free(run);
}

/* The last line that it said. */
static char *last_words(const struct job *j)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	char *path = io_join(j->dir, "log"), *out;

	io_read(&text, path, &e);
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = 0;
	const char *last = strrchr(buf_str(&text), '\n');
	last = last ? last + 1 : buf_str(&text);
	out = mem_strdup(!strncmp(last, "kungfu: ", 8) ? last + 8 : last);
	buf_release(&text);
	mem_free(path);
	return out;
}

static void succeeded_locked(struct tuning *t, struct job *j)
{
	char *name = mem_strdup(text_of(j->own, "name"));

	json_object_set_new(j->job, "fine_tuned_model", json_string(name));
	set_status_locked(j, "succeeded");
	char *message = mem_printf("New fine-tuned model created: %s", name);
	event_locked(j, "info", NULL, message);
	event_locked(j, "info", NULL, "The job has successfully completed");
	mem_free(message);
	mem_free(name);
	save_locked(j);
	attach(t, j);
}

static void failed_locked(struct job *j, int state)
{
	char *said =
		WIFSIGNALED(state) ? mem_printf("its process was ended by signal %d", WTERMSIG(state)) : last_words(j);

	json_object_set_new(j->job, "error",
	                    json_pack("{s:s, s:o, s:n}", "code", "tuning_failed", "message",
	                              jsonx_text(said, strlen(said)), "param"));
	set_status_locked(j, "failed");
	event_locked(j, "error", NULL, said);
	save_locked(j);
	mem_free(said);
}

static void ended_locked(struct tuning *t, int state)
{
	struct job *j = &t->jobs[t->running];
	const char *wanted = json_string_value(json_object_get(j->own, "wanted"));

	t->pid = 0;
	look_locked(j);
	if (WIFEXITED(state) && WEXITSTATUS(state) == 0 && !(wanted && !strcmp(wanted, "cancelled"))) {
		succeeded_locked(t, j);
	} else if (wanted) {
		char *now = mem_strdup(wanted);
		set_status_locked(j, now);
		event_locked(j, "info", NULL,
		             !strcmp(now, "paused") ? "Fine-tuning job is paused" : "Fine-tuning job cancelled");
		mem_free(now);
	} else if (t->stopped) {
		set_status_locked(j, "queued");
	} else {
		failed_locked(j, state);
	}
	json_object_del(j->own, "wanted");
	save_locked(j);
}

void tuning_tick(struct tuning *t)
{
	int state;

	pthread_mutex_lock(&t->lock);
	if (t->pid) {
		look_locked(&t->jobs[t->running]);
		pid_t was = waitpid(t->pid, &state, WNOHANG);
		if (was == t->pid || (was < 0 && errno == ECHILD))
			ended_locked(t, was < 0 ? 1 << 8 : state);
		else if (!t->told && json_object_get(t->jobs[t->running].own, "wanted"))
			t->told = kill(t->pid, SIGTERM) == 0;
	}
	for (size_t i = 0; !t->pid && !t->stopped && i < t->n; i++)
		if (is(&t->jobs[i], "queued"))
			start_locked(t, i);
	pthread_mutex_unlock(&t->lock);
}

void tuning_stop(struct tuning *t, bool wait)
{
	int state;

	if (!t->stopped && t->pid) {
		log_say("a tuning job stops where it is; it goes on when a server is started with the same "
		        "--files-dir");
		if (!t->told)
			kill(t->pid, SIGTERM);
		t->told = true;
	}
	t->stopped = true;
	if (!t->pid || !wait)
		return;
	while (waitpid(t->pid, &state, 0) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&t->lock);
	ended_locked(t, state);
	pthread_mutex_unlock(&t->lock);
}

/* --- calls --- */

json_t *tuning_add(struct tuning *t, json_t *job, json_t *own, struct err *e)
{
	char id[48];
	json_t *seen = NULL;

	beside_id("ftjob-", id);
	json_object_set_new(job, "id", json_string(id));
	json_object_set_new(job, "created_at", json_integer((json_int_t)clock_wall_seconds()));
	json_object_set_new(own, "name", json_sprintf("%s:%s", text_of(own, "name"), id + 6));
	pthread_mutex_lock(&t->lock);
	struct job *j = add_locked(t, id, job, own);
	set_status_locked(j, "queued");
	if (io_mkdirs(j->dir, e) == 0) {
		save_locked(j);
		event_locked(j, "info", NULL, "Created fine-tuning job");
		seen = json_deep_copy(j->job);
	} else {
		set_status_locked(j, "failed");
	}
	pthread_mutex_unlock(&t->lock);
	return seen;
}

static struct job *find_locked(struct tuning *t, const char *id)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(text_of(t->jobs[i].job, "id"), id))
			return &t->jobs[i];
	return NULL;
}

json_t *tuning_get(struct tuning *t, const char *id)
{
	pthread_mutex_lock(&t->lock);
	struct job *j = find_locked(t, id);
	json_t *copy = j ? json_deep_copy(j->job) : NULL;
	pthread_mutex_unlock(&t->lock);
	return copy;
}

json_t *tuning_list(struct tuning *t)
{
	json_t *list = json_array();

	pthread_mutex_lock(&t->lock);
	for (size_t i = t->n; i--;)
		json_array_append_new(list, json_deep_copy(t->jobs[i].job));
	pthread_mutex_unlock(&t->lock);
	return list;
}

/* May it become so? */
static bool allowed(const struct job *j, const char *status)
{
	bool going = is(j, "queued") || is(j, "running");

	if (!strcmp(status, "queued"))
		return is(j, "paused");
	return going || (!strcmp(status, "cancelled") && is(j, "paused"));
}

int tuning_turn_to(struct tuning *t, const char *id, const char *status, json_t **now)
{
	pthread_mutex_lock(&t->lock);
	struct job *j = find_locked(t, id);
	int result = !j ? -1 : !allowed(j, status);
	if (result == 0 && is(j, "running")) {
		/* its process is ended by the next tick; clients see what was asked at once */
		json_object_set_new(j->own, "wanted", json_string(status));
	} else if (result == 0) {
		set_status_locked(j, status);
		event_locked(j, "info", NULL,
		             !strcmp(status, "queued") ? "Fine-tuning job waits to go on" :
		             !strcmp(status, "paused") ? "Fine-tuning job is paused" :
		                                         "Fine-tuning job cancelled");
	}
	if (result == 0)
		save_locked(j);
	if (j)
		*now = json_deep_copy(j->job);
	if (result == 0)
		json_object_set_new(*now, "status", json_string(status));
	pthread_mutex_unlock(&t->lock);
	return result;
}

json_t *tuning_events(struct tuning *t, const char *id)
{
	pthread_mutex_lock(&t->lock);
	struct job *j = find_locked(t, id);
	json_t *list = j ? read_events(j) : NULL;
	pthread_mutex_unlock(&t->lock);
	return list;
}

char *tuning_run(struct tuning *t, const char *id)
{
	pthread_mutex_lock(&t->lock);
	struct job *j = find_locked(t, id);
	char *run = j ? io_join(j->dir, "run") : NULL;
	pthread_mutex_unlock(&t->lock);
	return run;
}

/* What events told until a step, each number as it was last. */
static json_t *metrics_until(const json_t *events, json_int_t step)
{
	json_t *metrics = json_object(), *event, *value;
	const char *key;
	size_t i;

	json_array_foreach ((json_t *)events, i, event) {
		json_t *data = json_object_get(event, "data");
		if (json_integer_value(json_object_get(data, "step")) > step)
			continue;
		json_object_foreach (data, key, value)
			if (!json_object_get(metrics, key))
				json_object_set(metrics, key, value);
	}
	return metrics;
}

static json_t *checkpoint_json(const json_t *events, const char *id, const char *model, json_int_t step,
                               json_int_t time)
{
	return json_pack("{s:s, s:o, s:I, s:s, s:s, s:I, s:o}", "object", "fine_tuning.job.checkpoint", "id",
	                 json_sprintf("ftckpt-%s-%lld", id + 6, (long long)step), "created_at", time,
	                 "fine_tuned_model_checkpoint", model, "fine_tuning_job_id", id, "step_number", step, "metrics",
	                 metrics_until(events, step));
}

json_t *tuning_checkpoints(struct tuning *t, const char *id)
{
	json_t *list = NULL, *kept = NULL, *events = NULL, *one;
	size_t i;

	pthread_mutex_lock(&t->lock);
	struct job *j = find_locked(t, id);
	json_int_t last = -1;
	if (j) {
		list = json_array();
		kept = name_checkpoints(t, j);
		events = read_events(j);
	}
	if (j && is(j, "succeeded")) {
		last = j->step;
		json_array_append_new(list,
		                      checkpoint_json(events, id, text_of(j->job, "fine_tuned_model"), last,
		                                      json_integer_value(json_object_get(j->job, "finished_at"))));
	}
	pthread_mutex_unlock(&t->lock);
	json_array_foreach (kept, i, one) {
		json_int_t step = json_integer_value(json_object_get(one, "step"));
		if (step != last) /* that is the result */
			json_array_append_new(list, checkpoint_json(events, id, text_of(one, "name"), step,
			                                            json_integer_value(json_object_get(one, "time"))));
	}
	json_decref(kept);
	json_decref(events);
	return list;
}
