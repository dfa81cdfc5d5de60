/* adapt_reward: what answers are worth, for goals of reward: by a model with one output (--reward-model), or by a
 * command of the person's own (--reward-command).
 *
 * The command is run by sh, once for all rows that were answered. On its standard input there is a line a row,
 * {"prompt": …, "answer": …}, with "wanted" where the row has an answer; it writes a number a line.
 *
 * A model reads prompt and answer as a conversation where it has a chat template, as transformers' reward models are
 * asked; an encoder without one as a pair of texts, another model as two lines. Or as --reward-template has it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/adapt/adapt_parts.h"
#include "cmd/metering.h"
#include "data/chat.h"
#include "data/enclosed.h"
#include "data/shape.h"
#include "infer/labeller.h"
#include "model/prepare.h"

enum { TOKENS = 1024 };

static const char *or_nothing(const char *text) { return text ? text : ""; }

/* --- by a command --- */

static int write_whole(int fd, const char *at, size_t n, struct err *e)
{
	while (n) {
		ssize_t k = write(fd, at, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_set(e, "--reward-command: its rows cannot be written: %s", strerror(errno));
		at += k;
		n -= (size_t)k;
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? err_set(e, "--reward-command: %s", strerror(errno)) : 0;
}

/* A file in memory with a line a row; −1 and a sentence. */
static int rows_of(const struct task *t, const size_t *at, const char *const *answers, size_t n, struct err *e)
{
	struct buf text = BUF_INIT;
	int fd = memfd_create("rows", MFD_CLOEXEC);

	if (fd < 0)
		return err_set(e, "--reward-command: no memory for its rows: %s", strerror(errno));
	for (size_t i = 0; i < n; i++) {
		const struct task_row *r = &t->rows[at[i]];
		json_t *j = json_object();
		json_object_set_new(j, "prompt", jsonx_text(r->text, strlen(r->text)));
		json_object_set_new(j, "answer", jsonx_text(answers[i], strlen(answers[i])));
		if (r->answer)
			json_object_set_new(j, "wanted", jsonx_text(r->answer, strlen(r->answer)));
		char *line = jsonx_line(j);
		buf_adds(&text, line);
		buf_addc(&text, '\n');
		mem_free(line);
		json_decref(j);
	}
	int status = write_whole(fd, buf_str(&text), text.len, e);
	buf_release(&text);
	if (status < 0)
		close(fd);
	return status < 0 ? -1 : fd;
}

static _Noreturn void become_command(const char *command, int in, int out)
{
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

/* What it writes, and its status as wait has it. */
static int run_command(const char *command, int in, struct buf *out, int *state, struct err *e)
{
	int ends[2], status = 0;
	char piece[4096];
	ssize_t n;

	if (pipe(ends) < 0)
		return err_set(e, "--reward-command: no pipe: %s", strerror(errno));
	pid_t child = fork();
	if (child == 0)
		become_command(command, in, ends[1]);
	close(ends[1]);
	if (child < 0)
		status = err_set(e, "--reward-command cannot be started: %s", strerror(errno));
	while (child > 0 && ((n = read(ends[0], piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0)
			buf_add(out, piece, (size_t)n);
	close(ends[0]);
	while (child > 0 && waitpid(child, state, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int read_numbers(const char *text, double *out, size_t n, const char *command, struct err *e)
{
	size_t k = 0;

	for (const char *at = text; *at; k++) {
		size_t length = strcspn(at, "\n");
		char *line = mem_strndup(at, length), *end;
		double x = strtod(line, &end);
		bool good = end != line && isfinite(x) && end[strspn(end, " \t\r")] == 0;
		if (!good)
			err_set(e, "--reward-command '%.80s': line %zu is '%.60s', where a number was wanted", command,
			        k + 1, line);
		mem_free(line);
		if (!good)
			return -1;
		if (k < n)
			out[k] = x;
		at += length + (at[length] == '\n');
	}
	if (k != n)
		return err_set(e, "--reward-command '%.80s' wrote %zu number%s for %zu row%s", command, k,
		               k == 1 ? "" : "s", n, n == 1 ? "" : "s");
	return 0;
}

static int by_command(struct adapt_reward *r, const struct task *t, const size_t *at, const char *const *answers,
                      size_t n, double *out, struct err *e)
{
	struct buf said = BUF_INIT;
	int state = 0, in = rows_of(t, at, answers, n, e);

	if (in < 0)
		return -1;
	int status = run_command(r->o->command, in, &said, &state, e);
	close(in);
	if (status == 0 && WIFSIGNALED(state))
		status = err_set(e, "--reward-command '%.80s' was ended by signal %d", r->o->command, WTERMSIG(state));
	else if (status == 0 && WEXITSTATUS(state))
		status =
			err_set(e, "--reward-command '%.80s' failed with status %d", r->o->command, WEXITSTATUS(state));
	if (status == 0)
		status = read_numbers(buf_str(&said), out, n, r->o->command, e);
	buf_release(&said);
	return status;
}

/* --- by a model --- */

static void fill_form(const char *form, const char *prompt, const char *answer, struct buf *out)
{
	static const char here[] = "{prompt}", there[] = "{answer}";

	for (const char *at = form; *at;) {
		if (!strncmp(at, here, strlen(here))) {
			buf_adds(out, prompt);
			at += strlen(here);
		} else if (!strncmp(at, there, strlen(there))) {
			buf_adds(out, answer);
			at += strlen(there);
		} else {
			buf_addc(out, *at++);
		}
	}
}

static int one_text(struct adapt_reward *r, const char *prompt, const char *answer, struct document *d,
                    struct arena *mem, struct err *e)
{
	const struct model *m = &r->l.model;
	bool encoder = m->config.arch->encoder, pair = encoder && !r->o->template_;
	struct buf text = BUF_INIT;

	if (pair)
		buf_adds(&text, prompt);
	else
		fill_form(r->o->template_ ? r->o->template_ : "{prompt}\n{answer}", prompt, answer, &text);
	struct enclosed x = {
		.text = buf_str(&text), .n = text.len, .pair = pair ? answer : NULL, .n_pair = pair ? strlen(answer) : 0
	};
	int status = enclose(&x, m->tokenizer, (size_t)m->config.n_ctx, e);
	if (status == 0)
		enclosed_document(d, mem, &x, encoder);
	d->second = model_types(m) > 1 ? x.second : 0;
	tokens_release(&x.ids);
	buf_release(&text);
	return status;
}

/* As the template writes it; its state after the last token is read, an encoder's after the first. */
static int one_conversation(struct adapt_reward *r, const char *prompt, const char *answer, struct document *d,
                            struct arena *mem, struct err *e)
{
	const struct text_codec codec = { r->l.model.tokenizer, r->l.chat };
	struct document_options o = { .max_length = r->l.model.config.n_ctx };
	json_t *row = json_pack("{s:[{s:s, s:o}, {s:s, s:o}]}", "messages", "role", "user", "content",
	                        jsonx_text(prompt, strlen(prompt)), "role", "assistant", "content",
	                        jsonx_text(answer, strlen(answer)));
	struct row one = { row, "--reward-model", 1 };
	struct rows rows = { .items = &one, .n = 1, .shape = shape_of(row) };
	struct documents docs;
	int status = documents_make(&docs, &rows, &codec, &o, e);

	if (status == 0) {
		const struct document *x = &docs.items[0];
		d->n = x->n;
		d->n_learn = 1;
		d->ids = arena_array(mem, (size_t)x->n, sizeof(*d->ids));
		d->learn = arena_array(mem, (size_t)x->n, 1);
		memcpy(d->ids, x->ids, (size_t)x->n * sizeof(*d->ids));
		d->learn[r->l.model.config.arch->encoder ? 0 : x->n - 1] = 1;
		documents_release(&docs);
	}
	json_decref(row);
	return status;
}

static int tick(void *ctx, size_t done, size_t total)
{
	(void)ctx, (void)done, (void)total;
	metering_tick();
	return app_interrupted();
}

static int label(struct adapt_reward *r, struct document *docs, size_t n, int32_t longest, double *out, struct err *e)
{
	const struct document **all = mem_array(n + 1, sizeof(struct document *));
	float *z = mem_array(n + 1, sizeof(*z));
	struct labeller *x = NULL;

	for (size_t i = 0; i < n; i++)
		all[i] = &docs[i];
	int status = labeller_new(&x, &r->l.model, loaded_overlay(&r->l), r->app->device, TOKENS, longest, e);
	if (status == 0)
		status = labeller_run(x, all, n, z, tick, NULL, e);
	for (size_t i = 0; i < n && status == 0; i++)
		out[i] = (double)z[i];
	labeller_free(x);
	mem_free(z);
	mem_free(all);
	return status;
}

static int by_model(struct adapt_reward *r, const struct task *t, const size_t *at, const char *const *answers,
                    size_t n, double *out, struct err *e)
{
	bool chat = r->l.chat && !r->o->template_;
	struct arena mem = ARENA_INIT;
	struct document *docs = arena_array(&mem, n + 1, sizeof(*docs));
	int32_t longest = 1;
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++) {
		docs[i] = (struct document){ .file = "--reward-model", .line = i + 1, .choice = -1, .adapter = -1 };
		status = (chat ? one_conversation : one_text)(r, t->rows[at[i]].text, answers[i], &docs[i], &mem, e);
		longest = MAX(longest, docs[i].n);
	}
	if (status == 0)
		status = label(r, docs, n, longest, out, e);
	arena_release(&mem);
	return status < 0 ? err_prefix(e, "--reward-model %s", r->o->model) : 0;
}

/* The model under an adapter's folder; NULL: it is a model itself. mem_free. */
static char *base_of(const char *path)
{
	char *file = io_join(path, "adapter_config.json");
	json_t *j = io_exists(file) ? jsonx_load_file(file, &(struct err){ .msg = "" }) : NULL;
	const char *base = json_string_value(json_object_get(j, "base_model_name_or_path"));
	char *out = base ? mem_strdup(base) : NULL;

	json_decref(j);
	mem_free(file);
	return out;
}

static int open_model(struct adapt_reward *r, struct err *e)
{
	char *base = base_of(r->o->model);
	int status = loaded_open(&r->l, base ? base : r->o->model, base ? r->o->model : NULL, e);

	mem_free(base);
	if (status < 0)
		return -1;
	r->open = true;
	if (!r->l.model.labels || r->l.model.labels->n != 1)
		return err_set(e, "%s has no head with one output: kungfu tune --objective regression trains one",
		               r->o->model);
	struct model *m = &r->l.model;
	if (model_prepare(m, r->app->pool, compute_from_name("f32", r->app->kernels), PREPARE_SCORE, e) < 0 ||
	    model_tokenizer_whole(m, e) < 0)
		return -1;
	return chat_template(&r->l.chat, m->tokenizer, e);
}

/* --- both --- */

static int judge(void *ctx, const struct task *t, const size_t *at, const char *const *answers, size_t n, double *out,
                 struct err *e)
{
	struct adapt_reward *r = ctx;
	int status = n ? (r->open ? by_model : by_command)(r, t, at, answers, n, out, e) : 0;

	r->failed = status < 0;
	return status;
}

const char *adapt_reward_contradiction(const struct reward_options *o)
{
	if (o->model && o->command)
		return "--reward-model and --reward-command both say what an answer is worth: one of them was wanted";
	if (o->template_ && !o->model)
		return "--reward-template is of --reward-model";
	if (o->template_ && (!strstr(o->template_, "{prompt}") || !strstr(o->template_, "{answer}")))
		return "--reward-template: {prompt} and {answer} were wanted in it";
	return NULL;
}

/* It is asked once, so that one that cannot answer shows before anything is spent. */
int adapt_reward_open(struct adapt_reward *r, struct app *app, const struct reward_options *o, struct ladder *l,
                      struct err *e)
{
	const char *answer = or_nothing(l->task->rows[0].answer);
	size_t first = 0;
	double x;

	*r = (struct adapt_reward){ .o = o, .app = app };
	if (!o->model && !o->command)
		return 0;
	if (o->model && open_model(r, e) < 0)
		return err_prefix(e, "--reward-model");
	if (o->model)
		metering_in("reward", o->model, NULL);
	l->reward = judge;
	l->reward_ctx = r;
	return judge(r, l->task, &first, &answer, 1, &x, e);
}

void adapt_reward_close(struct adapt_reward *r)
{
	if (r->open)
		loaded_close(&r->l);
	r->open = false;
}
