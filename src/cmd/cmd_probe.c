/* probe: what is learnt in seconds from rows with labels, or numbers: the floor (majority, words), and on a frozen
 * model's states neighbours and a probe (learn/learner.h), beside each other: how often they are right on other rows,
 * what they take to make and to use. --out keeps the one that cross-validation says is the best, of equals the
 * cheapest; `eval` and `classify` take its folder as a model. Rows of --eval-data choose nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "cmd/label_view.h"
#include "cmd/metering.h"
#include "cmd/model_writing.h"
#include "cmd/probing.h"
#include "cmd/text_rows.h"
#include "cmd/text_table.h"
#include "eval/label_scores.h"
#include "learn/minimize.h"
#include "op/timing.h"

extern const struct command cmd_probe;

/* Steps of all that cross-validation fits on words, as if each were on all rows; of a layer that is looked at first; of
 * the best layers; of the fit that stays. What a step takes beside its products. */
enum { WORD_STEPS = 550, LAYER_STEPS = 50, PROBE_STEPS = 1500, EXACT_STEPS = 40 };
#define STEP_FACTOR 1.3
enum { WORD_ROOM = 64 };            /* bytes that a text's word takes meanwhile */
enum { QUIET_SECONDS = 2 };           /* before it says what it is at */
enum { MEMORY_SHARE = 4 };          /* of the memory that is free features get at most a quarter */

struct probe_options {
	struct common common;
	const char *data, *eval_data, *out, *adapter, *with, *features, *problem, *compute;
	int64_t layer, folds, seed, max_length, micro_batch_tokens;
	bool apply_chat_template;
};

static const struct opt probe_opts[] = {
	OPT_GROUP("What is learnt"),
	OPT_STRING("data", struct probe_options, data, NULL, "FILE",
	           "rows with a label or a number: text,label and its kin, query,choices,gold, or any shape whose "
	           "answers come again"),
	OPT_STRING("eval-data", struct probe_options, eval_data, NULL, "FILE",
	           "other rows, on which it is told how good each is (default: cross-validation says)"),
	OPT_STRING("out", struct probe_options, out, NULL, "DIR", "keeps the best, for eval and classify"),
	OPT_CHOICE("with", struct probe_options, with, "all", "all|probe|knn|tfidf|majority",
	           "what is fitted; tfidf and majority need no model"),
	OPT_CHOICE("problem-type", struct probe_options, problem, "auto", "auto|regression",
	           "regression: labels are numbers (auto: where all are, and some not whole)"),
	OPT_GROUP("How"),
	OPT_CHOICE("features", struct probe_options, features, "auto", "auto|last|mean",
	           "the state after the last token of what is asked, or the mean of all (auto: last; of an encoder "
	           "mean)"),
	OPT_INT("layer", struct probe_options, layer, NULL, 0, 1 << 16,
	        "the layer whose states are read, 0: embeddings (default: cross-validation chooses)"),
	OPT_INT("folds", struct probe_options, folds, "5", 2, 100, "parts of cross-validation"),
	OPT_INT("seed", struct probe_options, seed, "0", 0, 1e15, "deals rows out to the parts"),
	ADAPTER_OPT(struct probe_options, adapter),
	OPT_FLAG("apply-chat-template", struct probe_options, apply_chat_template, "false",
	         "query,choices,gold rows: the query is the user's turn"),
	OPT_INT("max-length", struct probe_options, max_length, NULL, 2, 1 << 20,
	        "most tokens of what a row asks (default: the model's context)"),
	OPT_INT("micro-batch-tokens", struct probe_options, micro_batch_tokens, "1024", 2, 1 << 22,
	        "tokens computed at once"),
	COMPUTE_OPT(struct probe_options, compute, "f32"),
	COMMON_OPTS(struct probe_options, common),
	OPT_END
};

/* One of them, fitted and looked at. */
struct way {
	struct learner learner;
	struct label_scores scores;     /* on the other rows, or in cross-validation */
	double seconds, joules;         /* to make, its share of the features included */
	double row_seconds, row_joules; /* to use */
};

struct job {
	struct app *app;
	const struct probe_options *o;
	const char *model;
	struct loaded l;
	bool has_model;
	struct rows rows, others, all;  /* all: both, its items borrowed */
	struct answers train, test;
	struct frozen_options how;
	struct frozen frozen;
	int *layers;
	float *features;
	double feature_seconds, feature_joules; /* a row */
	struct way way[LEARNERS];
	int n_ways;
};

static bool is_wanted(const struct job *j, enum learner_kind kind)
{
	return !strcmp(j->o->with, "all") || !strcmp(j->o->with, learner_names[kind]);
}

static bool needs_model(const struct job *j) { return is_wanted(j, LEARNER_KNN) || is_wanted(j, LEARNER_PROBE); }

static bool of_numbers(const struct job *j) { return j->train.rows.labels.problem == PROBLEM_REGRESSION; }

/* --- rows --- */

static int read_rows(struct job *j, struct err *e)
{
	const struct probe_options *o = j->o;

	if (rows_load(&j->rows, o->data, e) < 0 || (o->eval_data && rows_load(&j->others, o->eval_data, e) < 0))
		return -1;
	if (!j->rows.n || (o->eval_data && !j->others.n))
		return err_set(e, "%s holds no rows", j->rows.n ? o->eval_data : o->data);
	metering_in("data", o->data, j->rows.hash);
	if (o->eval_data)
		metering_in("eval data", o->eval_data, j->others.hash);
	if (answers_learn(&j->train, &j->rows, !strcmp(o->problem, "regression"), e) < 0)
		return -1;
	if (j->train.rows.labels.problem == PROBLEM_SINGLE_LABEL && j->train.rows.labels.n < 2)
		return err_set(e, "%s: all %zu rows have the answer '%.60s': there is nothing to tell apart", o->data,
		               j->rows.n, j->train.rows.labels.name[0]);
	if (o->eval_data && answers_take(&j->test, &j->others, &j->train.rows.labels, e) < 0)
		return -1;
	j->all.n = j->rows.n + j->others.n;
	j->all.items = mem_array(j->all.n, sizeof(*j->all.items));
	memcpy(j->all.items, j->rows.items, j->rows.n * sizeof(*j->all.items));
	if (j->others.n)
		memcpy(j->all.items + j->rows.n, j->others.items, j->others.n * sizeof(*j->all.items));
	return 0;
}

/* --- the model --- */

static int choose_layers(struct job *j, struct err *e)
{
	const struct model *m = &j->l.model;

	j->layers = mem_array((size_t)features_layers(m), sizeof(*j->layers));
	j->how.layers = j->layers;
	if (j->o->layer != OPT_UNSET_INT) {
		j->layers[0] = (int)MIN(j->o->layer, INT32_MAX);
		j->how.n_layers = 1;
		return j->o->layer <= m->config.n_layers ? 0 :
		       err_set(e, "--layer %lld: the model has layers 0 (its embeddings) to %d",
		               (long long)j->o->layer, m->config.n_layers);
	}
	j->how.n_layers = frozen_layers(m, j->all.n, mem_available() / MEMORY_SHARE, j->layers);
	if ((int)j->how.n_layers < features_layers(m))
		log_say("%zu of %d layers are looked at: features of all would take more than a quarter of the memory",
		        j->how.n_layers, features_layers(m));
	return 0;
}

static bool rows_want_template(const struct job *j)
{
	for (size_t i = 0; i < j->all.n; i++)
		if (asked_by_template(j->all.items[i].json, j->o->apply_chat_template))
			return true;
	return false;
}

static int open_model(struct job *j, struct err *e)
{
	const struct probe_options *o = j->o;

	if (loaded_open(&j->l, j->model, o->adapter, e) < 0)
		return -1;
	j->has_model = true;
	if (model_compute(j->app, &j->l.model, o->compute, PREPARE_SCORE, e) < 0 || loaded_text(&j->l, e) < 0 ||
	    (rows_want_template(j) && loaded_chat(&j->l, e) < 0))
		return -1;
	bool mean = strcmp(o->features, "auto") ? !strcmp(o->features, "mean") : j->l.model.config.arch->encoder;
	j->how = (struct frozen_options){ .pooling = mean ? FEATURES_MEAN : FEATURES_LAST,
		                          .micro_batch_tokens = (int32_t)o->micro_batch_tokens,
		                          .max_length = overlays_context(loaded_overlay(&j->l), &j->l.model),
		                          .apply_chat_template = o->apply_chat_template };
	if (text_length(&j->l.model, o->max_length, &j->how.max_length, e) < 0 || choose_layers(j, e) < 0 ||
	    frozen_open(&j->frozen, &j->l.model, loaded_overlay(&j->l), j->l.chat, j->app->device, &j->all, &j->how,
	                e) < 0)
		return -1;
	if (j->frozen.n_cut)
		log_warn("%zu of %zu rows are longer than %d tokens and cut there", j->frozen.n_cut, j->all.n,
		         j->how.max_length);
	return 0;
}

static size_t outputs_of(const struct job *j)
{
	return j->train.rows.labels.n > 2 ? (size_t)j->train.rows.labels.n : 1;
}

/* What is fitted on words takes: seconds, and bytes that are held meanwhile, a number of the search for each word and
 * label, and what a text's words take. */
static double predict_words(const struct job *j, double *bytes)
{
	const struct workshop on = { j->app->kernels, j->app->pool };
	struct arena mem = ARENA_INIT;
	struct tfidf words;
	struct design x;

	*bytes = 0;
	if (!is_wanted(j, LEARNER_TFIDF))
		return 0;
	tfidf_fit(&words, &mem, j->train.rows.text, NULL, j->rows.n);
	tfidf_rows(&words, &mem, j->train.rows.text, NULL, j->rows.n, true, &x);
	*bytes = (double)(words.n * outputs_of(j) * sizeof(double) * (2 * MINIMIZE_PAIRS + 8)) +
	         (double)x.first[x.rows] * WORD_ROOM;
	double seconds = WORD_STEPS * STEP_FACTOR * linear_step_seconds(&x, outputs_of(j), false, &on);
	arena_release(&mem);
	return seconds;
}

/* The same of features, by a step on zeros of their size. */
static double predict_features(const struct job *j)
{
	const struct workshop on = { j->app->kernels, j->app->pool };
	size_t width = features_width(j->frozen.features), first = MIN(j->rows.n, (size_t)LEARNER_STAGE_ROWS);

	if (!is_wanted(j, LEARNER_PROBE))
		return 0;
	float *zeros = mem_array(j->rows.n * width + 1, sizeof(*zeros));
	struct design all = { .rows = j->rows.n, .cols = width, .dense = zeros }, some = all;
	some.rows = first;
	double seconds = STEP_FACTOR * (LAYER_STEPS * (double)j->how.n_layers *
	                                        linear_step_seconds(&some, outputs_of(j), true, &on) +
	                                PROBE_STEPS * linear_step_seconds(&all, outputs_of(j), true, &on) +
	                                EXACT_STEPS * linear_step_seconds(&all, outputs_of(j), false, &on));
	mem_free(zeros);
	return seconds;
}

static int plan(struct job *j, struct err *e)
{
	struct predicted p;
	double bytes, seconds = predict_words(j, &bytes);

	if (j->has_model) {
		size_t features = j->all.n * j->how.n_layers * features_width(j->frozen.features) * sizeof(float);
		return probing_planned(j->app, &j->l, &j->frozen, "probe", features + (size_t)bytes, "fitting",
		                       seconds + predict_features(j), e);
	}
	predict_begin(&p, "probe %s", j->o->with);
	predict_part(&p, "fit", bytes, "words and labels");
	predict_part(&p, "base", (double)mem_rss_peak(), "program, libraries, rows");
	predict_phase(&p, "fitting", seconds);
	p.loose_seconds = seconds;
	return planned(j->app, &p, NULL, e);
}

/* --- the work --- */

struct stretch { double began; struct meter_span span; };

static void stretch_begin(struct stretch *s)
{
	s->began = clock_seconds();
	metering_open_span(&s->span);
}

static double stretch_end(const struct stretch *s, double *joules)
{
	struct gas g;

	metering_read_span(&s->span, &g);
	*joules = g.energy.joules;
	return clock_seconds() - s->began;
}

static int compute_features(struct job *j, struct err *e)
{
	struct stretch s;

	if (!j->has_model)
		return 0;
	metering_phase("features");
	stretch_begin(&s);
	int status = probing_features(&j->features, &j->frozen, j->how.n_layers, e);
	j->feature_seconds = stretch_end(&s, &j->feature_joules) / (double)j->all.n;
	j->feature_joules /= (double)j->all.n;
	return status;
}

/* The rows that are learnt from, or the others, with their features. */
static struct examples examples_of(const struct job *j, bool others)
{
	struct examples x = others ? j->test.rows : j->train.rows;

	if (!j->has_model)
		return x;
	x.width = features_width(j->frozen.features);
	x.n_layers = j->how.n_layers;
	x.layer = j->layers;
	x.feature = j->features + (others ? j->rows.n * x.n_layers * x.width : 0);
	return x;
}

/* Scores of outputs z, [n][labels]. */
static void score(struct way *w, const struct examples *x, const double *z)
{
	size_t k = (size_t)x->labels.n;
	int32_t *said = mem_array(x->n + 1, sizeof(*said));

	if (x->number) {
		label_scores_numbers(&w->scores, x->number, z, x->n);
	} else {
		for (size_t i = 0; i < x->n; i++)
			for (size_t c = 1; c < k; c++)
				said[i] = z[i * k + c] > z[i * k + (size_t)said[i]] ? (int32_t)c : said[i];
		label_scores_single(&w->scores, (int)k, x->y, said, x->n);
	}
	mem_free(said);
}

static int use(struct job *j, struct way *w, struct err *e)
{
	struct workshop on = { j->app->kernels, j->app->pool };
	struct examples x = examples_of(j, j->others.n > 0);
	size_t n = x.n * (size_t)x.labels.n;
	float *out = mem_array(n + 1, sizeof(*out));
	double *z = mem_array(n + 1, sizeof(*z));
	bool reads = learner_reads_features(w->learner.kind);
	struct stretch s;

	stretch_begin(&s);
	int status = learner_outputs(&w->learner, &x, &on, out, e);
	w->row_seconds = stretch_end(&s, &w->row_joules) / (double)x.n + (reads ? j->feature_seconds : 0);
	w->row_joules = w->row_joules / (double)x.n + (reads ? j->feature_joules : 0);
	for (size_t i = 0; i < n; i++)
		z[i] = (double)out[i];
	if (status == 0)
		score(w, &x, j->others.n ? z : w->learner.held);
	mem_free(out);
	mem_free(z);
	return status;
}

static int fit(struct job *j, enum learner_kind kind, struct err *e)
{
	const struct learner_options lo = { .layer = -1, .folds = (int)j->o->folds, .seed = (uint64_t)j->o->seed };
	struct workshop on = { j->app->kernels, j->app->pool };
	struct examples x = examples_of(j, false);
	struct way *w = &j->way[j->n_ways++];
	bool reads = learner_reads_features(kind);
	struct stretch s;

	if (metering_seconds() > QUIET_SECONDS)
		log_live("fitting: %s  %s", learner_names[kind], metering_live());
	stretch_begin(&s);
	int status = learner_fit(&w->learner, kind, &x, &lo, &on, e);
	w->seconds = stretch_end(&s, &w->joules) + (reads ? j->feature_seconds * (double)x.n : 0);
	w->joules += reads ? j->feature_joules * (double)x.n : 0;
	log_live_end();
	return status < 0 ? -1 : use(j, w, e);
}

/* The best in cross-validation, the first of equals: they come from cheap to dear. */
static const struct way *best_way(const struct job *j)
{
	const struct way *best = &j->way[0];

	for (int i = 1; i < j->n_ways; i++)
		best = j->way[i].learner.held_score > best->learner.held_score ? &j->way[i] : best;
	return best;
}

static int keep(struct job *j, struct err *e)
{
	const struct way *w = best_way(j);
	struct folder f;

	if (!j->o->out)
		return 0;
	bool reads = learner_reads_features(w->learner.kind);
	json_t *facts = probing_facts(reads ? j->model : NULL, j->o->adapter, &j->how);
	int status = folder_begin(&f, j->o->out, e);
	if (status == 0) {
		status = learner_save(&w->learner, f.beside, facts, e);
		if (status == 0)
			status = folder_place(&f, e);
		else
			folder_abort(&f);
	}
	if (status == 0)
		metering_out("result", j->o->out);
	json_decref(facts);
	return status;
}

/* --- what came of it --- */

static json_t *way_json(const struct job *j, const struct way *w)
{
	const struct learner *l = &w->learner;
	json_t *out = json_pack("{s:s}", "method", learner_names[l->kind]);

	if (of_numbers(j)) {
		put_estimate(out, "rmse", &w->scores.rmse);
		put_estimate(out, "pearson", &w->scores.pearson);
	} else {
		put_estimate(out, "accuracy", &w->scores.accuracy);
		put_estimate(out, "macro_f1", &w->scores.macro_f1);
	}
	json_object_set_new(out, "cross_validation", jsonx_number(l->held_score));
	json_object_set_new(out, "cross_validation_loss", jsonx_number(l->held_loss));
	json_object_set_new(out, "layer", learner_reads_features(l->kind) ? json_integer(l->layer) : json_null());
	json_object_set_new(out, "k", l->kind == LEARNER_KNN ? json_integer(l->k) : json_null());
	json_object_set_new(out, "C", l->C > 0 && l->kind != LEARNER_KNN ? json_real(l->C) : json_null());
	json_object_set_new(out, "temperature", jsonx_number(l->temperature));
	json_object_set_new(out, "seconds", jsonx_number(w->seconds));
	json_object_set_new(out, "joules", jsonx_number(w->joules));
	json_object_set_new(out, "seconds_per_row", jsonx_number(w->row_seconds));
	json_object_set_new(out, "joules_per_row", jsonx_number(w->row_joules));
	return out;
}

static void settings_text(const struct learner *l, char out[64])
{
	out[0] = 0;
	if (l->kind == LEARNER_KNN)
		snprintf(out, 64, "layer %d, k %d", l->layer, l->k);
	else if (l->kind == LEARNER_PROBE)
		snprintf(out, 64, "layer %d, C %g", l->layer, l->C);
	else if (l->kind == LEARNER_TFIDF)
		sentence_format(out, 64, "%zu words, C %g", l->words.n, l->C);
}

static void time_text(double seconds, char out[32])
{
	if (seconds < 0.0995)
		snprintf(out, 32, "%.2g ms", seconds * 1e3);
	else
		clock_human(seconds, out);
}

static void table_row(const struct job *j, struct table *t, const struct way *w)
{
	const struct estimate *s = of_numbers(j) ? &w->scores.rmse : &w->scores.accuracy;
	char settings[64], made[32], row[32];

	settings_text(&w->learner, settings);
	time_text(w->seconds, made);
	time_text(w->row_seconds, row);
	table_cell(t, "%s", learner_names[w->learner.kind]);
	table_cell(t, "%.4f", s->mean);
	table_cell(t, "%.3f to %.3f", s->low, s->high);
	if (of_numbers(j))
		table_cell(t, "%.3f", w->scores.pearson.mean);
	else
		table_cell(t, "%.3f", w->scores.macro_f1.mean);
	table_cell(t, "%.3f", w->learner.held_score);
	table_cell(t, "%s", made);
	table_cell(t, "%s", row);
	if (isfinite(w->row_joules))
		table_cell(t, "%.2g J", w->row_joules);
	else
		table_cell(t, "–");
	table_cell(t, "%s", settings);
}

static void show(const struct job *j)
{
	static const char *const names[] = { "", "accuracy", "95 %", "macro F1", "cross-val.", "to make", "a row",
		                             "energy", "chosen" },
	                  *const number_names[] = { "", "rmse", "95 %", "Pearson", "R², cv", "to make", "a row",
		                                    "energy", "chosen" };
	struct table t = { .columns = ARRAY_LEN(names), .right = 0xFE };
	struct buf out = BUF_INIT;
	char gas[400];

	app_print("%s: %zu rows, ", j->o->data, j->rows.n);
	if (of_numbers(j))
		app_print("numbers");
	else
		app_print("%d labels", j->train.rows.labels.n);
	if (j->others.n)
		app_print("; %s: %zu rows\n", j->o->eval_data, j->others.n);
	else
		app_print("; scores by cross-validation in %d parts, which also chose: no other rows were given\n",
		          j->way[0].learner.folds);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		table_cell(&t, "%s", (of_numbers(j) ? number_names : names)[i]);
	for (int i = 0; i < j->n_ways; i++)
		table_row(j, &t, &j->way[i]);
	table_write(&out, &t, "  ");
	app_print("%s", buf_str(&out));
	if (j->o->out)
		app_print("  %s: %s, the best in cross-validation\n", j->o->out,
		          learner_names[best_way(j)->learner.kind]);
	metering_text(gas);
	if (gas[0])
		app_print("  %s\n", gas);
	buf_release(&out);
	table_release(&t);
}

static void report(struct job *j)
{
	struct scorer *s = j->has_model ? features_scorer(j->frozen.features) : NULL;

	for (int i = 0; i < j->n_ways && j->app->json; i++) {
		json_t *line = way_json(j, &j->way[i]);
		app_json(line);
		json_decref(line);
	}
	metering_count(s ? j->frozen.tokens : -1, -1, -1, s ? scorer_flops(s) : NAN, s ? scorer_int_ops(s) : NAN);
	json_t *out = json_pack("{s:o, s:s, s:I, s:I, s:s, s:i, s:o, s:I}", "out",
	                        j->o->out ? jsonx_path(j->o->out) : json_null(), "best",
	                        learner_names[best_way(j)->learner.kind], "rows", (json_int_t)j->rows.n, "eval_rows",
	                        (json_int_t)j->others.n, "problem_type", problem_name(j->train.rows.labels.problem),
	                        "num_labels", j->train.rows.labels.n, "features",
	                        s ? json_string(feature_pooling_names[j->how.pooling]) : json_null(), "layers",
	                        (json_int_t)j->how.n_layers);
	json_object_set_new(out, "tokens", json_integer(j->frozen.tokens));
	json_object_set_new(out, "computed_tokens", json_integer(s ? scorer_computed_tokens(s) : 0));
	json_object_set_new(out, "truncated", json_integer((json_int_t)j->frozen.n_cut));
	app_summary(j->app, out);
	if (!j->app->json)
		show(j);
}

/* --- the whole --- */

static int probe(struct job *j, struct err *e)
{
	if ((j->o->out && output_folder_free(j->o->out, e) < 0) || read_rows(j, e) < 0 ||
	    (needs_model(j) && open_model(j, e) < 0) || plan(j, e) < 0 || compute_features(j, e) < 0)
		return -1;
	metering_phase("fit");
	for (int kind = 0; kind < LEARNERS; kind++)
		if (is_wanted(j, (enum learner_kind)kind) && fit(j, (enum learner_kind)kind, e) < 0)
			return -1;
	if (keep(j, e) < 0)
		return -1;
	report(j);
	return 0;
}

static void release(struct job *j)
{
	for (int i = 0; i < j->n_ways; i++) {
		learner_release(&j->way[i].learner);
		label_scores_release(&j->way[i].scores);
	}
	frozen_close(&j->frozen);
	mem_free(j->features);
	mem_free(j->layers);
	mem_free(j->all.items);
	answers_release(&j->train);
	answers_release(&j->test);
	rows_release(&j->rows);
	rows_release(&j->others);
	if (j->has_model)
		loaded_close(&j->l);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct job j = { .app = app, .o = options, .model = p->n_positional ? p->positional[0] : NULL };

	app_catch_signals();
	if (!j.o->data)
		return app_usage(&cmd_probe, "--data FILE was wanted");
	if (needs_model(&j) && !j.model)
		return app_usage(&cmd_probe, "a model was wanted; --with tfidf and --with majority need none");
	metering_seed(j.o->seed);
	int status = probe(&j, e);
	release(&j);
	return status;
}

const struct command cmd_probe = {
	.name = "probe",
	.summary = "labels from a frozen model's states, learnt in seconds, beside the floor of words and majority",
	.usage = "MODEL --data FILE [--eval-data FILE] [--out DIR]",
	.example = "kungfu probe model.gguf --data rows.jsonl --out p",
	.brief = "labels learnt in seconds",
	.plans = true,
	.order = 49,
	.opts = probe_opts,
	.options_size = sizeof(struct probe_options),
	.least = 0, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
