/* shrink_plan: what shrinking takes, said before it: the seconds of each rung by the passes that it makes, a little of
 * each timed, and the most memory of any; learning's is tune's own plan. All rungs of all types are counted: which of
 * them meets a goal is not known. Files that a plan must open (texts of the model's own, an importance matrix) are
 * stood in for in a folder that is gone again. */
#include "cmd/shrink/shrink.h"

#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/estimate.h"
#include "cmd/machine_profile.h"
#include "cmd/quantize_time.h"
#include "cmd/trial.h"
#include "infer/typical.h"
#include "quant/gptq.h"
#include "train/trainer.h"

enum { FACTORED = 256 };

#define TRY_SECONDS 0.05    /* of trying how long a text takes */
#define WRITE_RATE 500e6    /* bytes/s of a file */

struct planning {
	struct shrinking *s;
	double seconds[SHRINK_TYPES][RUNGS], comparing, gathering;
	size_t bytes[RUNGS];        /* beside the source's weights and what the process has; of learn: of the process */
	struct work work;
	struct own_texts_forecast drawing;
};

/* --- passes over the texts --- */

static void add_work(struct planning *p, struct work w, double times)
{
	p->work.flops += w.flops * times;
	p->work.int_ops += w.int_ops * times;
}

/* All texts to learn by, by the longest. */
static int time_texts(struct planning *p, struct model_pass *pass, double *seconds, struct err *e)
{
	const struct set *x = &p->s->learn;
	const struct document *one = &x->items[0];
	struct typical typical;
	struct batch_cap need;
	struct timing time;
	struct live live;
	int64_t tokens;
	double all = 0;

	for (size_t i = 0; i < x->n; i++) {
		all += x->items[i].n;
		one = x->items[i].n > one->n ? &x->items[i] : one;
	}
	struct forest_options how = { .max_tokens = one->n, .all_targets = true };
	forest_take(&one, 1, &how, &need, &live, &tokens);
	typical_init(&typical, 1, live.rows);
	typical_look(&typical, &one, 1, &how);
	int status = typical_time(&typical, pass, &how, &live, TRY_SECONDS, &time, e);
	typical_release(&typical);
	*seconds = status == 0 ? time.seconds * all / one->n : 0;
	add_work(p, pass_work(&pass->pass, &live), all / one->n);
	return status;
}

/* An importance matrix of nothing stands where learning opens one. */
static int plan_imatrix(struct planning *p, struct err *e)
{
	struct shrinking *s = p->s;
	struct importance sums;
	size_t n;

	if (importance_begin(&sums, &s->source.model, s->app->device, shrink_longest(&s->learn), e) < 0)
		return -1;
	int status = time_texts(p, &sums.pass, &p->seconds[0][RUNG_IMATRIX], e);
	p->bytes[RUNG_IMATRIX] = importance_bytes(&sums);
	if (status == 0)
		status = importance_start(&sums, e);
	if (status == 0) {
		const struct imatrix_sums *x = importance_sums(&sums, &n);
		status = imatrix_write(s->imatrix, x, n, &(struct imatrix_about){ "a plan", 0, 0 }, e);
	}
	importance_end(&sums);
	return status;
}

/* Seconds of factoring a matrix of one column, whose number goes in by its cube. */
static int time_factor(struct planning *p, double *cubic, struct err *e)
{
	float *h = mem_array(FACTORED * FACTORED, sizeof(*h));
	double begin = clock_seconds();

	for (size_t i = 0; i < FACTORED; i++)
		h[i * FACTORED + i] = 1;
	int status = gptq_factor(p->s->app->pool, h, FACTORED, FACTORED, e);
	*cubic = (clock_seconds() - begin) / ((double)FACTORED * FACTORED * FACTORED);
	mem_free(h);
	return status;
}

/* Of all layers by the first group of them. */
static int plan_gptq(struct planning *p, struct err *e)
{
	struct shrinking *s = p->s;
	struct moments *m = &s->moments;
	double cubic, seconds = 0, once = 0, widest = 0;

	if (time_factor(p, &cubic, e) < 0)
		return -1;
	int status = moments_begin(m, &s->source.model, s->app->device, shrink_longest(&s->learn), 0,
	                           shrink_moments_bytes(s), e);
	int groups = (s->source.model.config.n_layers + m->end - 1) / m->end;
	if (status == 0)
		status = time_texts(p, &m->pass, &once, e);
	for (size_t i = 0; i < m->n; i++) {
		double n = (double)m->items[i].cols;
		seconds += (double)m->items[i].parts * n * n * n * cubic;
		widest = n > widest ? n : widest;
	}
	p->gathering = groups * (once + seconds);
	p->bytes[RUNG_GPTQ] = m->bytes + pass_bytes(&m->pass.pass) + (size_t)(widest * widest) * sizeof(double);
	moments_end(m);
	return status;
}

/* --- rungs --- */

static int plan_learning(struct planning *p, size_t type, struct err *e)
{
	struct shrinking *s = p->s;
	char *dir = io_join(s->work, "run");
	struct speeds speeds = machine_speeds(s->app);
	struct trainer *t = NULL;
	struct opt_parse options = { 0 };
	struct recipe r;

	int status = shrink_recipe(s, s->types[type], NULL, dir, &r, &options, e);
	r.speeds = &speeds;
	const struct log_sink *lent = log_lend(&log_texts);
	if (status == 0)
		status = trainer_open(&t, &r, s->app->device, e);
	log_lend(lent);
	if (status == 0) {
		const struct trainer_plan *x = trainer_plan(t);
		p->seconds[type][RUNG_LEARN] = x->planned_seconds;
		p->bytes[RUNG_LEARN] = MAX(p->bytes[RUNG_LEARN], x->planned_bytes);
		add_work(p, (struct work){ x->planned_flops, x->planned_int_ops }, 1);
	}
	trainer_close(t);
	opt_release(&options);
	mem_free(dir);
	return status;
}

static int plan_type(struct planning *p, size_t type, struct err *e)
{
	struct shrinking *s = p->s;
	size_t last = shrink_last(s);
	struct shrink_list l;
	double plain, gptq;

	if (shrink_list(s, s->types[type], false, &l, e) < 0)
		return -1;
	double writing = (double)l.q.list.bytes_to / WRITE_RATE;
	int status = quantize_seconds(&l.q.list, false, s->app->pool, &plain, e);
	if (status == 0 && last >= RUNG_GPTQ)
		status = quantize_seconds(&l.q.list, true, s->app->pool, &gptq, e);
	shrink_list_release(&l);
	p->seconds[type][RUNG_ROUND] = plain + writing;
	p->seconds[type][RUNG_IMATRIX] += plain + writing;
	if (status == 0 && last >= RUNG_GPTQ)
		p->seconds[type][RUNG_GPTQ] = p->gathering + gptq + writing;
	return status == 0 && last >= RUNG_LEARN ? plan_learning(p, type, e) : status;
}

static int plan_comparing(struct planning *p, struct err *e)
{
	struct shrinking *s = p->s;
	struct agreement_models both = { &s->source.model, &s->source.model, s->app->device, s->app->pool };
	struct agreement_forecast f;

	if (agreement_forecast(&f, &both, s->judge.items, s->judge.n, e) < 0)
		return -1;
	size_t times = s->n_types * (size_t)(shrink_last(s) + 1);
	p->comparing = f.seconds;
	p->bytes[RUNG_ROUND] = f.bytes;
	add_work(p, f.work, (double)times);
	return 0;
}

static int plan_drawing(struct planning *p, struct err *e)
{
	struct shrinking *s = p->s;
	size_t n = (s->o->eval_data ? 0 : s->judge.n) + (s->o->data ? 0 : s->learn.n);

	if (n && own_texts_forecast(&p->drawing, &s->source.model, s->hash, s->app->device, n, e) < 0)
		return -1;
	add_work(p, p->drawing.work, 1);
	return 0;
}

static int plan_all(struct planning *p, struct err *e)
{
	struct shrinking *s = p->s;
	size_t last = shrink_last(s);

	if (plan_drawing(p, e) < 0 || plan_comparing(p, e) < 0 ||
	    (last >= RUNG_IMATRIX && plan_imatrix(p, e) < 0) || (last >= RUNG_GPTQ && plan_gptq(p, e) < 0) ||
	    (last >= RUNG_LEARN && !s->o->data && shrink_write_texts(s, s->texts, e) < 0))
		return -1;
	for (size_t i = 0; i < s->n_types; i++)
		if (plan_type(p, i, e) < 0)
			return -1;
	return 0;
}

/* --- what is said --- */

static void show(const void *ctx, say_fn *say)
{
	const struct planning *p = ctx;
	char time[32], each[32];

	say("plan: %zu types, %zu texts to learn by, %zu to compare on", p->s->n_types, p->s->learn.n, p->s->judge.n);
	for (size_t i = 0; i < p->s->n_types; i++)
		for (int r = 0; r <= (int)shrink_last(p->s); r++)
			say("  %s, %s: %s, and comparing %s", p->s->types[i], rung_names[r],
			    predict_human(p->seconds[i][r], time), predict_human(p->comparing, each));
	if (p->s->o->goal)
		say("  climbing ends where --goal is met");
}

static json_t *facts(const struct planning *p)
{
	json_t *rungs = json_array();

	for (size_t i = 0; i < p->s->n_types; i++)
		for (int r = 0; r <= (int)shrink_last(p->s); r++)
			json_array_append_new(rungs, json_pack("{s:s, s:s, s:o, s:o}", "type", p->s->types[i], "rung",
			                                       rung_names[r], "seconds",
			                                       jsonx_number(p->seconds[i][r]), "comparing_seconds",
			                                       jsonx_number(p->comparing)));
	return json_pack("{s:o}", "rungs", rungs);
}

static int say_plan(struct planning *p, struct err *e)
{
	struct shrinking *s = p->s;
	size_t most = p->drawing.bytes, file = 0;
	struct predicted x;

	predict_begin(&x, "shrink %s", rung_names[shrink_last(s)]);
	for (int r = 0; r < RUNG_LEARN; r++)
		most = MAX(most, p->bytes[r]);
	double pages = loaded_predict(&s->source, &x, &(struct model_reads){ .token = NULL }, most, 0,
	                              "of the rung that takes most");
	for (size_t i = 0; i < s->n_types; i++)
		file = MAX(file, s->sizes[i]);
	predict_part(&x, "written", (double)file, "a file, opened again");
	if ((double)p->bytes[RUNG_LEARN] > x.bytes)
		predict_part(&x, "learning", (double)p->bytes[RUNG_LEARN] - x.bytes, "more than that, by tune's plan");
	predict_phase(&x, "start", pages);
	predict_phase(&x, "texts", p->drawing.seconds);
	for (int r = 0; r <= (int)shrink_last(s); r++) {
		double seconds = 0;
		for (size_t i = 0; i < s->n_types; i++)
			seconds += p->seconds[i][r];
		predict_phase(&x, rung_names[r], seconds);
	}
	predict_phase(&x, "compare", p->comparing * (double)s->n_types * (double)(shrink_last(s) + 1));
	predict_operations(&x, p->work.flops, p->work.int_ops);
	return planned(s->app, &x, &(struct planned_options){ .facts = facts(p), .lines = show, .ctx = p }, e);
}

int shrink_plan(struct shrinking *s, struct err *e)
{
	char *work = s->work, *texts = s->texts, *imatrix = s->imatrix, dir[] = "/tmp/kungfu-plan-XXXXXX";
	struct planning p = { .s = s };
	struct err ignored;

	if (io_temporary_dir(dir, e) < 0)
		return -1;
	s->work = dir;
	s->texts = io_join(dir, "texts.jsonl");
	s->imatrix = io_join(dir, "imatrix.gguf");
	int status = plan_all(&p, e);
	mem_free(s->texts);
	mem_free(s->imatrix);
	s->work = work;
	s->texts = texts;
	s->imatrix = imatrix;
	io_remove_tree(dir, &ignored);
	return status == 0 ? say_plan(&p, e) : -1;
}
