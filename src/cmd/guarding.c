/* guarding: one guard for a command's texts. A log's line is {time, where, verdict, findings}, where a finding has the
 * SHA-256 of what was found, not its text: a short number can be found from its hash by trying, so a log is to be kept
 * as what it is about. */
#include "cmd/guarding.h"

#include <string.h>
#include <time.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"

int guarding_open(struct guarding *x, const struct guarding_options *o, struct err *e)
{
	*x = (struct guarding){ .o = o };
	if (!o->rules && (o->log || o->outputs || o->log_texts))
		return err_set(e, "--guard-log, --guard-log-texts and --guard-outputs go with --guard");
	if (o->log_texts && !o->log)
		return err_set(e, "--guard-log-texts goes with --guard-log");
	if (!o->rules)
		return 0;
	if (guard_open(&x->guard, o->rules, e) < 0)
		return -1;
	x->scratch = guard_scratch_new(x->guard);
	return 0;
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
	int status = io_append(x->o->log, whole, strlen(whole), e);
	mem_free(line);
	mem_free(whole);
	json_decref(j);
	return status;
}

static const struct guard_finding *gravest(const struct guard_result *r)
{
	const struct guard_finding *f = r->findings;

	for (size_t i = 1; i < r->n; i++)
		if (r->findings[i].verdict > f->verdict)
			f = &r->findings[i];
	return f;
}

static int decide(struct guarding *x, const char *where, const struct guard_result *r, struct err *e)
{
	if (r->verdict == GUARD_ALLOW)
		return 0;
	const struct guard_finding *f = gravest(r);
	const char *in = f->path[0] ? ", in " : "";

	x->flagged += r->verdict == GUARD_FLAG;
	x->redacted += r->verdict == GUARD_REDACT;
	x->refused += r->verdict == GUARD_REFUSE;
	if (r->verdict == GUARD_REFUSE)
		return err_set(e, "%s is refused by the guard: %s at bytes %zu to %zu%s%s", where, f->rule, f->begin,
		               f->end, in, f->path);
	log_warn("%s: %s by the guard: %s at bytes %zu to %zu%s%s%s", where,
	         r->verdict == GUARD_REDACT ? "redacted" : "flagged", f->rule, f->begin, f->end, in, f->path,
	         r->n > 1 ? ", and more" : "");
	return 0;
}

int guarding_text(struct guarding *x, const char *where, const char *text, size_t n, struct buf *redacted,
                  struct err *e)
{
	struct guard_result r;

	if (!x->guard)
		return 0;
	x->texts++;
	guard_look(x->scratch, text, n, &r);
	int status = write_log(x, where, &r, text, e) < 0 ? -1 : decide(x, where, &r, e);
	if (status == 0 && r.verdict == GUARD_REDACT)
		guard_redact(&r, text, n, redacted);
	guard_result_release(&r);
	return status;
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
	guard_scratch_free(x->scratch);
	guard_close(x->guard);
	x->scratch = NULL;
	x->guard = NULL;
}
