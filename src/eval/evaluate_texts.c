/* evaluate_texts: rows of text, each scored by itself in windows; a BOS before it where the model's tokenizer adds one,
 * no EOS after it. */
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/columns.h"
#include "eval/evaluate_parts.h"
#include "eval/window.h"

static int add_text(const struct evaluating *v, const struct row *row, struct tokens *ids, struct err *e)
{
	const struct tokenizer *t = v->subject->model->tokenizer;
	const json_t *text = json_object_get(row->json, "text");

	tokenizer_begin(t, ids);
	if (tokenizer_encode(t, json_string_value(text), json_string_length(text), TOKENIZE_SPECIAL, ids, e) < 0)
		return err_prefix(e, "%s:%zu", row->file, row->line);
	return 0;
}

/* A line of --details a row: what its windows, from i on, came to. Returns the first window of the next. */
static size_t put_text(const struct evaluating *v, const struct row *row, const struct windows *w, const double *sum,
                       size_t i)
{
	struct document at = { .file = row->file, .line = row->line };
	json_t *line = evaluate_line(&at);
	size_t first = i;
	json_int_t scored = 0;
	double logprob = 0;

	for (; i < w->n && w->items[i].file == row->file && w->items[i].line == row->line; i++) {
		scored += w->items[i].n_learn;
		logprob += sum[i];
	}
	struct estimate x = estimate_perplexity(&logprob, &(double){ (double)scored }, 1);
	json_object_set_new(line, "windows", json_integer((json_int_t)(i - first)));
	json_object_set_new(line, "tokens", json_integer(scored));
	json_object_set_new(line, "logprob", jsonx_number(logprob));
	json_object_set_new(line, "perplexity", jsonx_number(x.mean));
	evaluate_put(v, line);
	return i;
}

static int score_windows(struct evaluating *v, const struct windows *w, struct err *e)
{
	struct evaluate_forecast f = { 0 };
	double *sum = mem_array(w->n, sizeof(*sum));
	const struct document **docs = mem_array(w->n, sizeof(*docs));
	int status = evaluate_planned(v, w->items, w->n, &f, e);

	if (status == 0)
		status = evaluate_score(v, w->items, w->n, sum, NULL, e);
	for (size_t i = 0; i < w->n; i++)
		docs[i] = &w->items[i];
	for (size_t i = 0, at = 0; status == 0 && i < v->rows->n; i++)
		at = put_text(v, &v->rows->items[i], w, sum, at);
	v->result->perplexity = evaluate_perplexity(docs, sum, w->n);
	mem_free(docs);
	mem_free(sum);
	return status;
}

int evaluate_texts(struct evaluating *v, struct err *e)
{
	struct tokens *ids = mem_array(v->rows->n, sizeof(*ids));
	struct windows w = { 0 };
	struct columns seen = { 0 };
	int status = 0;

	for (size_t i = 0; i < v->rows->n && status == 0; i++) {
		const struct row *row = &v->rows->items[i];
		columns_look(&seen, v->rows->shape, row, false, NULL);
		status = add_text(v, row, &ids[i], e);
		windows_add(&w, ids[i].id, ids[i].n, v->options->max_length, v->options->stride, row->file, row->line);
	}
	if (status == 0 && w.n == 0)
		status = err_set(e, "%s: no text has two tokens, nothing is predicted", v->rows->items[0].file);
	if (status == 0)
		columns_warn(&seen);
	if (status == 0 && v->rows->shape->labelled)
		log_warn("the column label is not read: what is measured is the perplexity of the texts");
	if (status == 0)
		status = score_windows(v, &w, e);
	for (size_t i = 0; i < v->rows->n; i++)
		tokens_release(&ids[i]);
	mem_free(ids);
	columns_release(&seen);
	windows_release(&w);
	return status;
}
