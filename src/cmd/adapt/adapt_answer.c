/* adapt_answer: rows judged by a cascade that `kungfu adapt` left: each by its cheap way, and where that is not sure by
 * the dear one, as the rung itself answers them. */
#include <math.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/adapt/adapt_parts.h"
#include "cmd/label_view.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"

bool cascade_is(const char *path)
{
	struct err ignored = ERR_INIT;
	struct adapted a;
	bool is = adapted_is(path) && adapted_open(&a, path, &ignored) == 0;

	if (is) {
		is = a.first != NULL;
		adapted_close(&a);
	}
	return is;
}

static int show_answering(void *ctx, const struct evaluate_progress *p)
{
	(void)ctx;
	metering_tick();
	if (p->seconds >= 2)
		log_live("answering: %.0f %%  %s", 100.0 * (double)p->done / (double)p->total, metering_live());
	return app_interrupted();
}

static void report(struct app *app, const struct task *t, const size_t *at, const struct outcome *out)
{
	struct estimate acc = task_score(t, MEASURE_ACCURACY, at, out, t->n),
			f1 = task_score(t, MEASURE_F1, at, out, t->n);
	json_t *j = json_pack("{s:s, s:I}", "shape", shape_name(t->shape), "n", (json_int_t)t->n);

	log_live_end();
	put_estimate(j, "acc", &acc);
	put_estimate(j, "f1", &f1);
	app_summary(app, j);
	if (app->json)
		return;
	app_print("%zu rows of %s, by two ways\n", t->n, shape_name(t->shape));
	show_estimate("acc", &acc, "rows");
	show_estimate("f1", &f1, "rows");
}

static int judge(struct app *app, const struct adapted *a, const struct task *t, struct ladder *l, struct err *e)
{
	size_t n, *at = task_side(t, SIDE_TEST, &n);
	struct outcome *out = mem_array(n + 1, sizeof(*out));
	const struct rung *r = rung_find("cascade");
	int status = r->answer(l, a->dir, at, n, out, e);

	if (status == 0)
		report(app, t, at, out);
	mem_free(out);
	mem_free(at);
	return status;
}

static int open_documents(struct adapt_documents *d, struct app *app, const struct adapted *a, struct ladder *l,
                          struct err *e)
{
	struct sources_options o;

	sources_of_artefact(&o, a->documents);
	return adapt_documents_open(d, app, &o, l, e);
}

int cascade_eval(struct app *app, const struct cascade_eval *o, struct err *e)
{
	struct split_options all = { .test = 1 };
	struct adapted a;
	struct task t;

	if (adapted_open(&a, o->path, e) < 0)
		return -1;
	int status = task_open(&t, o->rows, NULL, &all, e);
	if (status == 0) {
		struct base_model base = { .path = json_string_value(json_object_get(a.json, "base")) };
		struct ladder l = { .task = &t,
			            .on = &base,
			            .dir = o->path,
			            .device = app->device,
			            .compute = o->compute,
			            .apply_chat_template = o->apply_chat_template,
			            .micro_batch_tokens = o->micro_batch_tokens,
			            .progress = show_answering };
		struct adapt_documents d = { .open = false };
		metering_in("model", o->path, NULL);
		app->compute = o->compute;
		if (a.documents)
			status = open_documents(&d, app, &a, &l, e);
		if (status == 0)
			status = judge(app, &a, &t, &l, e);
		ladder_close(&l);
		adapt_documents_close(&d);
		task_release(&t);
	}
	adapted_close(&a);
	return status;
}
