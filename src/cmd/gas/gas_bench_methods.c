/* gas bench methods: what each way to adapt a model costs, side by side in one run: numbers that are trained, the size
 * of what is saved, tokens a second and memory of training, and what an answer waits for with the result: for its
 * first token, which is a prompt of as many tokens as a document has, and for each that follows.
 *
 * Answers are timed in turns with the model as it is, so that what the machine does beside shows in both.
 *
 * Every row of the table with its own defaults, as it is when it is new: what it has learned changes no time. All
 * weights are read as f32 over the model, which is what their result holds. What a model cannot have says why. */
#include "cmd/gas/gas_bench_methods.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/env.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/text_table.h"
#include "model/weights.h"
#include "train/bench_passes.h"
#include "train/method.h"

enum { ROWS = 64, DECODED = 32 };
#define SEED 42

struct timed {
	const char *method;            /* NULL: the model as it is */
	char *why;                     /* it is not there; NULL: it is */
	struct trainer_plan plan;
	double seconds;                /* of its training, planned */
	double rate, low, high;        /* of training, tokens a second */
	size_t used_bytes, file_bytes;
	double first, each;            /* seconds */
	double first_ratio, each_ratio; /* over those of the model as it is, timed just before */
};

struct side_by_side {
	struct app *app;
	const struct bench_methods *o;
	int length;
	size_t n;
	struct timed base, row[ROWS];
};

static struct bench_training training_of(const struct side_by_side *s, const struct timed *r)
{
	return (struct bench_training){ s->o->model, r->method, method_adapter(r->method) ? s->o->compute : "f32",
		                        s->length, TRAIN_DOCUMENTS };
}

static void hush(const struct side_by_side *s, bool on)
{
	log_set(on || s->app->quiet ? LOG_QUIET : LOG_NORMAL);
}

static void leave_out(struct timed *r, const struct err *why)
{
	r->why = mem_strdup(why->msg);
}

/* --- before it --- */

static int plan_rows(struct side_by_side *s, struct err *e)
{
	struct predicted p;
	size_t bytes = 0, fine = 0;
	double all = 0;

	predict_begin(&p, "gas bench methods %s", s->o->compute);
	for (size_t i = 0; i < s->n; i++) {
		struct timed *r = &s->row[i];
		struct err why = ERR_INIT;
		log_live("%zu of %zu: planning, %s", i + 1, s->n, r->method);
		struct bench_training what = training_of(s, r);
		hush(s, true);
		int status = bench_train_plan(s->app->device, &what, &r->plan, &why);
		hush(s, false);
		if (status < 0) {
			leave_out(r, &why);
			continue;
		}
		r->seconds = r->plan.open_seconds + r->plan.start_seconds +
		             (s->o->repetitions + 1) * r->plan.step_seconds;
		all += r->seconds;
		bytes = MAX(bytes, r->plan.planned_bytes);
		fine++;
	}
	log_live_end();
	if (!fine)
		return err_set(e, "%s: no method trains it: %s", s->o->model, s->row[0].why);
	predict_phase(&p, "training", all);
	predict_phase(&p, "answers", all); /* they take about as long */
	p.loose_seconds += all;
	predict_part(&p, "work", (double)bytes, "the largest of them, the program with it");
	return planned(s->app, &p, NULL, e);
}

/* The i-th begins; after it come the others, and as many rounds of all of them. */
static void tell(const struct side_by_side *s, const char *doing, size_t i, int rounds)
{
	double left = 0;
	char time[32];

	for (size_t j = 0; j < s->n; j++)
		left += s->row[j].why ? 0 : s->row[j].seconds * ((j >= i) + rounds);
	clock_human(left, time);
	log_live("%zu of %zu: %s, %s  about %s left  %s", i + 1, s->n, doing, s->row[i].method, time, metering_live());
}

/* --- training --- */

static int train_rows(struct side_by_side *s, struct err *e)
{
	static struct bench_result r;

	for (size_t i = 0; i < s->n; i++) {
		struct timed *row = &s->row[i];
		struct bench_training what = training_of(s, row);
		if (row->why)
			continue;
		tell(s, "training", i, 1);
		hush(s, true);
		int status = bench_train(s->app->device, metering_watch(), &what, s->o->repetitions, &r, e);
		hush(s, false);
		if (status < 0)
			return err_prefix(e, "%s", row->method);
		bench_rates(&r, &row->rate, &row->low, &row->high);
		row->used_bytes = r.used_bytes;
		metering_tick();
	}
	log_live_end();
	return 0;
}

/* --- answers --- */

static int time_answers(struct side_by_side *s, struct model *m, const struct overlay *o, struct timed *out,
                        struct err *e)
{
	static struct bench_result r;
	int virtual = overlays_virtual(o), most = MAX(m->config.n_ctx - virtual - 1, 1);
	struct cache_types usual = cache_types(&(struct cache_options){ "f16", "f16" });
	struct bench_inference prompt = { .n = MIN(s->length, most), .streams = 1, .cache = usual, .overlay = o };
	struct bench_inference single = { .n = MIN((int)DECODED, most), .streams = 1, .cache = usual, .overlay = o };
	double low, high, rate;

	if (bench_prefill(s->app->device, metering_watch(), m, &prompt, s->o->repetitions, &r, e) < 0)
		return -1;
	bench_rates(&r, &rate, &low, &high);
	out->first = (double)r.tokens / rate;
	if (bench_decode(s->app->device, metering_watch(), m, &single, s->o->repetitions, &r, e) < 0)
		return -1;
	bench_rates(&r, &rate, &low, &high);
	out->each = 1 / rate;
	metering_tick();
	return 0;
}

/* Bytes of all files that a new one is saved as. */
static int saved_size(const struct adapter *a, const struct model *m, size_t *bytes, struct err *e)
{
	const char *tmp = env_get("TMPDIR");
	char *place = mem_printf("%s/kungfu-bench-XXXXXX", tmp ? tmp : "/tmp");
	int status = io_temporary_dir(place, e);

	*bytes = 0;
	if (status == 0) {
		status = adapter_save(a, m, place, e);
		for (size_t i = 0; adapter_files[i] && status == 0; i++) {
			char *file = io_join(place, adapter_files[i]);
			size_t size = 0;
			if (io_exists(file))
				status = io_size(file, &size, e);
			*bytes += size;
			mem_free(file);
		}
		io_remove_tree(place, NULL);
	}
	mem_free(place);
	return status;
}

static int answer_adapted(struct side_by_side *s, struct model *m, struct timed *row, struct err *e)
{
	struct adapter a;

	if (adapter_new_named(&a, row->method, m, (const char *const[]){ NULL }, SEED, e) < 0)
		return -1;
	int status = saved_size(&a, m, &row->file_bytes, e);
	if (status == 0)
		status = time_answers(s, m, &a.overlay, row, e);
	adapter_release(&a);
	return status;
}

/* All weights, in f32: their result is a model. */
static int answer_full(struct side_by_side *s, struct model *m, struct timed *row, struct err *e)
{
	struct overlay o;
	int status;

	overlay_init(&o, m);
	overlay_replace_all(&o, m);
	status = params_seal(&o.params, e);
	for (size_t i = 0; i < o.params.n_items && status == 0; i++) {
		const struct param *p = &o.params.items[i];
		model_weight_float(m, p->weight, o.params.w + p->offset);
		weight_convert(m, p->weight, o.params.w + p->offset, false);
	}
	if (status == 0)
		status = time_answers(s, m, &o, row, e);
	row->file_bytes = params_count(&o.params) * sizeof(float);
	overlay_release(&o);
	return status;
}

static int answer_rows(struct side_by_side *s, struct model *m, struct err *e)
{
	struct timed base;
	int status = 0, n = 0;

	for (size_t i = 0; i < s->n && status == 0; i++) {
		struct timed *row = &s->row[i];
		if (row->why)
			continue;
		tell(s, "answers", i, 0);
		if (time_answers(s, m, NULL, &base, e) < 0)
			return -1;
		status = (method_adapter(row->method) ? answer_adapted : answer_full)(s, m, row, e);
		if (status < 0)
			err_prefix(e, "%s", row->method);
		row->first_ratio = row->first / base.first;
		row->each_ratio = row->each / base.each;
		s->base.first += base.first;
		s->base.each += base.each;
		n++;
	}
	s->base = (struct timed){ .first = s->base.first / n, .each = s->base.each / n, .first_ratio = 1,
		                  .each_ratio = 1, .file_bytes = source_bytes(&m->source) };
	log_live_end();
	return status;
}

/* --- showing --- */

static void put_row(const struct timed *r)
{
	json_t *j = json_pack("{s:s}", "method", r->method ? r->method : "none");

	if (r->why) {
		json_object_set_new(j, "why_not", json_string(r->why));
	} else {
		json_object_set_new(j, "file_bytes", json_integer((json_int_t)r->file_bytes));
		json_object_set_new(j, "first_token_seconds", jsonx_number(r->first));
		json_object_set_new(j, "token_seconds", jsonx_number(r->each));
		json_object_set_new(j, "first_token_ratio", jsonx_number(r->first_ratio));
		json_object_set_new(j, "token_ratio", jsonx_number(r->each_ratio));
	}
	if (r->method && !r->why) {
		json_object_set_new(j, "trainable_parameters", json_integer((json_int_t)r->plan.trainable));
		json_object_set_new(j, "tokens_per_second", jsonx_number(r->rate));
		json_object_set_new(j, "tokens_per_second_spread", json_pack("[f, f]", r->low, r->high));
		json_object_set_new(j, "used_bytes", json_integer((json_int_t)r->used_bytes));
		json_object_set_new(j, "planned_bytes", json_integer((json_int_t)r->plan.planned_bytes));
	}
	app_json(j);
	json_decref(j);
}

static void show_row(struct table *t, const struct timed *r)
{
	char n[32], file[32], planned[32], used[32];

	table_cell(t, "%s", r->method ? r->method : "none");
	if (r->method) {
		table_cell(t, "%s", human_count((double)r->plan.trainable, n));
		table_cell(t, "%s", human_bytes(r->file_bytes, file));
		table_cell(t, "%.0f (%.0f to %.0f)", r->rate, r->low, r->high);
		table_cell(t, "%s / %s", human_bytes(r->plan.planned_bytes, planned), human_bytes(r->used_bytes, used));
	} else {
		for (int i = 0; i < 4; i++)
			table_cell(t, i == 1 ? "%s" : "-", human_bytes(r->file_bytes, file));
	}
	table_cell(t, "%.1f ms (%.2f x)", 1e3 * r->first, r->first_ratio);
	table_cell(t, "%.2f ms (%.2f x)", 1e3 * r->each, r->each_ratio);
}

static void show(const struct side_by_side *s)
{
	static const char *const heads[] = { "method",          "trained",     "file",      "training tokens/s",
		                             "planned / used",  "first token", "each token" };
	struct table t = { .columns = ARRAY_LEN(heads), .right = 0x7e };
	struct buf text = BUF_INIT;

	app_print("micro-batches of %d x %d tokens, a prompt of %d, %d tokens after it, medians of %d\n",
	          TRAIN_DOCUMENTS, s->length, s->length, DECODED, s->o->repetitions);
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	show_row(&t, &s->base);
	for (size_t i = 0; i < s->n; i++)
		if (!s->row[i].why)
			show_row(&t, &s->row[i]);
	table_write(&text, &t, "");
	app_print("%s", buf_str(&text));
	for (size_t i = 0; i < s->n; i++)
		if (s->row[i].why)
			app_print("%s: %s\n", s->row[i].method, s->row[i].why);
	buf_release(&text);
	table_release(&t);
}

/* --- the whole --- */

static int measure(struct side_by_side *s, struct err *e)
{
	struct model m;

	if (plan_rows(s, e) < 0 || train_rows(s, e) < 0 || model_open(&m, s->o->model, e) < 0)
		return -1;
	int status = model_compute(s->app, &m, s->o->compute, PREPARE_GENERATE, e);
	if (status == 0)
		status = answer_rows(s, &m, e);
	model_close(&m);
	return status;
}

static int check(struct side_by_side *s, struct err *e)
{
	struct model m;

	if (model_open_facts(&m, s->o->model, e) < 0)
		return -1;
	int status = model_want_causal(&m, e), n_ctx = m.config.n_ctx;
	model_close(&m);
	if (status == 0 && s->length > n_ctx && s->o->asked)
		return err_set(e, "--max-length %d: %s has %d positions", s->length, s->o->model, n_ctx);
	s->length = MIN(s->length, n_ctx);
	return status;
}

int bench_methods(struct app *app, const struct bench_methods *o, struct err *e)
{
	struct side_by_side *s = mem_alloc(sizeof(*s));
	struct opt_row row;

	*s = (struct side_by_side){ .app = app, .o = o, .length = o->length };
	for (; s->n < ROWS && method_rows(s->n, &row); s->n++)
		s->row[s->n].method = row.name;
	int status = check(s, e);
	if (status == 0)
		status = measure(s, e);
	if (status == 0) {
		if (app->json)
			put_row(&s->base);
		for (size_t i = 0; i < s->n && app->json; i++)
			put_row(&s->row[i]);
		if (!app->json)
			show(s);
		app_summary(app, json_pack("{s:o, s:i, s:i, s:I}", "model", jsonx_path(o->model), "max_length",
		                           s->length, "repetitions", o->repetitions, "peak_rss_bytes",
		                           (json_int_t)mem_rss_peak()));
	}
	for (size_t i = 0; i < s->n; i++)
		mem_free(s->row[i].why);
	mem_free(s);
	return status;
}
