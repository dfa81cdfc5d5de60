/* eval_tasks: tasks are opened, asked, run and scored; what a person or a script sees of it; lm-eval's files. The files
 * come last, each whole: a run that was stopped leaves none. */
#include "cmd/eval_tasks.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/eval_running.h"
#include "cmd/label_view.h"
#include "cmd/metering.h"
#include "data/chat.h"
#include "op/timing.h"

enum { FEWSHOT_SEED = 1234, ASKED_MOST = 400, SUITE_TOKENS = 96 /* of an answer */ };

void eval_tasks_list(const struct app *app)
{
	char *names = exams_builtin(), *rest = names;
	json_t *said = json_pack("{s:s}", "tasks", names);

	if (app->json)
		app_json(said);
	for (char *one; !app->json && (one = strsep(&rest, " "));)
		app_print("%s\n", one);
	json_decref(said);
	mem_free(names);
}

/* --- options --- */

/* key=value,key=value: a value is JSON where it is some, else a text. */
static json_t *pairs(const char *text, struct err *e)
{
	char *copy = mem_strdup(text), *rest = copy;
	json_t *all = json_object();

	for (char *one; (one = strsep(&rest, ","));) {
		char *value = strchr(one, '=');
		if (!value || value == one) {
			err_set(e, "--gen-kwargs %.80s: key=value was wanted", text);
			json_decref(all);
			all = NULL;
			break;
		}
		*value++ = 0;
		json_t *v = !strcmp(value, "True") ? json_true() : !strcmp(value, "False") ? json_false() :
		            json_loads(value, JSON_DECODE_ANY, NULL);
		json_object_set_new(all, one, v ? v : json_string(value));
	}
	mem_free(copy);
	return all;
}

static int read_kwargs(struct eval_running *r, struct err *e)
{
	const char *text = r->t->o->gen_kwargs;

	if (!text)
		return 0;
	r->kwargs = *text == '{' ? jsonx_load(text, strlen(text), "--gen-kwargs", e) : pairs(text, e);
	if (r->kwargs && !json_is_object(r->kwargs))
		return err_set(e, "--gen-kwargs: an object was wanted");
	return r->kwargs ? 0 : -1;
}

static int open_suite(struct eval_running *r, struct err *e)
{
	const struct suite_source from = { .limit = r->t->limit == OPT_UNSET_INT ? 0 : r->t->limit,
		                           .max_new_tokens = r->t->max_new_tokens == OPT_UNSET_INT ?
		                                                     SUITE_TOKENS : r->t->max_new_tokens };

	r->suite = (struct eval_suite){ .app = r->app, .o = r->t->suite, .compute = r->t->compute };
	if (loaded_chat(r->l, e) < 0 || eval_suite_open(&r->suite, &from, e) < 0)
		return -1;
	r->tasks = &r->suite.suite.exams;
	if (!r->l->chat)
		log_say("the model has no chat template: prompts are continued as they stand");
	return 0;
}

static int open_tasks(struct eval_running *r, struct err *e)
{
	char *copy = mem_strdup(r->t->o->tasks), *rest = copy;
	const char *names[ASKED_MOST];
	size_t n = 0;
	int64_t shots = r->t->num_fewshot;
	const struct exam_source from = { .data = r->t->o->data, .num_fewshot = shots == OPT_UNSET_INT ? -1 : shots };
	int status = 0;

	for (char *one; (one = strsep(&rest, ","));)
		if (*one && n < ASKED_MOST)
			names[n++] = one;
	if (!n)
		status = err_set(e, "--tasks names none");
	if (status == 0)
		status = exams_open(&r->named, names, n, &from, e);
	mem_free(copy);
	return status;
}

static int set_lengths(struct eval_running *r, struct err *e)
{
	int32_t most = r->l->model.config.n_ctx - overlays_virtual(loaded_overlay(r->l));
	int64_t asked = r->t->max_length;

	r->run.max_length = asked == OPT_UNSET_INT ? most : (int32_t)MIN(asked, (int64_t)most);
	if (asked != OPT_UNSET_INT && asked > most)
		log_say("the model has %d positions: documents are at most that long, not %lld", most,
		        (long long)asked);
	return r->run.max_length < 2 ? err_set(e, "--max-length: 2 tokens at least") : 0;
}

/* --- running --- */

static int tell(void *ctx, const char *doing, size_t done, size_t total)
{
	struct eval_running *r = ctx;
	double seconds = clock_seconds() - r->began;
	char left[32];

	metering_tick();
	if (seconds < 2 || !done || app_interrupted())
		return app_interrupted();
	clock_human((double)(total - done) * seconds / (double)done, left);
	log_live("%s: %zu of %zu requests  %s left  %s", doing, done, total, left, metering_live());
	return 0;
}

static int ask_all(struct eval_running *r, struct err *e)
{
	const struct text_codec codec = { r->l->model.tokenizer, r->l->chat };
	const char *multiturn = r->t->o->multiturn;
	const struct exam_how how = {
		.codec = &codec, .system_instruction = r->t->o->system_instruction,
		.apply_chat_template = r->t->apply_chat_template,
		.fewshot_as_multiturn = !strcmp(multiturn, "auto") ? r->t->apply_chat_template :
		                                                     !strcmp(multiturn, "true"),
		.seed = r->t->seed == OPT_UNSET_INT ? FEWSHOT_SEED : (uint64_t)r->t->seed,
		.limit = r->t->limit == OPT_UNSET_INT ? 0 : r->t->limit,
	};
	int status = 0;

	r->asked = mem_array(r->tasks->n, sizeof(*r->asked));
	if (r->suite.o) {
		status = suite_ask(&r->suite.suite, &codec, r->asked, e);
		r->n_asked = status == 0 ? r->tasks->n : 0;
		return status;
	}
	for (; r->n_asked < r->tasks->n && status == 0; r->n_asked += status == 0)
		status = exam_ask(&r->tasks->items[r->n_asked], &how, &r->asked[r->n_asked], e);
	return status;
}

static void show_forecast(const void *ctx, say_fn *say)
{
	const struct exam_forecast *f = ctx;

	say("%zu requests of %lld tokens", f->requests, (long long)f->tokens);
	if (f->computed_tokens)
		say("scores from %lld tokens: what neighbours begin with is computed once",
		    (long long)f->computed_tokens);
	if (f->new_tokens)
		say("answers of at most %lld tokens", (long long)f->new_tokens);
}

/* What it takes, before it begins. */
static int plan_all(struct eval_running *r, struct exam_asked *const *list, struct err *e)
{
	const struct exam_subject s = { &r->l->model, loaded_overlay(r->l), r->app->device };
	struct exam_forecast f;
	struct predicted p;
	int status = exam_forecast(&s, list, r->tasks->n, &r->run, &f, e);

	if (status == 0) {
		const struct model_reads reads = { .token = f.token };
		predict_begin(&p, "eval %s%s %s", r->suite.o ? "suite" : "tasks", f.new_tokens ? " answers" : "",
		              compute_name(r->l->model.compute));
		double pages = loaded_predict(r->l, &p, &reads, f.bytes, 0, "activations, caches");
		predict_phase(&p, "start", pages + f.start_seconds);
		predict_phase(&p, "scoring", f.score_seconds);
		predict_phase(&p, "answering", f.answer_seconds);
		p.loose_seconds = (double)f.bytes / TIMING_SLOW_RATE;
		p.spare_seconds = f.spare_seconds;
		predict_operations(&p, f.flops, f.int_ops);
		const struct planned_options o = {
			.facts = json_pack("{s:I, s:I, s:I, s:I}", "requests", (json_int_t)f.requests, "tokens",
			                   (json_int_t)f.tokens, "computed_tokens", (json_int_t)f.computed_tokens,
			                   "new_tokens", (json_int_t)f.new_tokens),
			.lines = show_forecast, .ctx = &f };
		status = planned(r->app, &p, &o, e);
	}
	mem_free(f.token);
	return status;
}

static int run_all(struct eval_running *r, struct err *e)
{
	const struct exam_subject s = { &r->l->model, loaded_overlay(r->l), r->app->device };
	struct exam_asked **list = mem_array(r->tasks->n, sizeof(*list));

	for (size_t i = 0; i < r->tasks->n; i++)
		list[i] = &r->asked[i];
	r->began = clock_seconds();
	metering_phase("evaluate");
	/* what judges read is not known before */
	bool others = r->suite.o && (r->suite.o->judge || r->suite.o->toxicity);
	int status = others ? 0 : plan_all(r, list, e);
	if (status == 0)
		status = exam_run(&s, list, r->tasks->n, &r->run, e);
	log_live_end();
	mem_free(list);
	if (status == 0 && r->suite.o)
		status = eval_suite_tell(&r->suite, r->asked, &r->run, e);
	r->scores = mem_array(r->tasks->n, sizeof(*r->scores));
	for (; r->n_scored < r->tasks->n && status == 0; r->n_scored += status == 0)
		status = exam_score(&r->asked[r->n_scored], &r->scores[r->n_scored], e);
	return status;
}

/* --- what was lost on the way --- */

static void put_lost(const struct exam_scores *s, json_t *to)
{
	json_t *fell = json_object();

	for (size_t f = 0; f < s->n_filters && s->n_answers; f++)
		json_object_set_new(fell, exam_filter_name(s->asked->task->filter[f]),
		                    json_real(lost_share(s->fell_back[f], s->asked->n_docs)));
	json_object_set_new(to, "not_extracted", fell);
	json_object_set_new(to, "cut", s->n_answers ? json_real(lost_share(s->n_cut, s->n_answers)) : json_null());
	json_object_set_new(to, "contexts_cut", json_real(lost_share(s->n_left_out, s->asked->n)));
}

/* Answers of a suite are looked at where they begin, and most are cut. */
static void warn_lost(const struct exam_scores *s, bool suite)
{
	const char *name = s->asked->task->name;
	double cut = lost_share(s->n_cut, s->n_answers), left = lost_share(s->n_left_out, s->asked->n);

	for (size_t f = 0; f < s->n_filters && s->n_answers; f++)
		if (lost_share(s->fell_back[f], s->asked->n_docs) > LOST_MOST)
			log_warn("%s: in %.1f %% of the answers %s found nothing: they count as wrong", name,
			         100 * lost_share(s->fell_back[f], s->asked->n_docs),
			         exam_filter_name(s->asked->task->filter[f]));
	if (cut > LOST_MOST && !suite)
		log_warn("%s: %.1f %% of the answers were cut at the limit of tokens", name, 100 * cut);
	if (left > LOST_MOST)
		log_warn("%s: %.1f %% of the prompts lost their beginning at --max-length", name, 100 * left);
}

/* --- files --- */

/* As lm-eval: what cannot be in a file's name becomes two underscores. */
static char *plain_name(const char *model)
{
	struct buf b = BUF_INIT;

	for (const char *s = model; *s; s++) {
		bool bad = strchr("\"<>:/|\\?*[]", *s) != NULL;
		if (!bad)
			buf_addc(&b, *s);
		else if (b.len < 2 || b.data[b.len - 1] != '_' || s == model || !strchr("\"<>:/|\\?*[]", s[-1]))
			buf_adds(&b, "__");
	}
	return buf_detach(&b, NULL);
}

static int write_samples(const struct exam_scores *s, const char *dir, const char *time, struct err *e)
{
	char *path = mem_printf("%s/samples_%s_%s.jsonl", dir, s->asked->task->name, time);
	struct io_writer w;
	int status = io_writer_open(&w, path, e);

	for (size_t f = 0; f < s->n_filters && status == 0; f++)
		for (size_t i = 0; i < s->asked->n_docs && status == 0; i++) {
			json_t *line = exam_sample(s, f, i, e);
			char *text = line ? jsonx_line(line) : NULL;
			status = text ? io_writer_add(&w, text, strlen(text), e) : -1;
			if (status == 0)
				status = io_writer_add(&w, "\n", 1, e);
			mem_free(text);
			json_decref(line);
		}
	status = io_writer_end(&w, status, e);
	metering_out("samples", path);
	mem_free(path);
	return status;
}

static json_t *results_of(const struct eval_running *r, const json_t *results, const char *time)
{
	json_t *all = json_deep_copy(results);

	json_t *args = json_pack("{s:s}", "pretrained", r->t->model);
	if (r->t->adapter)
		json_object_set_new(args, "peft", jsonx_path(r->t->adapter));
	json_object_set_new(all, "config", json_pack("{s:s, s:o, s:o, s:o}", "model", "kungfu",
	                    "model_args", args, "limit",
	                    r->t->limit == OPT_UNSET_INT ? json_null() : json_integer(r->t->limit), "gen_kwargs",
	                    r->kwargs ? json_incref(r->kwargs) : json_null()));
	json_object_set_new(all, "date", json_string(time));
	json_object_set_new(all, "model_source", json_string("kungfu"));
	json_object_set_new(all, "model_name", json_string(r->t->model));
	json_object_set_new(all, "chat_template", json_null());
	json_object_set_new(all, "max_length", json_integer(r->run.max_length));
	json_object_set_new(all, "total_evaluation_time_seconds", json_real(clock_seconds() - r->began));
	return all;
}

/* DIR/MODEL/results_TIME.json and samples_TASK_TIME.jsonl. */
static int write_files(const struct eval_running *r, const json_t *results, char **dir, struct err *e)
{
	char *name = plain_name(r->t->model), time[32];
	int status;

	*dir = io_join(r->t->o->output_path, name);
	clock_iso(time);
	for (char *s = time; *s; s++)
		*s = *s == ':' ? '-' : *s;
	status = io_mkdirs(*dir, e);
	for (size_t i = 0; i < r->n_scored && status == 0 && r->t->o->log_samples; i++)
		status = write_samples(&r->scores[i], *dir, time, e);
	char *path = mem_printf("%s/results_%s.json", *dir, time);
	json_t *all = results_of(r, results, time);
	if (status == 0)
		status = jsonx_write_file(path, all, e);
	if (status == 0)
		metering_out("results", path);
	json_decref(all);
	mem_free(path);
	mem_free(name);
	return status;
}

/* --- what a person sees --- */

static void show_score(const struct exam_score *s)
{
	char label[120];

	snprintf(label, sizeof(label), strcmp(s->filter, "none") ? "%s,%s" : "%s", s->metric, s->filter);
	show_estimate(label, &s->value, "rows");
}

static int show_groups(const struct eval_running *r, struct err *e)
{
	for (size_t i = 0; i < r->tasks->n_groups; i++) {
		struct arena mem = ARENA_INIT;
		struct exam_score *made;
		size_t n;
		int status = exam_group_score(r->tasks, &r->tasks->groups[i], r->scores, &mem, &made, &n, e);
		if (status == 0 && n)
			app_print("%s: %zu rows in its tasks\n", r->tasks->groups[i].name, made[0].value.n);
		for (size_t k = 0; k < n && status == 0; k++)
			show_score(&made[k]);
		arena_release(&mem);
		if (status < 0)
			return -1;
	}
	return 0;
}

/* A suite's measures are good or bad by what was asked. */
static void show_head(const struct exam_scores *s, bool suite)
{
	const struct exam *t = s->asked->task;

	app_print("%s: %zu rows", t->name, s->asked->n_docs);
	if (!suite)
		app_print(", %d examples", t->num_fewshot);
	for (size_t i = 0; i < t->n_metrics && suite; i++)
		app_print("%s %s %s", i ? "," : "; good is", t->metric[i].higher_is_better ? "more" : "less",
		          t->metric[i].name);
	app_print("\n");
}

static int show(const struct eval_running *r, const char *dir, struct err *e)
{
	char time[32], gas[400];

	for (size_t i = 0; i < r->n_scored; i++) {
		const struct exam_scores *s = &r->scores[i];
		show_head(s, r->suite.o != NULL);
		for (size_t k = 0; k < s->n; k++)
			show_score(&s->items[k]);
	}
	if (show_groups(r, e) < 0)
		return -1;
	if (r->suite.o)
		eval_suite_show(&r->suite);
	clock_human(clock_seconds() - r->began, time);
	app_print("  %lld tokens in %s\n", (long long)(r->run.tokens + r->run.new_tokens), time);
	metering_text(gas);
	if (gas[0])
		app_print("  %s\n", gas);
	if (dir)
		app_print("  in %s\n", dir);
	return 0;
}

static void summarize(const struct eval_running *r, json_t *results, const char *dir)
{
	json_t *j = json_pack("{s:O, s:O}", "results", json_object_get(results, "results"), "n-shot",
	                      json_object_get(results, "n-shot")), *lost = json_object();

	for (size_t i = 0; i < r->n_scored; i++) {
		json_t *one = json_object();
		put_lost(&r->scores[i], one);
		json_object_set_new(lost, r->scores[i].asked->task->name, one);
	}
	json_object_set_new(j, "lost", lost);
	if (r->suite.o)
		eval_suite_put(&r->suite, r->asked, j);
	json_object_set_new(j, "output_path", dir ? jsonx_path(dir) : json_null());
	json_object_set_new(j, "max_length", json_integer(r->run.max_length));
	json_object_set_new(j, "apply_chat_template",
	                    json_boolean(r->suite.o ? r->l->chat != NULL : r->t->apply_chat_template));
	json_object_set_new(j, "tokens", json_integer(r->run.tokens));
	json_object_set_new(j, "scored_tokens", json_integer(r->run.scored_tokens));
	json_object_set_new(j, "new_tokens", json_integer(r->run.new_tokens));
	json_object_set_new(j, "seconds", json_real(clock_seconds() - r->began));
	app_summary(r->app, j);
}

static int report(struct eval_running *r, struct err *e)
{
	json_t *results = exam_results(r->tasks, r->scores, e);
	char *dir = NULL;
	int status = results ? 0 : -1;

	if (status == 0 && r->t->o->output_path)
		status = write_files(r, results, &dir, e);
	for (size_t i = 0; i < r->n_scored && status == 0; i++)
		warn_lost(&r->scores[i], r->suite.o != NULL);
	const struct exam_run_options *a = &r->run, *b = &r->suite.judging;
	metering_count(a->tokens + b->tokens, a->new_tokens + b->new_tokens, a->scored_tokens, a->flops + b->flops,
	               a->int_ops + b->int_ops);
	if (status == 0)
		summarize(r, results, dir);
	if (status == 0 && !r->app->json)
		status = show(r, dir, e);
	json_decref(results);
	mem_free(dir);
	return status;
}

int eval_running_ask(struct eval_running *r, struct err *e)
{
	const struct eval_tasks *t = r->t;

	r->tasks = &r->named;
	r->run = (struct exam_run_options){ .micro_batch_tokens = (int32_t)t->micro_batch_tokens, .progress = tell,
		                            .ctx = r };
	int status = set_lengths(r, e);
	if (status == 0)
		status = read_kwargs(r, e);
	r->run.gen_kwargs = r->kwargs;
	r->run.seed = t->seed == OPT_UNSET_INT ? FEWSHOT_SEED : (uint64_t)t->seed;
	if (status == 0)
		status = t->suite ? open_suite(r, e) : open_tasks(r, e);
	if (status == 0 && t->apply_chat_template)
		status = loaded_chat(r->l, e);
	return status == 0 ? ask_all(r, e) : -1;
}

void eval_running_release(struct eval_running *r)
{
	for (size_t i = 0; i < r->n_scored; i++)
		exam_scores_release(&r->scores[i]);
	for (size_t i = 0; i < r->n_asked; i++)
		exam_asked_release(&r->asked[i]);
	mem_free(r->scores);
	mem_free(r->asked);
	exams_release(&r->named);
	eval_suite_close(&r->suite);
	json_decref(r->kwargs);
}

int eval_tasks(struct app *app, const struct eval_tasks *t, struct loaded *l, struct err *e)
{
	struct eval_running r = { .app = app, .t = t, .l = l };
	int status = eval_running_ask(&r, e);

	if (status == 0)
		status = run_all(&r, e);
	if (status == 0)
		status = report(&r, e);
	eval_running_release(&r);
	return status;
}
