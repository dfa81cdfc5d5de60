/* adapt: which way reaches an outcome for the least gas? Found out by measuring: rows are parted, each way has a price,
 * the one that promises the most for its gas is tried next, and the one that is chosen is tested once on rows that no
 * choice has seen (doc/adapt.md). The ways are src/ladder's; here is the run around them. */
#include "cmd/adapt/adapt_parts.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/estimate.h"
#include "cmd/machine_profile.h"
#include "cmd/metering.h"
#include "cmd/model_common.h"
#include "cmd/output_check.h"
#include "cmd/trial.h"
#include "ladder/learnt.h"

enum { ROWS_LEAST = 15, SIDE_LEAST = 3, WARNINGS_MOST = 64 };

extern const struct command cmd_adapt;

const struct opt adapt_opts[] = {
	OPT_GROUP("What to reach"),
	OPT_STRING("data", struct adapt_options, data, NULL, "FILE",
	           "rows with their answers, in any shape that tune takes"),
	OPT_STRING(
		"goal", struct adapt_options, goal, NULL, "GOAL",
		"\"accuracy>=0.9\"; also acc_norm, exact_match, f1, reward, perplexity<=X, and with it latency<=200ms, "
		"memory<=1G, joules_per_answer<=2, joined by and (default: the best for the gas)"),
	OPT_FLOAT("uses", struct adapt_options, uses, "1000", 0, 1e15,
	          "answers that will be asked for: what making costs is spread over them"),
	OPT_STRING("out", struct adapt_options, out, "adapted", "DIR",
	           "what is left: it is taken wherever a model is, and resumed"),
	OPT_FLAG("overwrite", struct adapt_options, overwrite, "false", "replace what an earlier run left in DIR"),
	OPT_STRING(
		"reward-model", struct adapt_options, reward.model, NULL, "MODEL",
		"says what an answer is worth, for a goal of reward: a model with one output, or an adapter with one "
		"(tune --objective regression)"),
	OPT_STRING(
		"reward-template", struct adapt_options, reward.template_, NULL, "TEXT",
		"how it reads them, with {prompt} and {answer} in it (default: as a conversation, where it has a chat "
		"template)"),
	OPT_STRING("reward-command", struct adapt_options, reward.command, NULL, "COMMAND",
	           "the same by a program: it reads lines {\"prompt\", \"answer\"}, and writes a number a line"),
	OPT_INT("max-new-tokens", struct adapt_options, max_new_tokens, "128", 1, 1 << 20,
	        "longest answer that is judged by its reward (others: a little longer than the right one)"),
	OPT_GROUP("Rows"),
	OPT_STRING("test-data", struct adapt_options, test_data, NULL, "FILE",
	           "rows to test with, opened once at the end (default: a part of --data)"),
	OPT_FLOAT("test-size", struct adapt_options, test_size, "0.2", 0.01, 0.9,
	          "share of the rows that are kept for the test"),
	OPT_FLOAT("choose-size", struct adapt_options, choose_size, "0.2", 0.01, 0.9,
	          "share of the rows by which is chosen"),
	OPT_STRING("group-by", struct adapt_options, group_by, NULL, "COLUMN",
	           "rows with the same value there stay on one side; rows that ask the same always do"),
	OPT_FLAG("time-order", struct adapt_options, time_order, "false",
	         "the first rows are learnt from, the last are tested with"),
	OPT_INT("seed", struct adapt_options, seed, "42", 0, 9007199254740991.0, "of the sides and of trainings"),
	OPT_INT("seeds", struct adapt_options, seeds, "1", 1, SEEDS_MOST,
	        "at most so many trainings of a way, each with a seed of its own, where seeds may decide"),
	OPT_FLAG("apply-chat-template", struct adapt_options, apply_chat_template, "false",
	         "query,choices,gold rows: the query is the user's turn"),
	OPT_INT("max-length", struct adapt_options, max_length, "1024", 2, 1 << 20,
	        "longest document that is learnt from, in tokens"),
	SOURCES_OPTS(struct adapt_options, documents),
	OPT_GROUP("Ways"),
	OPT_STRING("rungs", struct adapt_options, rungs, NULL, "LIST",
	           "only these ways, by their names in the table (default: all that fit)"),
	OPT_FLOAT("rung-seconds", struct adapt_options, rung_seconds, NULL, 1, 1e9,
	          "no training takes longer than this"),
	OPT_FLAG("measure-worth", struct adapt_options, measure_worth, "false",
	         "where a trained way is chosen, it is trained once more on half of the rows, which measures what more "
	         "rows are worth; of fitted ways that is measured always"),
	OPT_STRING("priors", struct adapt_options, priors, NULL, "FILE", "your own priors.yaml, over the built-in one"),
	OPT_INT("micro-batch-tokens", struct adapt_options, micro_batch_tokens, "1024", 2, 1 << 22,
	        "tokens computed at once while answering"),
	COMPUTE_OPT(struct adapt_options, compute, "f32"),
	COMMON_OPTS(struct adapt_options, common),
	OPT_END
};

/* --- rungs' tools --- */

/* Trainings say the same of the same rows: a warning is said once. What is left is asked as its rows were
 * (ladder/adapted.h), so how rows are written is nothing to be warned of. */
static void say_once(void *ctx, enum log_level level, const char *text)
{
	static uint64_t said[WARNINGS_MOST];
	static size_t n;
	uint64_t hash = hash_64(text, strlen(text));
	(void)ctx;

	for (size_t i = 0; i < n; i++)
		if (said[i] == hash)
			return;
	if (level != LOG_WARNING || n == WARNINGS_MOST || trial_untemplated(text))
		return;
	said[n++] = hash;
	const struct log_sink *was = log_lend(NULL);
	log_warn("%s", text);
	log_lend(was);
}

const struct log_sink adapt_log = { .say = say_once };

static void show_training(void *ctx, const struct train_loop_progress *p)
{
	struct adapt *a = ctx;
	char left[32];

	clock_human(p->seconds_left, left);
	log_live("%s: step %ld/%ld  loss %.4f  %.0f tokens/s  %s left  %s", a->ways[a->at_work].name, p->step, p->steps,
	         p->loss, p->tokens_per_second, left, metering_live());
}

/* A part of the run, with an entry of its own in the ledger. */
static int train(void *ctx, const struct recipe *r, struct err *e)
{
	struct adapt *a = ctx;
	struct trial_options o = { .recipe = r,
		                   .folder = TRIAL_EITHER,
		                   .part = "adapt",
		                   .log = &adapt_log,
		                   .progress = show_training,
		                   .ctx = a };
	struct trial_result result;

	if (trial_run(a->app, &o, &result, e) < 0)
		return -1;
	int status =
		result.end == TRIAL_DONE ? 0 : err_set(e, "stopped after step %ld of %ld", result.step, result.steps);
	a->ways[a->at_work].make_seconds = result.whole.seconds;
	a->ways[a->at_work].make_joules = result.whole.energy.joules;
	trial_result_release(&result);
	return status;
}

/* By the same past that a training's own plan is sharpened with. */
static double slower(void *ctx, const struct recipe *r, const struct trainer *t)
{
	struct predicted p;
	(void)ctx;

	trial_predict(&p, trainer_plan(t), r, compute_name(trainer_model((struct trainer *)(uintptr_t)t)->compute));
	return metering_slower(&p);
}

static int show_answering(void *ctx, const struct evaluate_progress *p)
{
	const struct adapt *a = ctx;

	const struct log_sink *was = log_lend(NULL);
	metering_tick();
	if (p->seconds >= 2)
		log_live("%s: %s %.0f %%  %s", a->at_work < a->climb.n ? a->ways[a->at_work].name : "prices", a->doing,
		         100.0 * (double)p->done / (double)p->total, metering_live());
	log_lend(was);
	return app_interrupted();
}

/* --- opening --- */

/* Is there who says what an answer is worth? */
static bool judges(const struct adapt *a) { return a->o.reward.model || a->o.reward.command; }

static int read_goal(struct adapt *a, struct err *e)
{
	a->has_goal = a->o.goal != NULL;
	if (a->has_goal && goal_parse(&a->goal, a->o.goal, e) < 0)
		return -1;
	if (!a->has_goal)
		a->goal = (struct goal){ .term = { { .what = judges(a) ? MEASURE_REWARD : task_usual_measure(&a->task),
			                             .value = NAN } },
			                 .n = 1 };
	a->goal.term[0].at_least = a->has_goal ? a->goal.term[0].at_least : a->goal.term[0].what != MEASURE_PERPLEXITY;
	a->first = goal_score(&a->goal);
	a->first_at = (size_t)(a->first - a->goal.term);
	bool wanted = false;
	for (size_t i = 0; i < a->goal.n; i++) {
		if (task_measures(&a->task, a->goal.term[i].what, e) < 0)
			return -1;
		wanted |= a->goal.term[i].what == MEASURE_REWARD;
	}
	if (wanted != judges(a))
		return err_set(e, wanted ? "--goal: reward wants --reward-model M or --reward-command C" :
		                           "--reward-model and --reward-command are of a goal of reward");
	return 0;
}

static int too_few_rows(const struct adapt *a, size_t n, struct err *e)
{
	return err_set(e,
	               "%s: %zu rows cannot be parted into some to learn from, to choose by and to test with: "
	               "%d at least are wanted",
	               a->o.data, n, ROWS_LEAST);
}

static int check_sides(const struct adapt *a, struct err *e)
{
	static const char *const names[] = { "to learn from", "to choose by", "to test with" };
	const struct task *t = &a->task;

	if (t->n - t->n_leaks < ROWS_LEAST)
		return too_few_rows(a, t->n - t->n_leaks, e);
	for (int s = SIDE_TRAIN; s <= SIDE_TEST; s++) {
		bool own = s == SIDE_TEST && a->o.test_data;
		if (t->side_n[s] < SIDE_LEAST)
			return err_set(e,
			               "%s: %zu of %zu rows would be there %s, %d at least are wanted; rows that ask "
			               "the same, or are of one group, stand on one side",
			               own ? a->o.test_data : a->o.data, t->side_n[s], own ? a->test_rows.n : a->all.n,
			               names[s], SIDE_LEAST);
	}
	return 0;
}

/* In an order that has nothing to do with the file's, so that the first of them are a sample; those that came later
 * come after those that were there. */
static size_t *shuffled_side(const struct task *t, enum side side, uint64_t seed, size_t *n)
{
	size_t *in_order = task_side(t, side, n), *out = mem_array(MAX(*n, 1), sizeof(*out));
	struct rng_key key = { seed, RNG_SHUFFLE };

	for (size_t begin = 0, end; begin < *n; begin = end) {
		int came = t->rows[in_order[begin]].came;
		for (end = begin + 1; end < *n && t->rows[in_order[end]].came == came;)
			end++;
		for (size_t i = begin; i < end; i++)
			out[i] = in_order[begin + rng_permute(key, (uint64_t)side, end - begin, i - begin)];
	}
	mem_free(in_order);
	return out;
}

int adapt_load_file(struct adapt *a, struct rows *r, const char *path, struct err *e)
{
	if (rows_load(r, path, e) < 0)
		return -1;
	if (judges(a) && task_blank(r))
		a->asks_only = true;
	return 0;
}

static int load_rows(struct adapt *a, struct err *e)
{
	if (adapt_load_file(a, &a->rows, a->o.data, e) < 0)
		return -1;
	if (!a->rows.n)
		return err_set(e, "%s holds no rows", a->o.data);
	if (a->o.test_data && adapt_load_file(a, &a->test_rows, a->o.test_data, e) < 0)
		return -1;
	if (a->o.test_data && !a->test_rows.n)
		return err_set(e, "%s holds no rows", a->o.test_data);
	metering_in("data", a->o.data, a->rows.hash);
	if (a->o.test_data)
		metering_in("eval_data", a->o.test_data, a->test_rows.hash);
	if (adapt_more_load(a, e) < 0)
		return -1;
	if (a->all.n + a->test_rows.n < ROWS_LEAST)
		return too_few_rows(a, a->all.n, e);
	return 0;
}

static int open_task(struct adapt *a, struct err *e)
{
	struct split_options s = { .choose = a->o.choose_size,
		                   .test = a->o.test_data ? 0 : a->o.test_size,
		                   .seed = (uint64_t)a->o.seed,
		                   .group_by = a->o.group_by,
		                   .time_order = a->o.time_order };

	if (s.choose + s.test >= 1)
		return err_set(e, "--choose-size %g and --test-size %g leave no rows to learn from", s.choose, s.test);
	if (load_rows(a, e) < 0)
		return -1;
	s.later = a->more.begins;
	s.n_later = a->more.n;
	if ((a->asks_only ? task_open_asked : task_open)(&a->task, &a->all, a->o.test_data ? &a->test_rows : NULL, &s,
	                                                 e) < 0 ||
	    task_check_classes(&a->task, e) < 0 || check_sides(a, e) < 0)
		return -1;
	metering_seed(a->o.seed);
	task_known(&a->task, &a->known);
	a->choose = shuffled_side(&a->task, SIDE_CHOOSE, (uint64_t)a->o.seed, &a->n_choose);
	return 0;
}

static void open_ladder(struct adapt *a)
{
	a->ladder = (struct ladder){ .task = &a->task,
		                     .priors = &a->priors,
		                     .on = &a->models[0].base,
		                     .dir = a->dir,
		                     .device = a->app->device,
		                     .compute = a->o.compute,
		                     .seed = (uint64_t)a->o.seed,
		                     .apply_chat_template = a->o.apply_chat_template,
		                     .max_length = (int32_t)a->o.max_length,
		                     .micro_batch_tokens = (int32_t)a->o.micro_batch_tokens,
		                     .train_seconds = isnan(a->o.rung_seconds) ? INFINITY : a->o.rung_seconds,
		                     .slower = slower,
		                     .train = train,
		                     .progress = show_answering,
		                     .ctx = a };
	bool perplexity = false, others = false;
	for (size_t i = 0; i < a->goal.n; i++) {
		enum measure m = a->goal.term[i].what;
		perplexity |= m == MEASURE_PERPLEXITY;
		others |= m != MEASURE_PERPLEXITY && measure_is_score(m);
	}
	a->scores_alone = a->task.kind == TASK_ANSWERS && perplexity && !others;
	a->ladder.no_scores = !perplexity;
	a->ladder.answers_left = a->scores_alone ? 0 : SIZE_MAX;
}

static int open_all(struct adapt *a, struct err *e)
{
	if (adapt_check_rungs(a, e) < 0 || metering_limit(&a->limit, &a->o.common, e) < 0 ||
	    priors_load(&a->priors, a->o.priors, e) < 0)
		return -1;
	metering_phase("open");
	if (adapt_open_models(a, e) < 0 || open_task(a, e) < 0 || read_goal(a, e) < 0 || adapt_compare_tokens(a, e) < 0)
		return -1;
	adapt_make_ways(a);
	open_ladder(a);
	if (sources_wanted(&a->o.documents) &&
	    adapt_documents_open(&a->documents, a->app, &a->o.documents, &a->ladder, e) < 0)
		return -1;
	if (a->documents.open) /* as it is, wherever the run goes on */
		a->o.documents.template_ = a->documents.sources.form;
	if (adapt_reward_open(&a->reward, a->app, &a->o.reward, &a->ladder, e) < 0)
		return -1;
	a->ladder.max_new_tokens = judges(a) ? (int32_t)a->o.max_new_tokens : 0;
	a->climb.goal = a->has_goal ? adapt_quality(a->first->what, a->first->value) : NAN;
	return 0;
}

static void close_all(struct adapt *a)
{
	ladder_close(&a->ladder);
	adapt_documents_close(&a->documents);
	adapt_reward_close(&a->reward);
	adapt_free_ways(a);
	adapt_close_models(a);
	mem_free(a->choose);
	mem_free(a->test);
	mem_free(a->tested);
	mem_free(a->dir);
	json_decref(a->state);
	priors_release(&a->priors);
	task_release(&a->task);
	adapt_more_release(a);
	rows_release(&a->rows);
	rows_release(&a->test_rows);
	if (a->lock >= 0)
		io_unlock(a->lock);
}

/* --- the run --- */

static int finish(struct adapt *a, struct err *e)
{
	if (adapt_test(a, e) < 0)
		return -1;
	adapt_verdict(a);
	if (adapt_worth(a, e) < 0 || adapt_leave(a, e) < 0 || adapt_write_page(a, e) < 0)
		return -1;
	json_t *lines = adapt_table(a), *line;
	size_t i;
	json_array_foreach (lines, i, line)
		if (a->app->json)
			app_json(line);
	json_decref(lines);
	metering_out("result", a->dir);
	log_live_end();
	json_t *summary = adapt_summary(a);
	metering_summary(summary);
	adapt_put_gas(a, summary); /* of all processes of the run, not of this one */
	json_object_set(a->state, "results", summary);
	int status = adapt_state_save(a, "finished", e);
	if (status == 0 && a->app->json)
		app_json(summary);
	else if (status == 0)
		adapt_show(a);
	json_decref(summary);
	return status < 0 ? -1 : EXIT_DONE;
}

static int stopped(struct adapt *a, struct err *e)
{
	log_live_end();
	if (adapt_state_save(a, "stopped", e) < 0)
		return -1;
	log_say("stopped; go on with: kungfu resume %s", a->dir);
	return EXIT_STOPPED;
}

static int climb_and_finish(struct adapt *a, struct err *e)
{
	metering_phase("ways");
	int status = adapt_climb_all(a, e);

	if (status == 0)
		status = adapt_cascade(a, e);
	if (status == 0)
		status = finish(a, e);
	return status < 0 && app_signalled() ? stopped(a, e) : status;
}

/* Of the ways that there is room for, with their tests: the longest of these. */
static double longest_test(const struct adapt *a)
{
	double most = 0, left = adapt_left(a);

	for (size_t i = 0; i < a->climb.n; i++) {
		const struct climb_way *c = &a->climb.ways[i];
		if (!a->ways[i].why[0] && c->try_seconds + c->test_seconds <= left)
			most = fmax(most, c->test_seconds);
	}
	return most;
}

static void predict_ways(const struct adapt *a, struct predicted *p)
{
	double all = 0, bytes = 0, making = 0, now = (double)mem_rss(), test = longest_test(a);

	for (size_t i = 0; i < a->climb.n; i++)
		if (!a->ways[i].why[0]) {
			all += a->climb.ways[i].try_seconds;
			bytes = fmax(bytes, a->ways[i].price.bytes);
			making = fmax(making, a->ways[i].price.make_bytes);
		}
	bool limited = isfinite(adapt_left(a)); /* then it is fitted into what there is, and nothing is learnt of it */
	predict_begin(p, "%s", limited ? "" : "adapt");
	predict_phase(p, "ways", fmax(0, fmin(all, 0.8 * (adapt_left(a) - test))));
	predict_phase(p, "test", fmin(test, 0.8 * adapt_left(a)));
	p->spare_seconds = p->seconds;
	predict_part(p, "model", bytes, "of the model and its work, while answering");
	predict_part(p, "base", now, "program, libraries, rows");
	predict_part(p, "making", fmax(0, making - bytes - now), "more of it while it is trained");
}

static int show_plan(struct adapt *a, struct err *e)
{
	struct predicted p;

	predict_ways(a, &p);
	return planned(a->app, &p, NULL, e);
}

static int begin(struct adapt *a, struct err *e)
{
	struct speeds speeds = machine_speeds(a->app);

	a->state = json_object();
	adapt_read_notes(a);
	a->ladder.speeds = &speeds;
	adapt_learn_from_past(a);
	adapt_choose_test(a);
	adapt_say_known(a);
	if (!a->app->plans && (adapt_state_new(a, e) < 0 || ladder_write_rows(&a->ladder, e) < 0))
		return -1;
	if (a->app->plans) { /* what trainings would learn from is written to where it is gone again */
		if (ladder_write_rows(&a->ladder, e) < 0)
			return -1;
	}
	if (adapt_price(a, e) < 0)
		return -1;
	adapt_say_prices(a);
	if (show_plan(a, e) < 0)
		return -1;
	return climb_and_finish(a, e);
}

static void make_absolute(const char **path, char out[PATH_MAX])
{
	if (*path && realpath(*path, out))
		*path = out;
}

static int new_place(struct adapt *a, struct err *e)
{
	bool old = false, empty = true;

	if (output_place("out", a->o.out, OUTPUT_FOLDER, true, e) < 0)
		return -1;
	old = adapt_is(a->o.out);
	if (io_exists(a->o.out) && io_dir_is_empty(a->o.out, &empty, e) < 0)
		return -1;
	if (!empty && !(a->o.overwrite && old))
		return err_set(e,
		               old ? "%s holds an earlier run: kungfu resume goes on with it, --overwrite replaces it, "
		                     "--out names another place" :
		                     "%s is not empty and holds no run of adapt: --out names another place",
		               a->o.out);
	a->dir = mem_strdup(a->o.out);
	if (io_mkdirs(a->dir, e) < 0 || io_lock_dir(a->dir, &a->lock, e) < 0)
		return -1;
	return 0;
}

#define EARLIER "earlier" /* what an earlier run left, until the new one has begun */

/* What a run leaves; what is told of it last, so that a move that is cut off leaves a run to resume. */
static const char *const leavings[] = { "rungs", "data", "report.html", ADAPTED_FILE, ADAPT_FILE };

static int move_leavings(const char *from, const char *to, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < ARRAY_LEN(leavings) && status == 0; i++) {
		char *old = io_join(from, leavings[i]), *new = io_join(to, leavings[i]);
		if (io_exists(old))
			status = io_rename_dir(old, new, e);
		mem_free(old);
		mem_free(new);
	}
	return status;
}

static int remove_leavings(const char *dir, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < ARRAY_LEN(leavings) && status == 0; i++) {
		char *path = io_join(dir, leavings[i]);
		if (io_exists(path))
			status = io_remove_tree(path, e);
		mem_free(path);
	}
	return status;
}

static int forget_earlier(const struct adapt *a, struct err *e)
{
	char *earlier = io_join(a->dir, EARLIER);
	int status = io_exists(earlier) ? io_remove_tree(earlier, e) : 0;

	mem_free(earlier);
	return status;
}

/* The new run has the place; the earlier one is there until it has begun. */
static int set_earlier_aside(const struct adapt *a, struct err *e)
{
	if (!adapt_is(a->dir))
		return 0;
	char *earlier = io_join(a->dir, EARLIER);
	int status = forget_earlier(a, e);
	if (status == 0)
		status = io_mkdirs(earlier, e);
	if (status == 0)
		status = move_leavings(a->dir, earlier, e);
	mem_free(earlier);
	return status;
}

/* A run that could not begin leaves nothing in the way of the next try, and the earlier one as it was. */
static void discard_place(const struct adapt *a)
{
	struct err ignored = ERR_INIT;
	char *earlier = io_join(a->dir, EARLIER);
	bool empty;

	if (a->state)
		remove_leavings(a->dir, &ignored);
	if (io_exists(earlier) && move_leavings(earlier, a->dir, &ignored) == 0)
		io_remove_tree(earlier, &ignored);
	mem_free(earlier);
	if (io_dir_is_empty(a->dir, &empty, &ignored) == 0 && empty)
		io_remove_tree(a->dir, &ignored);
}

/* A plan writes the rows into a folder of its own, which is gone at the end. */
static int plan_place(struct adapt *a, struct err *e)
{
	a->dir = mem_strdup("/tmp/kungfu-plan-XXXXXX");
	return io_temporary_dir(a->dir, e);
}

static int run_new(struct adapt *a, struct err *e)
{
	static char paths[5][PATH_MAX];
	bool plans = a->app->plans;

	make_absolute(&a->o.data, paths[0]);
	make_absolute(&a->o.test_data, paths[1]);
	make_absolute(&a->o.priors, paths[2]);
	make_absolute(&a->o.documents.documents, paths[3]);
	make_absolute(&a->o.reward.model, paths[4]);
	int status = (plans ? plan_place : new_place)(a, e);
	if (status == 0)
		status = open_all(a, e);
	if (status == 0 && !plans)
		status = set_earlier_aside(a, e);
	if (status == 0)
		status = begin(a, e);
	bool began = a->state && json_array_size(adapt_decisions(a));
	if (plans && a->dir)
		io_remove_tree(a->dir, &(struct err){ .msg = "" });
	else if (status < 0 && !began && a->lock >= 0)
		discard_place(a);
	else if (a->lock >= 0 && began)
		forget_earlier(a, &(struct err){ .msg = "" });
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct adapt a = { .app = app, .o = *(struct adapt_options *)options, .lock = -1 };

	app_catch_signals();
	app->compute = a.o.compute;
	if (!a.o.data)
		return app_usage(&cmd_adapt, "--data FILE was wanted: rows with their answers");
	if (sources_contradiction(&a.o.documents))
		return app_usage(&cmd_adapt, "%s", sources_contradiction(&a.o.documents));
	if (adapt_reward_contradiction(&a.o.reward))
		return app_usage(&cmd_adapt, "%s", adapt_reward_contradiction(&a.o.reward));
	int status = 0;
	for (size_t i = 0; i < p->n_positional && status == 0; i++)
		status = adapt_give_model(&a, p->positional[i], e);
	if (status == 0)
		status = run_new(&a, e);
	close_all(&a);
	return status;
}

/* --- going on --- */

bool adapt_is(const char *dir)
{
	char *file = io_join(dir, ADAPT_FILE);
	bool is = io_is_dir(dir) && io_exists(file);

	mem_free(file);
	return is;
}

/* A plan writes the rows elsewhere, and changes nothing of the run. */
static int plan_going_on(struct adapt *a, struct err *e)
{
	char place[] = "/tmp/kungfu-plan-XXXXXX";

	if (io_temporary_dir(place, e) < 0)
		return -1;
	a->ladder.dir = place;
	a->ladder.was = a->dir;
	int status = ladder_write_rows(&a->ladder, e);
	if (status == 0)
		status = adapt_price(a, e);
	if (status == 0) {
		adapt_say_prices(a);
		status = show_plan(a, e);
	}
	io_remove_tree(place, &(struct err){ .msg = "" });
	return status;
}

static int go_on(struct adapt *a, struct err *e)
{
	struct speeds speeds = machine_speeds(a->app);
	bool new_rows = a->more.n_new > 0;

	adapt_read_notes(a);
	a->ladder.speeds = &speeds;
	adapt_learn_from_past(a);
	adapt_choose_test(a);
	adapt_more_recall(a);
	if (new_rows) {
		adapt_say_known(a);
		adapt_say_more(a);
	}
	if (adapt_recall(a, e) < 0)
		return -1;
	if (a->app->plans)
		return plan_going_on(a, e);
	if (ladder_write_rows(&a->ladder, e) < 0 || adapt_price(a, e) < 0)
		return -1;
	if (new_rows) {
		adapt_say_prices(a);
		if (show_plan(a, e) < 0)
			return -1;
	}
	return climb_and_finish(a, e);
}

static int say_finished(const struct adapt *a)
{
	log_say("%s: this run is finished; there is nothing to resume", a->dir);
	if (a->app->json)
		app_json(json_object_get(a->state, "results"));
	return EXIT_DONE;
}

static int open_and_go_on(struct adapt *a, struct err *e)
{
	const char *was = json_string_value(json_object_get(a->state, "status"));
	bool finished = was && !strcmp(was, "finished");

	if (finished && !a->more.asked)
		return say_finished(a);
	a->app->compute = a->o.compute;
	if (open_all(a, e) < 0)
		return -1;
	if (a->more.asked && !a->more.n_new) {
		log_say("%s: all %zu rows are in the run already", a->more.asked, a->more.known);
		if (finished)
			return say_finished(a);
	}
	if (a->more.n_new && adapt_more_begin(a, e) < 0)
		return -1;
	if (!a->app->plans && forget_earlier(a, e) < 0)
		return -1;
	return go_on(a, e);
}

static int read_state(struct adapt *a, struct opt_parse *p, const struct common *common, struct err *e)
{
	char *file = io_join(a->dir, ADAPT_FILE);

	a->state = jsonx_load_file(file, e);
	mem_free(file);
	if (!a->state)
		return -1;
	if (opt_begin(p, adapt_opts, &a->o, e) < 0 || opt_json(p, json_object_get(a->state, "options"), e) < 0)
		return err_prefix(e, "%s/" ADAPT_FILE, a->dir);
	const char *max_gas = a->o.common.max_gas;
	a->o.common = *common;
	if (!common->max_gas)
		a->o.common.max_gas = max_gas;
	const json_t *models = json_object_get(a->state, "models");
	size_t n = models ? json_array_size(models) : 1;
	for (size_t i = 0; i < n; i++) {
		const char *path =
			json_string_value(models ? json_array_get(models, i) : json_object_get(a->state, "model"));
		if (path && adapt_give_model(a, path, e) < 0)
			return -1;
	}
	if (a->n_models != n || !n || !a->o.data)
		return err_set(e, "%s/" ADAPT_FILE ": it names no model or no rows", a->dir);
	return 0;
}

int adapt_resume(struct app *app, const struct common *common, const char *dir, const char *data, struct err *e)
{
	struct adapt a = { .app = app, .lock = -1, .dir = mem_strdup(dir), .more = { .asked = data } };
	struct opt_parse p = { 0 };
	int status = io_lock_dir(dir, &a.lock, e);

	if (status == 0)
		status = read_state(&a, &p, common, e);
	if (status == 0)
		status = open_and_go_on(&a, e);
	close_all(&a);
	opt_release(&p);
	return status;
}

static void about(void)
{
	app_print("Ways that are tried, where they fit the rows and the model:\n");
	adapt_list_rungs();
}

const struct command cmd_adapt = {
	.name = "adapt",
	.summary = "which way reaches your goal for the least gas, found out by measuring",
	.usage = "MODEL [MODEL2 ...] --data FILE [--goal \"accuracy>=0.9\"] [--out DIR] [options]",
	.example = "kungfu adapt model.gguf --data rows.jsonl",
	.brief = "the cheapest way there is",
	.plans = true,
	.order = 43,
	.opts = adapt_opts,
	.options_size = sizeof(struct adapt_options),
	.least = 1,
	.most = MODELS_MOST,
	.wanted = "one model or more were wanted (rows are given by --data FILE)",
	.about = about,
	.run = run,
};
