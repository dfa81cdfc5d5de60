/* eval_variants: an evaluation for each wording and order, their spread, and what the examples add to each use. Joules
 * of added tokens are those of as many tokens that this very run has scored, by its seconds. See eval_variants.h. */
#include "cmd/eval_variants.h"

#include <math.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "data/content_free.h"
#include "data/label_words.h"
#include "data/shape.h"

enum { GROW_TIMES = 4, GROW_MOST = 8192 };

/* --- labels in words --- */

int eval_words_open(struct eval_words *w, bool said, const struct opt_list *list, const char *template,
                    const struct rows *rows, const struct rows *examples, struct err *e)
{
	bool texts = said && label_words_wants(rows);

	*w = (struct eval_words){ .on = texts || list->n, .n = MAX(list->n, (size_t)1) };
	w->template = template ? template : LABEL_WORDS_TEMPLATE;
	w->items = mem_array(w->n, sizeof(*w->items));
	for (size_t i = 0; i < list->n; i++) {
		char *text = in_context_text("label-words", list->items[i], e);
		w->items[i] = text ? label_words_parse(text, e) : NULL;
		mem_free(text);
		if (!w->items[i])
			return -1;
	}
	if (!texts)
		return template ? err_set(e, "--query-template is of rows of text,label") : 0;
	w->classes = json_array();
	if (label_words_classes(rows, w->classes, e) < 0)
		return -1;
	return label_words_wants(examples) ? label_words_classes(examples, w->classes, e) : 0;
}

void eval_words_close(struct eval_words *w)
{
	for (size_t i = 0; i < w->n; i++)
		json_decref(w->items[i]);
	mem_free(w->items);
	json_decref(w->classes);
}

/* Rows as these words say them; *out is to be released, and what comes back is it or `rows`. NULL and a sentence. */
static const struct rows *in_words(const struct eval_words *w, size_t i, const struct rows *rows, struct rows *out,
                                   struct err *e)
{
	if (!w->on || !rows->n)
		return rows;
	const json_t *classes = label_words_wants(rows) ? w->classes : NULL;
	return label_words_rows(rows, w->items[i], classes, w->template, out, e) < 0 ? NULL : out;
}

/* --- running --- */

static int price(struct eval_variants *v, const struct in_context *c, struct fewshot *f,
                 const struct eval_variants_options *o, const struct rows *plain, const struct rows *made,
                 struct err *e)
{
	if (o->out && !(v->saved = fewshot_save(f, e)))
		return err_prefix(e, "--fewshot-out %s", o->out);
	return in_context_price(c, plain, made, &v->added_tokens, e);
}

static int judge_made(struct eval_variants *v, size_t i, const struct subject *s, const struct rows *rows,
                      const struct evaluate_options *how, struct err *e)
{
	struct meter_span span;
	struct gas gas;
	struct evaluation *x = &v->items[i];

	metering_open_span(&span);
	int status = evaluate(x, s, rows, how, e);
	metering_read_span(&span, &gas);
	if (i == 0) /* answers, whose tokens come one by one, cost more */
		v->token_joules = gas.energy.joules * x->score_seconds / x->seconds / (double)x->computed_tokens;
	return status;
}

/* Rows that ask nothing, with what stands before them. */
static int make_content_free(struct fewshot *f, const struct rows *rows, struct rows *out, struct err *e)
{
	struct rows plain;

	if (f && !fewshot_is_fixed(f))
		return err_set(e, "--calibrate contextual wants examples that are the same for all rows");
	if (content_free_rows(rows, &plain, e) < 0)
		return -1;
	if (!f) {
		*out = plain;
		return 0;
	}
	int status = fewshot_apply(f, &plain, out, e);
	rows_release(&plain);
	return status;
}

/* What a variant is made of. */
struct variant { size_t instruction, words, order; };

static struct variant variant_of(const struct eval_variants *v, size_t i)
{
	return (struct variant){ i % v->n_instructions, i / v->n_instructions % v->n_words,
		                 i / v->n_instructions / v->n_words };
}

/* Tokens of a micro-batch, each of which reads what all rows begin with once: a few times as many as that. */
static int32_t grown(int32_t tokens, double shared)
{
	return MAX(tokens, (int32_t)fmin(GROW_TIMES * shared, GROW_MOST));
}

/* Rows in their words, with what stands before them. */
static int judge_variant(struct eval_variants *v, size_t i, struct in_context *c,
                         const struct eval_variants_options *o, const struct subject *s, const struct rows *rows,
                         const struct evaluate_options *how, struct err *e)
{
	const struct variant is = variant_of(v, i);
	struct evaluate_options own = *how;
	struct rows made = { 0 }, nothing = { 0 }, said = { 0 }, said_examples = { 0 };
	const struct rows *plain = in_words(o->words, is.words, rows, &said, e), *examples = NULL;
	struct fewshot *f = NULL;
	int status = plain ? 0 : -1;

	if (i)
		own.planned = NULL;
	if (status == 0 && c) {
		examples = in_words(o->words, is.words, &c->examples, &said_examples, e);
		status = examples ? in_context_make(c, is.instruction, is.order, examples, &f, e) : -1;
		if (status == 0)
			status = fewshot_apply(f, plain, &made, e);
		if (status == 0 && shape_templated(made.shape, made.items[0].json, false))
			own.n_stop = 0; /* a template ends the answers */
		if (status == 0 && i == 0)
			status = price(v, c, f, o, plain, &made, e);
		if (status == 0 && o->grow && fewshot_is_fixed(f))
			own.micro_batch_tokens = grown(own.micro_batch_tokens, v->added_tokens);
	}
	if (status == 0 && how->calibrate == CALIBRATE_CONTEXTUAL) {
		status = make_content_free(f, plain, &nothing, e);
		own.content_free = &nothing;
	}
	if (status == 0)
		status = judge_made(v, i, s, c ? &made : plain, &own, e);
	if (status == 0)
		v->items[i].shape = plain->shape; /* as they were, not with what stands before them */
	rows_release(&nothing);
	rows_release(&made);
	fewshot_free(f);
	rows_release(&said);
	rows_release(&said_examples);
	return status;
}

/* Each wording is judged, and no order twice. */
static int check_number(const struct eval_variants *v, const struct in_context *c, struct err *e)
{
	size_t num = c ? (size_t)c->o->num : 0, wordings = v->n_instructions * v->n_words;
	size_t orders = fewshot_orders(num, c ? (enum fewshot_order)fewshot_order_of(c->o->order) : FEWSHOT_GIVEN);

	if (v->n < wordings)
		return err_set(e, "--variants %zu: %zu wordings were given, each of which is judged", v->n, wordings);
	if (v->n > wordings * orders)
		return err_set(e, "--variants %zu: %zu wordings and %zu examples that stand in %zu order%s make %zu",
		               v->n, wordings, num, orders, orders == 1 ? "" : "s", wordings * orders);
	return 0;
}

int eval_variants_run(struct eval_variants *v, struct in_context *c, const struct eval_variants_options *o,
                      const struct subject *s, const struct rows *rows, const struct evaluate_options *how,
                      struct err *e)
{
	int status = 0;

	*v = (struct eval_variants){ .n_instructions = c ? c->n_instructions : 1, .n_words = o->words->n,
		                     .added_tokens = NAN, .token_joules = NAN };
	v->n = o->n == OPT_UNSET_INT ? v->n_instructions * v->n_words : (size_t)o->n;
	v->items = mem_array(v->n, sizeof(*v->items));
	status = check_number(v, c, e);
	for (size_t i = 0; i < v->n && status == 0; i++) {
		o->begun(o->ctx, i, v->n);
		status = judge_variant(v, i, c, o, s, rows, how, e);
	}
	return status == 0 && v->saved ? jsonx_write_file(o->out, v->saved, e) : status;
}

/* --- telling --- */

struct measure { const char *name; size_t offset; double low, high; /* where it can lie */ };
static const struct measure measures[] = {
	{ "acc", offsetof(struct evaluation, acc), 0, 1 },
	{ "acc_norm", offsetof(struct evaluation, acc_norm), 0, 1 },
	{ "acc_calibrated", offsetof(struct evaluation, acc_calibrated), 0, 1 },
	{ "exact_match", offsetof(struct evaluation, exact_match), 0, 1 },
	{ "f1", offsetof(struct evaluation, f1), 0, 1 },
	{ "sample_match", offsetof(struct evaluation, sample_match), 0, 1 },
	{ "perplexity", offsetof(struct evaluation, perplexity), 1, INFINITY },
};

static const struct estimate *measured(const struct eval_variants *v, size_t i, const struct measure *m)
{
	return (const struct estimate *)((const char *)&v->items[i] + m->offset);
}

struct spread { struct estimate mean; double sd, least, most; };

static struct spread spread_of(const struct eval_variants *v, const struct measure *m)
{
	double *x = mem_array(v->n, sizeof(*x));
	struct spread s = { .least = INFINITY, .most = -INFINITY };

	for (size_t i = 0; i < v->n; i++) {
		x[i] = measured(v, i, m)->mean;
		s.least = fmin(s.least, x[i]);
		s.most = fmax(s.most, x[i]);
	}
	s.mean = estimate_few(x, v->n);
	s.mean.low = s.mean.low < m->low ? m->low : s.mean.low; /* Student's interval knows no bounds; NAN stays */
	s.mean.high = s.mean.high > m->high ? m->high : s.mean.high;
	s.sd = s.mean.stderr_ * sqrt((double)v->n);
	mem_free(x);
	return s;
}

static json_t *put_variant(const struct eval_variants *v, const struct in_context *c, const struct eval_words *words,
                           size_t i)
{
	const struct variant is = variant_of(v, i);
	const char *instruction = c ? c->instructions[is.instruction] : NULL;
	json_t *j = json_object(), *said = words ? words->items[is.words] : NULL;

	json_object_set_new(j, "variant", json_integer((json_int_t)i));
	json_object_set_new(j, "instruction", instruction ? json_string(instruction) : json_null());
	json_object_set_new(j, "label_words", said ? json_incref(said) : json_null());
	json_object_set_new(j, "order", json_integer((json_int_t)is.order));
	for (size_t k = 0; k < ARRAY_LEN(measures); k++)
		if (measured(v, i, &measures[k])->n)
			json_object_set_new(j, measures[k].name, jsonx_number(measured(v, i, &measures[k])->mean));
	return j;
}

static void put_spread(const struct eval_variants *v, const struct measure *m, json_t *out)
{
	struct spread s = spread_of(v, m);
	json_t *j = json_object();

	put_estimate(j, "mean", &s.mean);
	json_object_set_new(j, "sd", jsonx_number(s.sd));
	json_object_set_new(j, "least", jsonx_number(s.least));
	json_object_set_new(j, "most", jsonx_number(s.most));
	json_object_set_new(out, m->name, j);
}

void eval_variants_put(const struct eval_variants *v, const struct in_context *c, const struct eval_words *words,
                       json_t *summary)
{
	json_t *list = json_array(), *spread = json_object();

	if (c) {
		json_object_set_new(summary, "num_fewshot", json_integer((json_int_t)c->o->num));
		json_object_set_new(summary, "added_tokens", jsonx_number(v->added_tokens));
		json_object_set_new(summary, "added_joules", jsonx_number(v->added_tokens * v->token_joules));
	}
	for (size_t i = 0; i < v->n && v->n > 1; i++)
		json_array_append_new(list, put_variant(v, c, words, i));
	for (size_t k = 0; k < ARRAY_LEN(measures) && v->n > 1; k++)
		if (measured(v, 0, &measures[k])->n)
			put_spread(v, &measures[k], spread);
	if (v->n > 1) {
		json_object_set(summary, "variants", list);
		json_object_set(summary, "spread", spread);
	}
	json_decref(list);
	json_decref(spread);
}

static void show_price(const struct eval_variants *v)
{
	double joules = v->added_tokens * v->token_joules;

	if (isnan(joules))
		app_print("  what stands before a row adds %.0f tokens to each use\n", v->added_tokens);
	else
		app_print("  what stands before a row adds %.0f tokens to each use, %.3g J where they are read anew\n",
		          v->added_tokens, joules);
}

/* The mean over the orders of each instruction and words. */
static void show_wordings(const struct eval_variants *v, const struct in_context *c, const struct eval_words *words,
                          const struct measure *m)
{
	size_t wordings = v->n_instructions * v->n_words;

	for (size_t w = 0; w < wordings && w < v->n; w++) {
		const struct variant is = variant_of(v, w);
		double sum = 0, n = 0;
		for (size_t i = w; i < v->n; i += wordings, n++)
			sum += measured(v, i, m)->mean;
		json_t *wording = json_array();
		if (c && c->instructions[is.instruction])
			json_array_append_new(wording, json_string(c->instructions[is.instruction]));
		if (words && words->items[is.words])
			json_array_append(wording, words->items[is.words]);
		char *text = jsonx_line(wording);
		app_print("  %-9s %.4f  %.100s\n", m->name, sum / n, text);
		mem_free(text);
		json_decref(wording);
	}
}

void eval_variants_show(const struct eval_variants *v, const struct in_context *c, const struct eval_words *words)
{
	if (c)
		show_price(v);
	for (size_t k = 0; k < ARRAY_LEN(measures) && v->n > 1; k++) {
		if (!measured(v, 0, &measures[k])->n)
			continue;
		struct spread s = spread_of(v, &measures[k]);
		app_print("  %zu variants of %s: %.4f to %.4f, standard deviation %.4f; mean %.4f (95 %% interval "
		          "%.4f to %.4f)\n", v->n, measures[k].name, s.least, s.most, s.sd, s.mean.mean, s.mean.low,
		          s.mean.high);
		if (v->n_instructions * v->n_words > 1)
			show_wordings(v, c, words, &measures[k]);
	}
}

void eval_variants_release(struct eval_variants *v)
{
	for (size_t i = 0; i < v->n; i++)
		evaluation_release(&v->items[i]);
	mem_free(v->items);
	json_decref(v->saved);
}
