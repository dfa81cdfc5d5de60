/* evaluate: what every way to judge rows shares; each way has a file. See evaluate.h. */
#include "eval/evaluate.h"

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/prompts.h"
#include "eval/evaluate_parts.h"

/* --- what all shapes share --- */

struct scoring {
	const struct evaluating *v;
	const struct document *const *docs;
	size_t seen;
	int64_t done, total;
	double began;
};

int evaluate_tell(const struct evaluating *v, const char *doing, int64_t done, int64_t total, double began)
{
	struct evaluate_progress p = { doing, done, total, clock_seconds() - began };
	return v->options->progress ? v->options->progress(v->options->ctx, &p) : 0;
}

static int tell_scoring(void *ctx, size_t done, size_t total)
{
	struct scoring *s = ctx;
	(void)total;
	while (s->seen < done)
		s->done += s->docs[s->seen++]->n;
	return evaluate_tell(s->v, "scoring", s->done, s->total, s->began);
}

static int64_t count_tokens(struct evaluation *result, const struct document *items, size_t n, int32_t *longest)
{
	int64_t tokens = 0;
	*longest = 1;
	for (size_t i = 0; i < n; i++) {
		tokens += items[i].n;
		result->scored_tokens += items[i].n_learn;
		*longest = MAX(*longest, items[i].n);
	}
	result->tokens += tokens;
	return tokens;
}

int evaluate_score(struct evaluating *v, const struct document *items, size_t n, double *sum, float **each,
                   struct err *e)
{
	const struct subject *s = v->subject;
	struct scorer *scorer;
	int32_t longest;
	const struct document **docs = mem_array(n, sizeof(*docs));

	for (size_t i = 0; i < n; i++)
		docs[i] = &items[i];
	struct scoring scoring = { .v = v, .docs = docs, .began = clock_seconds() };
	scoring.total = count_tokens(v->result, items, n, &longest);
	struct scorer_options o = { .max_tokens = v->options->micro_batch_tokens, .max_length = longest };
	int status = scorer_new(&scorer, s->model, s->overlay, s->device, &o, e);
	if (status == 0) {
		status = scorer_run(scorer, docs, n, false, sum, each, tell_scoring, &scoring, e);
		v->result->computed_tokens += scorer_computed_tokens(scorer);
		v->result->flops += scorer_flops(scorer);
		v->result->int_ops += scorer_int_ops(scorer);
		scorer_free(scorer);
	}
	v->result->score_seconds += clock_seconds() - scoring.began;
	mem_free(docs);
	return status;
}

int evaluate_planned_by(struct evaluating *v, struct scorer *s, const struct document *items,
                      const struct document *const *docs, size_t n, struct evaluate_forecast *f, struct err *e)
{
	struct scorer_forecast score;

	if (!v->options->planned)
		return 0;
	if (scorer_forecast(s, docs, n, false, &score, e) < 0)
		return -1;
	f->score_seconds = score.seconds;
	f->start_seconds += (double)score.bytes / score.touch_rate;
	f->flops += score.flops;
	f->int_ops += score.int_ops;
	f->bytes = MAX(f->bytes, score.bytes);
	f->items = items;
	f->n = n;
	return v->options->planned(v->options->ctx, f, e);
}

int evaluate_planned(struct evaluating *v, const struct document *items, size_t n, struct evaluate_forecast *f,
                     struct err *e)
{
	const struct subject *s = v->subject;
	struct scorer_options o = { .max_tokens = v->options->micro_batch_tokens, .max_length = 1 };
	struct scorer *scorer;

	if (!v->options->planned)
		return 0;
	const struct document **docs = mem_array(n, sizeof(*docs));
	for (size_t i = 0; i < n; i++) {
		docs[i] = &items[i];
		o.max_length = MAX(o.max_length, items[i].n);
	}
	int status = scorer_new(&scorer, s->model, s->overlay, s->device, &o, e);
	if (status == 0) {
		status = evaluate_planned_by(v, scorer, items, docs, n, f, e);
		scorer_free(scorer);
	}
	mem_free(docs);
	return status;
}

struct estimate evaluate_perplexity(const struct document *const *docs, const double *sum, size_t n)
{
	double *count = mem_array(n, sizeof(*count));
	for (size_t i = 0; i < n; i++)
		count[i] = docs[i]->n_learn;
	struct estimate x = estimate_perplexity(sum, count, n);
	mem_free(count);
	return x;
}

json_t *evaluate_line(const struct document *d)
{
	json_t *j = json_object();
	json_object_set_new(j, "file", jsonx_path(d->file));
	json_object_set_new(j, "line", json_integer((json_int_t)d->line));
	return j;
}

void evaluate_put(const struct evaluating *v, json_t *line)
{
	if (v->options->detail)
		v->options->detail(v->options->ctx, line);
	json_decref(line);
}

int evaluate_prompt(const struct evaluating *v, const struct row *row, json_t *line, struct err *e)
{
	const struct text_codec codec = { v->subject->model->tokenizer, v->subject->chat };
	struct buf text = BUF_INIT;

	if (!v->options->prompts || !v->options->detail)
		return 0;
	int status = prompt_write_row(&codec, row, v->rows->shape, &text, e);
	json_object_set_new(line, "prompt", json_stringn(buf_str(&text), text.len));
	buf_release(&text);
	return status;
}

int evaluate_documents_of(struct evaluating *v, const struct rows *rows, struct documents *d, struct err *e)
{
	struct text_codec codec = { v->subject->model->tokenizer, v->subject->chat };
	struct document_options o = {
		.max_length = v->options->max_length,
		.apply_chat_template = v->options->apply_chat_template,
		.whole = v->options->whole,
		.eval_choices = true,
		.labelled = v->subject->model->labels != NULL,
		.label_first = v->subject->model->config.arch->encoder,
		.types = model_types(v->subject->model),
	};

	if (documents_make(d, rows, &codec, &o, e) < 0)
		return -1;
	for (size_t i = 0; i < d->n; i++)
		if (d->items[i].n_learn < 1)
			return err_set(e, "%s:%zu: no answer to score within --max-length %d tokens", d->items[i].file,
			               d->items[i].line, o.max_length);
	return 0;
}

int evaluate_documents(struct evaluating *v, struct documents *d, struct err *e)
{
	if (evaluate_documents_of(v, v->rows, d, e) < 0)
		return -1;
	columns_warn(&d->columns);
	v->result->n_truncated = d->n_truncated;
	return 0;
}

/* --- by shape --- */

bool evaluate_wants_template(const struct rows *r, const struct evaluate_options *o)
{
	return r->n && shape_templated(r->shape, r->items[0].json, o->apply_chat_template);
}

static bool is_judged(const struct shape *s, const void *ctx)
{
	(void)ctx;
	return s->judged != JUDGED_NOT;
}

static int refuse_shape(const struct rows *r, struct err *e)
{
	struct buf names = BUF_INIT;

	shape_list(is_judged, NULL, &names);
	err_set(e, "%s: rows of %s; %s can be evaluated", r->items[0].file, shape_name(r->shape), buf_str(&names));
	buf_release(&names);
	return -1;
}

int evaluate_refuse_calibrating(const struct rows *r, struct err *e)
{
	return err_set(e, "%s: --calibrate is of rows of query,choices,gold, not %s", r->items[0].file,
	               shape_name(r->shape));
}

static int evaluate_shape(struct evaluating *v, struct err *e)
{
	bool choices = !v->subject->model->labels && v->rows->shape->judged == JUDGED_CHOICES;

	if (v->options->calibrate != CALIBRATE_NONE && !choices)
		return evaluate_refuse_calibrating(v->rows, e);
	if (v->options->group_by && !(v->subject->model->labels && evaluate_is_pairs(v->rows->shape)))
		return err_set(e, "%s: --group-by is of rows of several answers and a model that rewards them",
		               v->rows->items[0].file);
	if (v->subject->model->labels)
		return evaluate_labels(v, e);
	switch (v->rows->shape->judged) {
	case JUDGED_CHOICES: return evaluate_choices(v, e);
	case JUDGED_TEXTS: return evaluate_texts(v, e);
	case JUDGED_ANSWERS: return evaluate_answers(v, e);
	case JUDGED_NOT: break;
	}
	return refuse_shape(v->rows, e);
}

int evaluate(struct evaluation *result, const struct subject *s, const struct rows *r, const struct evaluate_options *o,
             struct err *e)
{
	struct evaluating v = { .subject = s, .rows = r, .options = o, .result = result, .began = clock_seconds() };

	if (r->n == 0)
		BUG("an evaluation of no rows");
	*result = (struct evaluation){ .shape = r->shape, .n = r->n };
	int status = evaluate_shape(&v, e);
	result->seconds = clock_seconds() - v.began;
	return status;
}

void evaluation_release(struct evaluation *v)
{
	label_scores_release(&v->labels);
	arena_release(&v->rewards.mem);
	mem_free(v->prior);
	v->prior = NULL;
}
