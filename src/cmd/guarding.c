/* guarding: one guard for a command's texts. A log's line is {time, where, verdict, findings}, where a finding has the
 * SHA-256 of what was found, not its text: a short number can be found from its hash by trying, so a log is to be kept
 * as what it is about, and a new one is its owner's alone. */
#include "cmd/guarding.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"

static int open_all(struct guarding *x, struct app *app, const struct guarding_options *o, bool beside, struct err *e)
{
	*x = (struct guarding){ .o = o };
	if (!o->rules && (o->log || o->outputs || o->log_texts))
		return err_set(e, "--guard-log, --guard-log-texts and --guard-outputs go with --guard");
	if (!o->rules && (o->models.classifier || o->models.perplexity > 0))
		return err_set(e, "--guard-classifier and --guard-perplexity go with --guard");
	if (o->log_texts && !o->log)
		return err_set(e, "--guard-log-texts goes with --guard-log");
	if (beside && o->models.perplexity > 0 && !strcmp(o->models.odd_verdict, "redact"))
		return err_set(e, "--guard-perplexity-verdict redact: what a prompt costs is known when it was read, "
		                  "so a server flags or refuses");
	if (!o->rules)
		return 0;
	if (guard_open(&x->guard, o->rules, e) < 0)
		return -1;
	if (beside && o->models.classifier) {
		x->pool = pool_new(1);
		x->device = device_cpu(app->kernels, x->pool);
	}
	if (guard_models_open(&x->models, app, &o->models, x->pool ? &x->device : NULL, e) < 0) {
		guard_close(x->guard);
		x->guard = NULL;
		pool_free(x->pool);
		return -1;
	}
	pthread_mutex_init(&x->looking, NULL);
	x->scratch = guard_scratch_new(x->guard);
	pthread_mutex_init(&x->lock, NULL);
	return 0;
}

int guarding_open(struct guarding *x, struct app *app, const struct guarding_options *o, struct err *e)
{
	return open_all(x, app, o, false, e);
}

int guarding_open_beside(struct guarding *x, struct app *app, const struct guarding_options *o, struct err *e)
{
	return open_all(x, app, o, true, e);
}

static int write_log(const struct guarding *x, const char *where, const struct guard_result *r, const char *text,
                     struct err *e)
{
	if (!x->o->log || (r->verdict == GUARD_ALLOW && !r->capped))
		return 0;
	json_t *j = guard_json(r, text, x->o->log_texts);
	json_object_set_new(j, "time", json_integer((json_int_t)time(NULL)));
	json_object_set_new(j, "where", jsonx_path(where));
	char *line = jsonx_line(j), *whole = mem_printf("%s\n", line);
	int fd = open(x->o->log, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	int status = io_append(x->o->log, whole, strlen(whole), e);
	mem_free(line);
	mem_free(whole);
	json_decref(j);
	return status;
}

/* Counts, and says what is not refused: that is the caller's to say. */
static void tell(struct guarding *x, const char *where, const struct guard_result *r)
{
	pthread_mutex_lock(&x->lock);
	x->texts++;
	x->flagged += r->verdict == GUARD_FLAG;
	x->redacted += r->verdict == GUARD_REDACT;
	x->refused += r->verdict == GUARD_REFUSE;
	pthread_mutex_unlock(&x->lock);
	if (r->verdict != GUARD_FLAG && r->verdict != GUARD_REDACT)
		return;
	const struct guard_finding *f = guard_gravest(r);
	log_warn("%s: %s by the guard: %s at bytes %zu to %zu%s%s%s", where,
	         r->verdict == GUARD_REDACT ? "redacted" : "flagged", f->rule, f->begin, f->end,
	         f->path[0] ? ", in " : "", f->path, r->n > 1 ? ", and more" : "");
}

int guarding_text(struct guarding *x, const char *where, const char *text, size_t n, struct buf *redacted,
                  struct err *e)
{
	struct guard_result r;

	if (!x->guard)
		return 0;
	guard_look(x->scratch, text, n, &r);
	int status = guard_models_look(x->models, text, n, &r, e);
	if (status < 0) {
		guard_result_release(&r);
		return err_prefix(e, "%s", where);
	}
	tell(x, where, &r);
	status = write_log(x, where, &r, text, e);
	if (status == 0 && r.verdict == GUARD_REFUSE) {
		const struct guard_finding *f = guard_gravest(&r);
		status = err_set(e, "%s: refused by the guard: %s at bytes %zu to %zu%s%s", where, f->rule, f->begin,
		                 f->end, f->path[0] ? ", in " : "", f->path);
	}
	if (status == 0 && r.verdict == GUARD_REDACT)
		guard_redact(&r, text, n, redacted);
	guard_result_release(&r);
	return status;
}

void guarding_more(void *guarding, const char *text, size_t n, struct guard_result *r)
{
	struct guarding *x = guarding;
	struct err e = ERR_INIT;

	pthread_mutex_lock(&x->looking);
	int status = guard_models_look(x->models, text, n, r, &e);
	pthread_mutex_unlock(&x->looking);
	if (status == 0)
		return;
	log_warn("%s: the text is refused", e.msg);
	guard_add(r, "classifier.error", GUARD_REFUSE, 0, n, 1);
}

void guarding_told(void *guarding, const char *where, const char *text, const struct guard_result *r)
{
	struct guarding *x = guarding;
	struct err e = ERR_INIT;

	tell(x, where, r);
	if (r->verdict == GUARD_REFUSE)
		log_warn("%s: refused by the guard: %s", where, guard_gravest(r)->rule);
	if (write_log(x, where, r, text, &e) < 0)
		log_warn("%s", e.msg);
}

/* --- rows and answers --- */

static int look_in(struct guarding *x, const char *where, json_t *value, json_t **instead, int depth, struct err *e)
{
	struct buf other = BUF_INIT;
	const char *key;
	json_t *item, *changed = NULL;
	size_t i;
	void *next;
	int status = 0;

	if (json_is_string(value)) {
		status = guarding_text(x, where, json_string_value(value), json_string_length(value), &other, e);
		*instead = other.len ? jsonx_text(other.data, other.len) : NULL;
		buf_release(&other);
		return status;
	}
	if (depth > 20)
		return 0;
	json_array_foreach(value, i, item)
		if (status == 0 && (status = look_in(x, where, item, &changed, depth + 1, e)) == 0 && changed) {
			json_array_set_new(value, i, changed);
			changed = NULL;
		}
	json_object_foreach_safe(value, next, key, item)
		if (status == 0 && (status = look_in(x, where, item, &changed, depth + 1, e)) == 0 && changed) {
			json_object_set_new(value, key, changed);
			changed = NULL;
		}
	return status;
}

int guarding_rows(struct guarding *x, const struct rows *r, struct findings *bad, struct err *e)
{
	for (size_t i = 0; i < r->n && x->guard; i++) {
		const struct row *row = &r->items[i];
		char *where = mem_printf("%s:%zu", row->file, row->line);
		json_t *changed = NULL;
		int status = look_in(x, where, row->json, &changed, 0, e);
		mem_free(where);
		if (status < 0 && !findings_take(bad, row->file, row->line, e))
			return -1;
	}
	return 0;
}

int guarding_answer(struct guarding *x, const char *where, struct generation *g, struct err *e)
{
	struct buf other = BUF_INIT;
	struct err refusal = ERR_INIT;

	if (!x->guard || !x->o->outputs || !g->text.len)
		return 0;
	size_t refused = x->refused;
	int status = guarding_text(x, where, buf_str(&g->text), g->text.len, &other, &refusal);
	if (status < 0 && x->refused == refused)
		return err_set(e, "%s", refusal.msg);
	if (status < 0) {
		log_warn("%s", refusal.msg);
		g->finish = FINISH_FILTER;
	}
	if (status < 0 || other.len) {
		buf_release(&g->text);
		g->text = other;
		g->ids.n = 0;
	}
	return 0;
}

json_t *guarding_json(const struct guarding *x)
{
	return !x->guard ? NULL :
	                   json_pack("{s:I, s:I, s:I, s:I}", "texts", (json_int_t)x->texts, "flagged",
	                             (json_int_t)x->flagged, "redacted", (json_int_t)x->redacted, "refused",
	                             (json_int_t)x->refused);
}

void guarding_close(struct guarding *x)
{
	if (!x->guard)
		return;
	pthread_mutex_destroy(&x->lock);
	pthread_mutex_destroy(&x->looking);
	guard_scratch_free(x->scratch);
	guard_models_close(x->models);
	guard_close(x->guard);
	pool_free(x->pool);
	x->pool = NULL;
	x->models = NULL;
	x->scratch = NULL;
	x->guard = NULL;
}
