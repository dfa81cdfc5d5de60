/* shrink: a model as the smallest file that is still what it was. For each type a few rungs, the cheapest first, each a
 * whole file that is compared with its source, token by token (eval/agreement.h):
 *
 *     round     each number to the nearest that the type has: what `kungfu quantize` does
 *     imatrix   the same, erring less where more comes along (eval/importance.h)
 *     gptq      each number rounded with what those before it err in mind, by what the matrix is multiplied with
 *               (eval/moments.h, quant/gptq.h)
 *     learn     numbers trained so that what is rounded says what the source says: KL(source ‖ file) of every next
 *               token, no labels, by `tune --objective distill --qat TYPE` with the source as its own teacher; begins
 *               as the nearest of the others, and learns its scales, where a type's blocks have one (quant/ranges.h),
 *               else as imatrix
 *
 * With --goal the climbing ends at the first rung of the first type that meets it; types are tried from the one whose
 * file is smallest, so that is the smallest file. A goal is met when the end of the 95 % interval that is farther off
 * meets it. Without one all rungs of the one type are climbed, and the one nearest to its source is kept.
 *
 * Texts are those of --data, else the model's own (infer/own_texts.h); compared is on --eval-data, else on texts of its
 * own that nothing was made by. What a rung left lies in FILE.shrink until the end, so a command that was stopped goes
 * on where its training was. */
#include "cmd/shrink/shrink.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cmd/metering.h"
#include "cmd/model_writing.h"
#include "cmd/output_check.h"
#include "cmd/text_table.h"
#include "cmd/tune_common.h"
#include "eval/evaluate.h"
#include "feedback/resample.h"
#include "model/weights.h"
#include "token/tokenizer.h"
#include "train/run_dir.h"

extern const struct command cmd_shrink;

enum { JUDGED_TEXTS_OWN = 16, DRAWS = 2000 };

static const struct opt shrink_opts[] = {
	OPT_GROUP("What to write"),
	OPT_STRING("to", struct shrink, to, NULL, "LIST", "quantize's names of types, as q4_0 or q3_k_m,q4_0,q4_k_m"),
	OPT_STRING("out", struct shrink, out, NULL, "FILE.gguf", "the file to write"),
	OPT_STRING("goal", struct shrink, goal, NULL, "kl<X|ppl<+X%", "how near is enough: then the smallest that is"),
	OPT_CHOICE("rungs", struct shrink, rungs, "learn", "round|imatrix|gptq|learn",
	           "the last of them that is climbed"),
	OPT_GROUP("What it learns by and is compared on"),
	OPT_STRING("data", struct shrink, data, NULL, "FILE", "text or rows (default: texts that the model draws)"),
	OPT_INT("texts", struct shrink, texts, "256", 1, 1e6, "how many texts it draws of itself to learn by"),
	OPT_STRING("eval-data", struct shrink, eval_data, NULL, "FILE",
	           "text or rows to compare on (default: texts that the model draws)"),
	OPT_INT("limit", struct shrink, limit, "32", 1, 1e12, "compares on so many windows of it at most"),
	OPT_STRING("task", struct shrink, task, NULL, "FILE", "rows with choices or answers: a score of each rung"),
	OPT_GROUP("Learning"),
	OPT_INT("max-steps", struct shrink, max_steps, "100", 1, 1e9, "steps"),
	OPT_INT("batch-size", struct shrink, batch_size, "8", 1, 1 << 20, "texts of a step"),
	OPT_FLOAT("learning-rate", struct shrink, learning_rate, "1e-4", 0, 1e3, "at its peak"),
	OPT_INT("seed", struct shrink, seed, "42", 0, 9007199254740991.0, "of the order of texts"),
	OPT_BYTES("memory", struct shrink, memory, NULL, "limit of the process's memory, as 2G"),
	COMMON_OPTS(struct shrink, common),
	OPT_END
};

/* --- what is wanted --- */

static int read_goal(struct shrinking *s, struct err *e)
{
	const char *text = s->o->goal;
	struct goal *g = &s->goal;
	char *end = NULL;

	if (!text)
		return 0;
	g->kl = !strncmp(text, "kl<", 3);
	g->ppl = !strncmp(text, "ppl<+", 5);
	g->most = g->kl ? strtod(text + 3, &end) : g->ppl ? strtod(text + 5, &end) : 0;
	if (g->ppl && end && *end == '%')
		end++;
	else if (g->ppl)
		end = NULL;
	if (!end || *end || !(g->most > 0))
		return err_set(e, "--goal %.40s: kl<0.05, in nats a token, or ppl<+2%% was wanted", text);
	return 0;
}

static int read_types(struct shrinking *s, struct err *e)
{
	for (const char *at = s->o->to; *at;) {
		size_t n = strcspn(at, ",");
		if (s->n_types == SHRINK_TYPES)
			return err_set(e, "--to names more than %d types", SHRINK_TYPES);
		char *name = s->types[s->n_types++] = mem_strndup(at, n);
		const struct quant_mix *m = quant_mix_find(name, e);
		if (!m)
			return err_prefix(e, "--to");
		if (dtypes[m->dtype].block == 1)
			return err_set(e, "--to %s: that rounds no number to blocks", name);
		at += n + (at[n] == ',');
	}
	if (s->n_types > 1 && !s->o->goal)
		return err_set(e, "--to %s: of several types --goal says which is good enough", s->o->to);
	return s->n_types ? 0 : err_set(e, "--to names no type");
}

/* --- texts --- */

static int read_rows(struct shrinking *s, struct set *x, const char *role, const char *path, struct err *e)
{
	if (rows_load(&x->rows, path, e) < 0)
		return -1;
	metering_in(role, path, x->rows.hash);
	if (loaded_chat(&s->source, e) < 0)
		return -1;
	struct text_codec codec = { s->source.model.tokenizer, s->source.chat };
	struct document_options d = { .max_length = MIN(SHRINK_LENGTH, s->source.model.config.n_ctx) };
	if (documents_make(&x->documents, &x->rows, &codec, &d, e) < 0)
		return -1;
	x->items = x->documents.items;
	x->n = x->documents.n;
	return x->documents.learnt ? 0 : err_set(e, "%s: no row predicts a token", path);
}

static void place_items(struct set *x, size_t first, size_t n)
{
	x->n = n;
	x->items = mem_array(n, sizeof(*x->items));
	x->learn = mem_array((size_t)x->own.length, 1);
	memset(x->learn + 1, 1, (size_t)x->own.length - 1);
	for (size_t i = 0; i < n; i++)
		x->items[i] = (struct document){ .ids = x->own.ids + (first + i) * (size_t)x->own.length,
			                         .learn = x->learn, .n = x->own.length,
			                         .n_learn = x->own.length - 1, .file = "own texts", .line = i + 1,
			                         .choice = -1 };
}

static int draw(struct shrinking *s, struct set *x, size_t first, size_t n, struct err *e)
{
	struct model *m = &s->source.model;

	log_live("drawing %zu texts of the model's own", first + n);
	if (own_texts_get(&x->own, m, s->hash, s->app->device, first + n, app_interrupted, e) < 0)
		return -1;
	log_live_end();
	place_items(x, first, n);
	return 0;
}

/* Before any is drawn, for the plan: texts as long, of any tokens. */
static void stand_in(struct shrinking *s, struct set *x, size_t n)
{
	const struct model *m = &s->source.model;
	struct rng_key key = { (uint64_t)s->o->seed, RNG_SAMPLE };

	x->own.length = own_texts_length(m);
	x->own.n = n;
	x->own.ids = mem_array(n * (size_t)x->own.length, sizeof(*x->own.ids));
	for (size_t i = 0; i < n * (size_t)x->own.length; i++)
		x->own.ids[i] = (int32_t)(rng_uniform(key, i, 0, 0) * (float)m->config.V);
	place_items(x, 0, n);
}

int shrink_write_texts(struct shrinking *s, const char *path, struct err *e)
{
	const struct tokenizer *t = s->source.model.tokenizer;
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < s->learn.n; i++) {
		struct buf text = BUF_INIT;
		tokenizer_decode(t, s->learn.items[i].ids, (size_t)s->learn.items[i].n, true, &text);
		json_t *row = json_pack("{s:o}", "text", jsonx_text(buf_str(&text), text.len));
		char *line = jsonx_line(row);
		buf_addf(&out, "%s\n", line);
		mem_free(line);
		json_decref(row);
		buf_release(&text);
	}
	int status = io_write(path, out.data, out.len, e);
	buf_release(&out);
	return status;
}

static void set_release(struct set *x)
{
	if (x->learn)
		mem_free(x->items);
	mem_free(x->learn);
	own_texts_release(&x->own);
	documents_release(&x->documents);
	rows_release(&x->rows);
}

/* Rows that are given, and others in the place of texts that are to be drawn. */
static int read_texts(struct shrinking *s, struct err *e)
{
	const struct shrink *o = s->o;

	if ((o->eval_data && read_rows(s, &s->judge, "eval-data", o->eval_data, e) < 0) ||
	    (o->data && read_rows(s, &s->learn, "data", o->data, e) < 0))
		return -1;
	if (!o->eval_data)
		stand_in(s, &s->judge, JUDGED_TEXTS_OWN);
	if (!o->data)
		stand_in(s, &s->learn, (size_t)o->texts);
	s->judge.n = MIN(s->judge.n, (size_t)o->limit);
	if (o->task && rows_load(&s->task, o->task, e) < 0)
		return -1;
	if (o->task)
		metering_in("task", o->task, s->task.hash);
	return 0;
}

/* Texts to judge by are the first ones that the model draws: those that tune measures forgetting on too. */
static int draw_texts(struct shrinking *s, struct err *e)
{
	const struct shrink *o = s->o;

	if (!o->eval_data) {
		set_release(&s->judge);
		s->judge = (struct set){ 0 };
		if (draw(s, &s->judge, 0, JUDGED_TEXTS_OWN, e) < 0)
			return -1;
		s->judge.n = MIN(s->judge.n, (size_t)o->limit);
	}
	if (o->data)
		return 0;
	set_release(&s->learn);
	s->learn = (struct set){ 0 };
	return draw(s, &s->learn, JUDGED_TEXTS_OWN, (size_t)o->texts, e) < 0 ? -1 :
	                                                                          shrink_write_texts(s, s->texts, e);
}

/* --- what it came to --- */

static int show_comparing(void *ctx, size_t done, size_t total)
{
	(void)ctx;
	metering_tick();
	log_live("comparing: %zu of %zu windows  %s", done, total, metering_live());
	return app_interrupted() || metering_over();
}

static int score(struct shrinking *s, struct loaded *l, struct estimate *out, struct err *e)
{
	struct evaluate_options o = { .max_length = l->model.config.n_ctx, .stride = l->model.config.n_ctx,
		                      .micro_batch_tokens = MAX(1024, l->model.config.n_ctx) };
	struct evaluation v;

	if (!s->o->task)
		return 0;
	if (loaded_text(l, e) < 0 || (evaluate_wants_template(&s->task, &o) && loaded_chat(l, e) < 0))
		return -1;
	struct subject who = { &l->model, NULL, l->chat, s->app->device };
	if (evaluate(&v, &who, &s->task, &o, e) < 0)
		return -1;
	s->score = v.acc.n ? "acc" : v.exact_match.n ? "exact_match" : "perplexity";
	*out = v.acc.n ? v.acc : v.exact_match.n ? v.exact_match : v.perplexity;
	evaluation_release(&v);
	return 0;
}

static int compare(struct shrinking *s, struct step *x, struct err *e)
{
	struct loaded written;

	if (loaded_open_alone(&written, x->path, e) < 0)
		return -1;
	x->kl_of = mem_array(s->judge.n, sizeof(*x->kl_of));
	struct agreement_models both = { &s->source.model, &written.model, s->app->device, s->app->pool, x->kl_of };
	int status = agreement_run(&x->a, &both, s->judge.items, s->judge.n, show_comparing, s, e);
	log_live_end();
	if (status == 0)
		status = score(s, &written, &x->task, e);
	loaded_close(&written);
	model_forget(&s->source.model);
	return status;
}

struct two { const double *first, *second; size_t n; };

static double ratio(const void *ctx, const uint32_t *times)
{
	const struct two *of = ctx;
	double first = 0, second = 0;

	for (size_t i = 0; i < of->n; i++) {
		first += of->first[i] * (times ? times[i] : 1);
		second += of->second[i] * (times ? times[i] : 1);
	}
	return second > 0 ? first / second : NAN;
}

/* The divergence as a share of plain rounding's, by the bootstrap over texts, which both have read. */
static struct estimate share_of(const struct shrinking *s, const struct step *x)
{
	const struct step *plain = x;

	while (plain->rung != RUNG_ROUND)
		plain--;
	struct two both = { x->kl_of, plain->kl_of, s->judge.n };
	struct resample draws = { DRAWS, (uint64_t)s->o->seed };
	struct bounds b = resample(ratio, &both, both.n, &draws);
	bool several = both.n > 1;
	return (struct estimate){ b.value, NAN, several ? b.low : NAN, several ? b.high : NAN, both.n };
}

/* By the farther end of the interval; one window has none. */
static bool meets(const struct goal *g, const struct agreement *a)
{
	double kl = isfinite(a->kl.high) ? a->kl.high : a->kl.mean;
	double ppl = isfinite(a->change.high) ? a->change.high : a->change.mean;

	return g->kl ? kl < g->most : g->ppl && ppl < 1 + g->most / 100;
}

static int climb(struct shrinking *s, const char *type, enum rung rung, struct err *e)
{
	struct step *x = &s->steps[s->n];
	struct meter_span span;

	*x = (struct step){ .type = type, .rung = rung,
		            .path = rung == RUNG_LEARN ?
		                            mem_printf("%s/%s/%s", s->work, type, QAT_FILE) :
		                            mem_printf("%s/%s-%s.gguf", s->work, type, rung_names[rung]) };
	s->n++;
	if (rung != RUNG_LEARN)
		metering_open_span(&span);
	log_live("%s: %s", type, rung_names[rung]);
	int status = shrink_quantize(s, type, rung, rung == RUNG_LEARN ? NULL : x->path, &x->bytes, e);
	if (status == 0 && rung == RUNG_LEARN)
		status = shrink_learn(s, x, e);
	if (rung != RUNG_LEARN)
		metering_read_span(&span, &x->gas);
	if (status < 0 || s->stopped || compare(s, x, e) < 0)
		return status < 0 || !s->stopped ? -1 : 0;
	x->meets = meets(&s->goal, &x->a);
	x->share = share_of(s, x);
	log_live_end();
	log_say("%s, %s: KL %.5f, perplexity times %.4f", type, rung_names[rung], x->a.kl.mean, x->a.change.mean);
	return 0;
}

struct sized { char *type; size_t bytes; };

static int by_size(const void *a, const void *b)
{
	const struct sized *x = a, *y = b;

	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* From the smallest on. */
static int sort_types(struct shrinking *s, struct err *e)
{
	struct sized sizes[SHRINK_TYPES] = { 0 };

	for (size_t i = 0; i < s->n_types; i++) {
		sizes[i].type = s->types[i];
		if (shrink_quantize(s, s->types[i], RUNG_ROUND, NULL, &sizes[i].bytes, e) < 0)
			return -1;
	}
	qsort(sizes, s->n_types, sizeof(*sizes), by_size);
	for (size_t i = 0; i < s->n_types; i++) {
		s->types[i] = sizes[i].type;
		s->sizes[i] = sizes[i].bytes;
	}
	return 0;
}

enum rung shrink_last(const struct shrinking *s)
{
	int last = 0;

	while (strcmp(s->o->rungs, rung_names[last]) != 0)
		last++;
	return (enum rung)last;
}

static int climb_all(struct shrinking *s, struct err *e)
{
	bool there = false;

	for (size_t i = 0; i < s->n_types; i++)
		for (int r = RUNG_ROUND; r <= (int)shrink_last(s); r++) {
			if (r == RUNG_IMATRIX && !there && shrink_imatrix(s, e) < 0)
				return -1;
			there |= r == RUNG_IMATRIX;
			if (climb(s, s->types[i], (enum rung)r, e) < 0)
				return -1;
			if (s->stopped || s->steps[s->n - 1].meets)
				return 0;
		}
	return 0;
}

/* Which is kept: the one that meets the goal, or the nearest. */
static const struct step *chosen(const struct shrinking *s)
{
	const struct step *best = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const struct step *x = &s->steps[i];
		if (x->meets || (!s->o->goal && (!best || x->a.kl.mean < best->a.kl.mean)))
			best = x;
	}
	return best;
}

/* --- what is said --- */

static json_t *step_json(const struct shrinking *s, const struct step *x)
{
	json_t *j = json_pack("{s:s, s:s, s:I, s:o, s:o}", "type", x->type, "rung", rung_names[x->rung], "bytes",
	                      (json_int_t)x->bytes, "seconds", jsonx_number(x->gas.seconds), "joules",
	                      jsonx_number(x->gas.energy.joules));

	put_estimate(j, "kl_divergence", &x->a.kl);
	put_estimate(j, "kl_of_rounding", &x->share);
	put_estimate(j, "same_top", &x->a.same_top);
	put_estimate(j, "perplexity", &x->a.second);
	put_estimate(j, "perplexity_ratio", &x->a.change);
	if (s->o->task)
		put_estimate(j, s->score, &x->task);
	if (s->o->goal)
		json_object_set_new(j, "meets_goal", json_boolean(x->meets));
	return j;
}

static void cell_span(struct table *t, const char *format, const struct estimate *x)
{
	char mean[32], low[32], high[32];

	snprintf(mean, sizeof(mean), format, x->mean);
	snprintf(low, sizeof(low), format, x->low);
	snprintf(high, sizeof(high), format, x->high);
	if (isfinite(x->low) && isfinite(x->high))
		table_cell(t, "%s (%s to %s)", mean, low, high);
	else
		table_cell(t, "%s", mean);
}

static void show(const struct shrinking *s)
{
	struct table t = { .columns = s->o->task ? 9 : 8, .right = 1 << 2 };
	struct buf out = BUF_INIT;
	char text[32];

	table_cell(&t, "type");
	table_cell(&t, "rung");
	table_cell(&t, "size");
	table_cell(&t, "KL to the source");
	table_cell(&t, "of round's");
	table_cell(&t, "perplexity, times");
	if (s->o->task)
		table_cell(&t, "%s", s->score);
	table_cell(&t, "time");
	table_cell(&t, "energy");
	for (size_t i = 0; i < s->n; i++) {
		const struct step *x = &s->steps[i];
		table_cell(&t, "%s", x->type);
		table_cell(&t, "%s", rung_names[x->rung]);
		table_cell(&t, "%s", human_bytes(x->bytes, text));
		cell_span(&t, "%.5f", &x->a.kl);
		cell_span(&t, "%.3f", &x->share);
		cell_span(&t, "%.4f", &x->a.change);
		if (s->o->task)
			cell_span(&t, "%.3f", &x->task);
		clock_human(x->gas.seconds, text);
		table_cell(&t, "%s", text);
		if (isfinite(x->gas.energy.joules))
			table_cell(&t, "%.3g J", x->gas.energy.joules);
		else
			table_cell(&t, "-");
	}
	table_write(&out, &t, "  ");
	app_print("%s", buf_str(&out));
	buf_release(&out);
	table_release(&t);
}

static int report(struct shrinking *s, struct err *e)
{
	const struct step *best = chosen(s);
	json_t *steps = json_array();

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(steps, step_json(s, &s->steps[i]));
	json_t *j = json_pack("{s:o, s:o, s:o, s:I}", "out", best ? jsonx_path(s->o->out) : json_null(), "chosen",
	                      best ? step_json(s, best) : json_null(), "rungs", steps, "compared_tokens",
	                      (json_int_t)s->steps[0].a.tokens);
	if (s->o->task)
		put_estimate(j, "source_score", &s->before);
	if (!s->app->json)
		show(s);
	if (best && io_rename_dir(best->path, s->o->out, e) < 0) {
		json_decref(j);
		return -1;
	}
	if (best)
		metering_out("result", s->o->out);
	if (best && !s->app->json)
		app_print("%s: %s, %s\n", s->o->out, best->type, rung_names[best->rung]);
	app_summary(s->app, j);
	return best ? 0 : err_set(e, "none of %zu rungs meets --goal %s: a larger type, more --max-steps or more "
	                             "--data may", s->n, s->o->goal);
}

/* --- the whole --- */

static void say_source(const struct shrinking *s)
{
	const struct model *m = &s->source.model;
	size_t numbers[DTYPE_COUNT] = { 0 }, most = 0;

	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		size_t *n = &numbers[w->dtype];
		if (dtypes[w->dtype].block > 1)
			*n += weight_numbers(w);
		if (*n > numbers[most])
			most = w->dtype;
	}
	if (numbers[most])
		log_say("%s is quantized already (%s): what is measured is how far from that", s->model,
		        dtypes[most].name);
}

static int run_all(struct shrinking *s, struct err *e)
{
	if (loaded_text(&s->source, e) < 0 || model_want_causal(&s->source.model, e) < 0 ||
	    source_hash(&s->source.model.source, s->hash, e) < 0 || sort_types(s, e) < 0)
		return -1;
	say_source(s);
	if (read_texts(s, e) < 0 || shrink_plan(s, e) < 0 || io_mkdirs(s->work, e) < 0 || draw_texts(s, e) < 0 ||
	    score(s, &s->source, &s->before, e) < 0 || climb_all(s, e) < 0)
		return -1;
	if (s->stopped) {
		log_say("stopped; the same command goes on");
		return EXIT_STOPPED;
	}
	struct err ignored;
	int status = report(s, e);
	return io_remove_tree(s->work, status < 0 ? &ignored : e) < 0 ? -1 : status;
}

static void release(struct shrinking *s)
{
	for (size_t i = 0; i < s->n; i++) {
		mem_free(s->steps[i].path);
		mem_free(s->steps[i].kl_of);
	}
	for (size_t i = 0; i < s->n_types; i++)
		mem_free(s->types[i]);
	set_release(&s->learn);
	set_release(&s->judge);
	rows_release(&s->task);
	loaded_close(&s->source);
	mem_free(s->work);
	mem_free(s->texts);
	mem_free(s->imatrix);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	const struct shrink *o = options;
	struct shrinking s = { .app = app, .o = o };
	struct arena paths = ARENA_INIT;

	app_catch_signals();
	if (!o->to || !o->out || !names_gguf(o->out))
		return app_usage(&cmd_shrink, "--to TYPE and --out FILE.gguf were wanted");
	s.model = p->positional[0];
	tune_whole_path(&paths, &s.model);
	s.work = mem_printf("%s.shrink", o->out);
	s.texts = io_join(s.work, "texts.jsonl");
	s.imatrix = io_join(s.work, "imatrix.gguf");
	int status = read_goal(&s, e) < 0 || read_types(&s, e) < 0 ? app_usage(&cmd_shrink, "%s", e->msg) : 0;
	if (status == 0 && (status = loaded_open_alone(&s.source, s.model, e)) == 0)
		status = run_all(&s, e);
	release(&s);
	arena_release(&paths);
	return status;
}

const struct command cmd_shrink = {
	.name = "shrink",
	.summary = "a model as the smallest file that is still near to it",
	.usage = "MODEL --to TYPE[,TYPE…] --out FILE.gguf [--goal kl<X] [--data FILE]",
	.example = "kungfu shrink model --to q4_0 --out m.gguf",
	.brief = "fewer bits, learnt",
	.order = 65,
	.opts = shrink_opts,
	.options_size = sizeof(struct shrink),
	.plans = true,
	.least = 1, .most = 1, .wanted = "one model was wanted, a GGUF file or a Hugging Face folder",
	.run = run,
};
