/* estimate: a prediction shown, kept, or judged against --max-gas: to a person as lines, under --json as one
 * object; `plan` ends there. */
#include "cmd/estimate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "cmd/metering.h"

/* What a plan says on stdout it says on stderr where a run says it. */
static void print_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *line = sentence_vprintf(fmt, ap);
	va_end(ap);
	app_print("%s\n", line);
	mem_free(line);
}

static void show_sums(const struct predicted *p, const struct predicted_spans *s, say_fn *say)
{
	char bytes[32], time[32], low[32], high[32], count[120];

	human_bytes((size_t)p->bytes, bytes);
	predict_human(s->seconds.mid, time);
	predict_human(s->seconds.low, low);
	predict_human(s->seconds.high, high);
	if (isnan(p->flops))
		say("  %s of memory, about %s (90 %%: %s to %s)", bytes, time, low, high);
	else
		say("  %s of memory, about %s (90 %%: %s to %s), %s", bytes, time, low, high,
		    gas_operations(p->flops, p->int_ops, count));
	human_bytes((size_t)s->bytes.low, low);
	human_bytes((size_t)s->bytes.high, high);
	if (s->past)
		say("  memory 90 %%: %s to %s; fitted to %zu past runs", low, high, s->past);
}

static void show_phases(const struct predicted *p, say_fn *say)
{
	char text[32];

	for (size_t i = 0; i < p->n_phases; i++)
		if (p->phase[i].amount > 0) {
			predict_human(p->phase[i].amount, text);
			say("  %-12s %9s  %s", p->phase[i].name, text, p->phase[i].why ? p->phase[i].why : "");
		}
}

static void show_parts(const struct predicted *p, say_fn *say)
{
	char text[32];

	for (size_t i = 0; i < p->n_parts; i++)
		if (p->part[i].amount > 0)
			say("  %-12s %9s  %s", p->part[i].name, human_bytes((size_t)p->part[i].amount, text),
			    p->part[i].why);
}

static void show(const struct app *app, const struct predicted *p, const struct predicted_spans *s, const struct gas *g,
                 const struct planned_options *o, say_fn *say)
{
	char text[400];

	if (o->lines)
		o->lines(o->ctx, say);
	show_sums(p, s, say);
	show_parts(p, say);
	if (!app->plans)
		return;
	show_phases(p, say);
	gas_text(g, text);
	if (text[0])
		say("  %s", text);
}

int planned(struct app *app, struct predicted *p, const struct planned_options *o, struct err *e)
{
	static const struct planned_options usual;
	struct predicted_spans s;
	struct gas g;
	json_t *plan;

	if (!o)
		o = &usual;
	predict_open(p, metering_seconds());
	int status = metering_plan(p, o->facts, &plan, &s, &g, e);
	if (app->plans && app->json)
		app_json(plan);
	else if (app->plans)
		show(app, p, &s, &g, o, print_line);
	else if (o->always)
		show(app, p, &s, &g, o, log_say);
	if (o->kept && status == 0 && !app->plans)
		*o->kept = json_incref(plan);
	json_decref(plan);
	if (status < 0 || !app->plans)
		return status;
	app_plan_shown();
	return -1;
}
