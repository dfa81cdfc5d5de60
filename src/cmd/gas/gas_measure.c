/* gas_measure: the missing points of a run's learning curve, by running them as children of this process. The
 * largest size is the run itself, of which only the evaluation may be missing. A child's options are those by which
 * gas_learning compares runs; recipe.yaml beside the subsets holds all the rest of the run's recipe, with whole
 * paths. */
#include "cmd/gas/gas_measure.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cmd/gas/gas_numbers.h"
#include "cmd/metering.h"
#include "cmd/tune_common.h"
#include "data/rows.h"
#include "gas/learning_curve.h"
#include "gas/meter.h"
#include "train/recipe.h"

enum { SIZES_UNTOLD = 4, LEAST_ROWS = 20, WORDS = 160 };
static const long look_nanoseconds = 100 * 1000 * 1000;

struct rate { double seconds, of; };   /* measured seconds, of so many that the run's own rate foretold */

struct measuring {
	struct measure *o;
	struct arena mem;
	struct learning_origin origin;
	json_t *record;                /* the run's recipe.json */
	struct recipe recipe;
	struct opt_parse parse;
	double run_seconds;            /* that the run itself took; NAN: not known */
	struct rows rows;
	char *dir;
	int lock;                      /* of dir, against another process that measures there; −1 */
	size_t sizes[POINTS], n, at;   /* ascending; at: the one that is being measured */
	struct rate tunes, evals;
	struct gas_limit limit;
	struct gas spent;
	const char *argv[WORDS];
	size_t n_words;
};

/* --- what is to be measured --- */

static int by_size(const void *a, const void *b)
{
	const size_t x = *(const size_t *)a, y = *(const size_t *)b;
	return (x > y) - (x < y);
}

static void default_sizes(struct measuring *m)
{
	for (size_t n = m->rows.n; m->n < SIZES_UNTOLD && (n >= LEAST_ROWS || n == m->rows.n); n /= 2)
		m->sizes[m->n++] = n;
}

static int told_sizes(struct measuring *m, const char *at, struct err *e)
{
	m->sizes[m->n++] = m->rows.n;
	for (const char *text = at; *text; text += *text == ',') {
		char *end;
		unsigned long n = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
		if (n == 0 || (*end && (*end != ',' || !end[1])))
			return err_set(e, "--at %s: numbers of rows were wanted, as 100,200,400", at);
		if (n > m->rows.n)
			return err_set(e, "--at %lu: %s was trained on %zu rows", n, m->o->run, m->rows.n);
		if (m->n == POINTS)
			return err_set(e, "--at: at most %d sizes were wanted", POINTS - 1);
		m->sizes[m->n++] = n;
		text = end;
	}
	return 0;
}

static int choose_sizes(struct measuring *m, struct err *e)
{
	size_t kept = 0;

	if (m->o->at && told_sizes(m, m->o->at, e) < 0)
		return -1;
	if (!m->o->at)
		default_sizes(m);
	qsort(m->sizes, m->n, sizeof(*m->sizes), by_size);
	for (size_t i = 0; i < m->n; i++)
		if (i == 0 || m->sizes[i] != m->sizes[kept - 1])
			m->sizes[kept++] = m->sizes[i];
	m->n = kept;
	if (m->n < 3)
		return err_set(e,
		               "%s: it was trained on %zu rows, and a curve wants at least two smaller sizes; --at "
		               "N,N,… names them",
		               m->o->run, m->rows.n);
	return 0;
}

static int read_recipe(struct measuring *m, const char *dir, struct err *e)
{
	char *path = io_join(dir, "recipe.json");
	int status = (m->record = jsonx_load_file(path, e)) ? 0 : -1;

	if (!status && recipe_load(&m->recipe, &m->parse, m->record, e) < 0)
		status = err_prefix(e, "%s", path);
	mem_free(path);
	return status;
}

static int read_facts(struct measuring *m, const char *dir, struct err *e)
{
	char *path = io_join(dir, "run.json");
	json_t *facts = jsonx_load_file(path, e);
	const char *state = json_string_value(json_object_get(facts, "status"));
	const json_t *seconds = json_object_get(json_object_get(facts, "results"), "seconds");
	int status = facts ? 0 : -1;

	if (!status && (!state || strcmp(state, "finished") != 0))
		status = err_set(e, "%s: this run is not finished; kungfu resume %s ends it", dir, dir);
	m->run_seconds = json_is_number(seconds) ? json_number_value(seconds) : NAN;
	json_decref(facts);
	mem_free(path);
	return status;
}

/* The run's folder: as the ledger knows it, or where it is now. */
static int read_run(struct measuring *m, struct err *e)
{
	const char *dir = m->origin.directory;
	char *own = io_join(m->o->run, "recipe.json");

	if (io_exists(own))
		dir = m->o->run;
	mem_free(own);
	if (!dir)
		return err_set(e, "%s: the ledger does not know its folder", m->o->run);
	if (read_recipe(m, dir, e) < 0 || read_facts(m, dir, e) < 0)
		return -1;
	size_t length = strlen(dir);
	while (length > 1 && dir[length - 1] == '/')
		length--;
	m->recipe.out = arena_strdup(&m->mem, dir);
	m->dir = m->o->runs ? mem_strdup(m->o->runs) : mem_printf("%.*s-marginal", (int)length, dir);
	return 0;
}

static int read_rows(struct measuring *m, struct err *e)
{
	struct measure *o = m->o;
	struct rows eval;

	o->eval_data = o->eval_data ? o->eval_data : m->recipe.eval_data;
	if (!o->eval_data)
		return err_set(e, "%s: the run has no evaluation rows; --eval-data FILE names some", o->run);
	o->eval_data = arena_strdup(&m->mem, o->eval_data);
	if (rows_load(&eval, o->eval_data, e) < 0)
		return -1;
	memcpy(o->data, eval.hash, sizeof(o->data));
	rows_release(&eval);
	return rows_load(&m->rows, m->recipe.data, e);
}

/* --- files beside the runs --- */

/* One that is there already must be the same: it belongs to runs that are not made again. */
static int write_once(const struct measuring *m, const char *path, const struct buf *text, struct err *e)
{
	struct buf old = BUF_INIT;
	int status = 0;

	if (!io_exists(path))
		return io_write(path, buf_str(text), text->len, e);
	if (io_read(&old, path, e) < 0)
		status = -1;
	else if (old.len != text->len || memcmp(buf_str(&old), buf_str(text), text->len) != 0)
		status = err_set(e, "%s is of another run or of other rows; --runs DIR names another folder than %s",
		                 path, m->dir);
	buf_release(&old);
	return status;
}

static void add_line(struct buf *text, const json_t *j)
{
	char *line = jsonx_line(j);
	buf_addf(text, "%s\n", line);
	mem_free(line);
}

/* What tune has no option for: those of a model from nothing. */
struct alone { struct recipe r; };
static const struct opt no_options_of_tune[] = { RECIPE_NEW_OPTS(struct alone, r), OPT_END };

static int write_recipe(const struct measuring *m, struct err *e)
{
	static const char *const own[] = { "data", "out", "overwrite" };
	json_t *j = json_copy(m->record);
	char *path = io_join(m->dir, "recipe.yaml");
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		json_object_del(j, own[i]);
	for (const struct opt *o = no_options_of_tune; o->type != OPT_TYPE_END; o++) {
		char *key = mem_strdup(o->name);
		for (char *p = key; (p = strchr(p, '-'));)
			*p = '_';
		json_object_del(j, key);
		mem_free(key);
	}
	add_line(&text, j); /* JSON is YAML */
	int status = write_once(m, path, &text, e);
	buf_release(&text);
	mem_free(path);
	json_decref(j);
	return status;
}

static int write_subset(const struct measuring *m, const char *path, size_t n, struct err *e)
{
	const struct rng_key key = { (uint64_t)m->recipe.seed, RNG_SHUFFLE };
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		add_line(&text, m->rows.items[rng_permute(key, 0, m->rows.n, i)].json);
	int status = text.overflow ? err_set(e, "%s: a subset of more than 1 GB is not written", path) :
	                             write_once(m, path, &text, e);
	buf_release(&text);
	return status;
}

/* --- a child --- */

static void word(struct measuring *m, const char *text)
{
	if (m->n_words + 1 >= WORDS)
		BUG("more than %d words", WORDS);
	m->argv[m->n_words++] = arena_strdup(&m->mem, text);
	m->argv[m->n_words] = NULL;
}

static void option(struct measuring *m, const char *name, const char *value)
{
	if (!value)
		return;
	word(m, name);
	word(m, value);
}

static void words_begin(struct measuring *m, const char *command)
{
	m->n_words = 0;
	word(m, "kungfu");
	word(m, command);
}

static double left(double limit, double spent) { return limit - (isnan(spent) ? 0 : spent); }

static void limit_words(struct measuring *m)
{
	const struct gas_limit *l = &m->limit;
	struct buf text = BUF_INIT;

	if (!isnan(l->seconds))
		buf_addf(&text, "%.3f s", left(l->seconds, m->spent.seconds));
	if (!isnan(l->joules))
		buf_addf(&text, "%s%.3f J", text.len ? ", " : "", left(l->joules, m->spent.energy.joules));
	if (!isnan(l->money))
		buf_addf(&text, "%s%.9f %s", text.len ? ", " : "", left(l->money, m->spent.money.total), l->currency);
	if (text.len)
		option(m, "--max-gas", buf_str(&text));
	buf_release(&text);
}

static void words_end(struct measuring *m)
{
	const struct common *c = m->o->common;
	char threads[32];

	snprintf(threads, sizeof(threads), "%lld", (long long)c->threads);
	option(m, "--threads", threads);
	option(m, "--ledger", c->ledger);
	option(m, "--gas", c->gas);
	option(m, "--power-file", c->power_file);
	option(m, "--prices", c->prices);
	limit_words(m);
	word(m, "--json");
	word(m, "--quiet");
}

/* In the child. It stops as after Ctrl-C when we are killed, and holds the folder's lock until it has. */
static _Noreturn void become(const struct measuring *m, pid_t parent, int said, int complaint)
{
	int nothing = open("/dev/null", O_RDONLY);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 && dup2(said, STDOUT_FILENO) >= 0 &&
	    dup2(complaint, STDERR_FILENO) >= 0 && fcntl(m->lock, F_SETFD, 0) == 0)
		execv("/proc/self/exe", (char *const *)m->argv);
	_exit(EXIT_FAILED);
}

static int start(const struct measuring *m, const char *said, const char *complaint, pid_t *child, struct err *e)
{
	const int how = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC;
	int out = open(said, how, 0666), err = out < 0 ? -1 : open(complaint, how, 0666);
	pid_t parent = getpid();
	int status = err < 0 ? err_set(e, "%s cannot be written: %s", out < 0 ? said : complaint, strerror(errno)) : 0;

	if (!status && (*child = fork()) == 0)
		become(m, parent, out, err);
	if (!status && *child < 0)
		status = err_set(e, "kungfu %s cannot be started: %s", m->argv[1], strerror(errno));
	if (out >= 0)
		close(out);
	if (err >= 0)
		close(err);
	return status;
}

/* Seconds that the run's own rate foretells for a size. */
static double foretold(const struct measuring *m, size_t i)
{
	double share = m->recipe.max_steps > 0 ? 1 : (double)m->sizes[i] / (double)m->rows.n;
	return i + 1 == m->n ? 0 : m->run_seconds * share;
}

static double at_rate(const struct rate *r, double of) { return r->of > 0 ? of * r->seconds / r->of : of; }

static void show(const struct measuring *m, bool evaluates, double since)
{
	double seconds = evaluates ? 0 : at_rate(&m->tunes, foretold(m, m->at));
	char text[32];

	seconds += m->evals.of > 0 ? m->evals.seconds / m->evals.of : 0;
	seconds = fmax(0, seconds - since);
	for (size_t i = m->at + 1; i < m->n; i++)
		seconds += at_rate(&m->tunes, foretold(m, i)) + (m->evals.of > 0 ? m->evals.seconds / m->evals.of : 0);
	clock_human(seconds, text);
	log_live("%zu of %zu: %s %zu rows%s%s%s", m->at + 1, m->n,
	         evaluates ? "evaluating what was trained on" : "learning from", m->sizes[m->at],
	         isnan(seconds) ? "" : ", ", isnan(seconds) ? "" : text, isnan(seconds) ? "" : " left");
}

/* Until it ends. Ctrl-C reaches it from the terminal; a signal that only we got is passed on, once. */
static int wait_for(const struct measuring *m, pid_t child, bool evaluates)
{
	const struct timespec pause = { .tv_nsec = look_nanoseconds };
	double began = clock_seconds();
	bool told = false;
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (app_interrupted() && !told)
			told = kill(child, SIGTERM) == 0;
		show(m, evaluates, clock_seconds() - began);
		nanosleep(&pause, NULL);
	}
	return status;
}

/* The sentence of a child that failed. */
static int pass_on(const struct measuring *m, const char *complaint, int status, struct err *e)
{
	static const char mark[] = "kungfu: ";
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;
	const char *sentence = io_read(&text, complaint, &ignored) == 0 ? strstr(buf_str(&text), mark) : NULL;

	if (sentence)
		err_set(e, "%s on %zu rows: %.*s", m->argv[1], m->sizes[m->at],
		        (int)strcspn(sentence, "\n") - (int)strlen(mark), sentence + strlen(mark));
	else if (WIFSIGNALED(status))
		err_set(e, "%s on %zu rows was ended by signal %d; the same command goes on", m->argv[1],
		        m->sizes[m->at], WTERMSIG(status));
	else
		err_set(e, "%s on %zu rows failed with status %d", m->argv[1], m->sizes[m->at], WEXITSTATUS(status));
	buf_release(&text);
	return -1;
}

static void add_known(double *sum, const json_t *summary, const char *key)
{
	const json_t *x = json_object_get(summary, key);
	*sum += json_is_number(x) ? json_number_value(x) : 0;
}

static void count(struct measuring *m, const char *said, double seconds, bool evaluates)
{
	struct err ignored = ERR_INIT;
	json_t *summary = summary_load(said, &ignored);
	struct rate *r = evaluates ? &m->evals : &m->tunes;

	r->seconds += seconds;
	r->of += evaluates ? 1 : isnan(foretold(m, m->at)) ? 0 : foretold(m, m->at);
	m->spent.seconds += seconds;
	add_known(&m->spent.energy.joules, summary, "joules");
	add_known(&m->spent.money.total, summary, "money");
	json_decref(summary);
}

/* 0: done, its stdout is in `said`; 1: stopped; −1. */
static int child(struct measuring *m, const char *said, bool evaluates, struct err *e)
{
	char *complaint = io_join(m->dir, "stderr");
	double began = clock_seconds();
	pid_t pid = -1;
	int result = -1;

	words_end(m);
	if (start(m, said, complaint, &pid, e) == 0) {
		int status = wait_for(m, pid, evaluates);
		count(m, said, clock_seconds() - began, evaluates);
		if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_DONE)
			result = 0;
		else
			result = app_interrupted() || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_STOPPED) ?
			                 1 :
			                 pass_on(m, complaint, status, e);
	}
	unlink(complaint);
	mem_free(complaint);
	return result;
}

/* --- one size --- */

/* Is there a run in the folder, and has it ended? */
static bool run_began(const char *dir, bool *finished)
{
	char *recipe = io_join(dir, "recipe.json"), *path = io_join(dir, "run.json");
	struct err ignored = ERR_INIT;
	json_t *facts = io_exists(path) ? jsonx_load_file(path, &ignored) : NULL;
	const char *status = json_string_value(json_object_get(facts, "status"));
	bool began = io_exists(recipe);

	*finished = status && !strcmp(status, "finished");
	json_decref(facts);
	mem_free(recipe);
	mem_free(path);
	return began;
}

static void tune_words(struct measuring *m, const char *subset, const char *dir)
{
	char *recipe = io_join(m->dir, "recipe.yaml");

	words_begin(m, "tune");
	word(m, recipe);
	for (const char *line = m->origin.options; *line; line += strcspn(line, "\n") + 1) {
		char *one = mem_strndup(line, strcspn(line, "\n"));
		word(m, one);
		mem_free(one);
	}
	option(m, "--data", subset);
	option(m, "--out", dir);
	word(m, "--overwrite");
	mem_free(recipe);
}

static int learn(struct measuring *m, const char *dir, struct err *e)
{
	char *subset = mem_printf("%s.jsonl", dir), *said = io_join(m->dir, "stdout");
	bool finished, began = run_began(dir, &finished);
	int status = write_subset(m, subset, m->sizes[m->at], e);

	if (!status && !finished) {
		if (began) {
			words_begin(m, "resume");
			word(m, dir);
		} else {
			tune_words(m, subset, dir);
		}
		status = child(m, said, false, e);
		unlink(said);
	}
	mem_free(subset);
	mem_free(said);
	return status;
}

static int evaluate(struct measuring *m, const char *dir, struct err *e)
{
	char *done = mem_printf("%s/%zu-eval-%.8s.json", m->dir, m->sizes[m->at], m->o->data),
	     *said = mem_printf("%s.new", done);
	bool full = !method_adapter(m->recipe.method);
	int status = 0;

	if (!io_exists(done)) {
		words_begin(m, "eval");
		word(m, full ? dir : m->recipe.model);
		option(m, "--adapter", full ? NULL : dir);
		option(m, "--data", m->o->eval_data);
		if (m->recipe.apply_chat_template)
			word(m, "--apply-chat-template");
		status = child(m, said, true, e);
		if (!status && rename(said, done) < 0)
			status = err_set(e, "%s cannot be written: %s", done, strerror(errno));
		unlink(said);
	}
	mem_free(done);
	mem_free(said);
	return status;
}

static int measure_one(struct measuring *m, struct err *e)
{
	char *dir = m->at + 1 == m->n ? mem_strdup(m->recipe.out) : mem_printf("%s/%zu", m->dir, m->sizes[m->at]);
	int status = m->at + 1 == m->n ? 0 : learn(m, dir, e);

	if (!status)
		status = evaluate(m, dir, e);
	mem_free(dir);
	return status;
}

/* --- all --- */

static int prepare(struct measuring *m, struct err *e)
{
	const struct common *c = m->o->common;

	if (!strcmp(c->gas, "off"))
		return err_set(e, "--measure wants the meter, which --gas off turns off");
	char *ledger = metering_ledger_path(c);
	int status = metering_limit(&m->limit, c, e);
	if (status == 0)
		status = learning_origin(&m->origin, ledger, tune_opts, m->o->run, e);
	mem_free(ledger);
	if (status < 0 || read_run(m, e) < 0 || read_rows(m, e) < 0 || choose_sizes(m, e) < 0)
		return -1;
	char *lock = io_join(m->dir, "lock");
	status = io_mkdirs(m->dir, e) < 0 || io_lock(lock, &m->lock, e) < 0 ? -1 : write_recipe(m, e);
	mem_free(lock);
	return status;
}

int measure_runs(struct measure *o, struct err *e)
{
	struct measuring m = { .o = o, .mem = ARENA_INIT, .lock = -1 };
	int status = prepare(&m, e);

	app_catch_signals();
	for (; !status && m.at < m.n; m.at++) {
		char over[160];
		bool used_up = gas_limit_exceeded(&m.limit, &m.spent, over);
		status = used_up || app_interrupted() ? 1 : measure_one(&m, e);
		if (status)
			break;
	}
	log_live_end();
	if (m.lock >= 0)
		io_unlock(m.lock);
	if (status > 0)
		log_say("stopped after %zu of %zu sizes%s; the same command goes on", m.at, m.n,
		        app_interrupted() ? "" : ", --max-gas is used up");
	learning_origin_release(&m.origin);
	rows_release(&m.rows);
	opt_release(&m.parse);
	json_decref(m.record);
	mem_free(m.dir);
	arena_release(&m.mem);
	return status;
}
