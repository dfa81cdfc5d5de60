/* feedback show: what people said so far. */
#include <math.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "feedback/agreement.h"
#include "feedback/said.h"

struct show { struct common common; };

static const struct opt show_opts[] = { COMMON_OPTS(struct show, common), OPT_END };

struct seen { size_t items, labels, raters; double seconds, timed; };

static void count_seconds(struct seen *x, const struct said *s)
{
	for (size_t i = 0; i < s->n_labels; i++) {
		if (isnan(s->labels[i].seconds))
			continue;
		x->seconds += s->labels[i].seconds;
		x->timed++;
	}
}

static void tell(struct app *app, const char *path, const struct said *s, const struct seen *x, double alpha)
{
	double each = x->timed > 0 ? x->seconds / x->timed : NAN;

	app_summary(app, json_pack("{s:o, s:s, s:o, s:I, s:I, s:I, s:o}", "feedback", jsonx_path(path), "ask",
	                           feedback_ask_names[s->study->ask], "krippendorff_alpha", jsonx_number(alpha), "items",
	                           (json_int_t)x->items, "labels", (json_int_t)x->labels, "raters",
	                           (json_int_t)x->raters, "seconds_per_label", jsonx_number(each)));
	if (app->json)
		return;
	app_print("%s: %s; %zu items, %zu labels by %zu raters\n", path, feedback_ask_names[s->study->ask], x->items,
	          x->labels, x->raters);
}

static int show(struct app *app, const char *path, struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct feedback *f;
	struct said said;
	struct seen x = { 0 };
	struct judgements j;

	if (feedback_open(&f, path, false, e) < 0)
		return -1;
	int status = said_load(&said, f, &mem, e) < 0 ? -1 : feedback_count(f, &x.items, &x.labels, &x.raters, e);
	if (status == 0) {
		count_seconds(&x, &said);
		judgements_of(&j, &said, &mem);
		tell(app, path, &said, &x,
		     krippendorff_alpha(&j, agreement_measurement(said.study->ask), &(struct resample){ 0 }).value);
	}
	feedback_close(f);
	arena_release(&mem);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	(void)options;
	app_catch_signals();
	return show(app, p->positional[0], e);
}

const struct command cmd_feedback_show = {
	.name = "feedback show",
	.summary = "what people said: agreement, standings, raters, price",
	.usage = "F.db",
	.example = "kungfu feedback show f.db",
	.looks = true,
	.order = 53,
	.opts = show_opts,
	.options_size = sizeof(struct show),
	.least = 1, .most = 1, .wanted = "one file of feedback was wanted",
	.run = run,
};
