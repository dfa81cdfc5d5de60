/* evaluate_answers: rows with answers. Of a conversation the last answer is asked for, given everything before it as it
 * is written.
 *
 * Rows are answered beside each other (infer/batcher.h), so tokens with which a prompt begins as another one did
 * (instructions, a system's turn) are computed once; what comes of them is told in the rows' order. An answer may be
 * SPARE tokens longer than the one that is wanted, as a longer one would not be equal to it, or as long as is said.
 *
 * Of several samples a row's prompt is computed once, and the answer is the one that the most come down to
 * (eval/vote.h). */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "infer/batcher.h"
#include "eval/evaluate_parts.h"
#include "eval/word_f1.h"

enum {
	SPARE = 16,
	BESIDE = 8, BESIDE_TOKENS = 4096, /* rows beside each other: as many as hold so many tokens, one at least */
};

struct answering {
	struct evaluating *v;
	const struct documents *docs;
	const double *sum;              /* log-probability of each row's answers */
	double *match, *f1;             /* [docs.n] */
	size_t samples;                 /* answers a row */
	char **said;                    /* [docs.n][samples] what each came down to; NULL: nothing */
	double *match_each, *agreement; /* [docs.n] of several: the share that is right; that says the same */
	size_t *n_taken;                /* [docs.n] answers that came */
	json_t **texts;                 /* [docs.n] of several: the answers as they came, or NULL */
	json_t **lines;                 /* [docs.n] of rows that are answered before one ahead of them */
	size_t n_put, n_done;           /* rows that were told; that were answered */
	int64_t tokens;
	double began;
	double reading, writing;        /* seconds of each answer, beside others */
};

/* Where the last run of learnt tokens is. */
static void last_answer(const struct document *d, int32_t *begin, int32_t *end)
{
	*end = d->n;
	while (!d->learn[*end - 1])
		(*end)--;
	*begin = *end;
	while (d->learn[*begin - 1]) /* learn[0] is 0 */
		(*begin)--;
}

static int32_t most_new(const struct evaluating *v, const struct document *d)
{
	int32_t begin, end;
	last_answer(d, &begin, &end);
	return v->options->max_new_tokens ? v->options->max_new_tokens : end - begin + SPARE;
}

static size_t samples_of(const struct evaluating *v) { return MAX(v->options->samples, (size_t)1); }

static int open_session(struct session **session, const struct evaluating *v, const struct documents *docs,
                        struct err *e)
{
	const struct subject *s = v->subject;
	int32_t longest = 1, begin, end;

	for (size_t i = 0; i < docs->n; i++) {
		last_answer(&docs->items[i], &begin, &end);
		longest = MAX(longest, begin + most_new(v, &docs->items[i]));
	}
	longest = MIN(longest, overlays_context(s->overlay, s->model));
	size_t beside = MIN(docs->n * samples_of(v), (size_t)MAX(MIN(BESIDE, BESIDE_TOKENS / longest), 1));
	struct session_size size = { .n_ctx = longest, .n_sequences = (int)beside };
	return session_new(session, s->model, s->overlay, s->device, &size, e);
}

static bool is_equal(const struct buf *a, const struct buf *b)
{
	const char *x = buf_str(a), *y = buf_str(b);
	size_t n = a->len, m = b->len;

	unicode_strip(&x, &n);
	unicode_strip(&y, &m);
	return n == m && !memcmp(x, y, n);
}

static void put_text(json_t *line, const char *key, const struct buf *text)
{
	json_object_set_new(line, key, json_stringn(buf_str(text), text->len));
}

static void put_score(const struct evaluating *v, json_t *line, const struct document *d, double sum)
{
	if (v->options->no_scores)
		return;
	json_object_set_new(line, "logprob", json_real(sum));
	json_object_set_new(line, "tokens", json_integer(d->n_learn));
}

static json_t *line_of(const struct answering *a, size_t i, const struct generation *g, const struct buf *wanted)
{
	const struct document *d = &a->docs->items[i];
	json_t *line = evaluate_line(d);

	if (a->samples > 1)
		json_object_set(line, "answers", a->texts[i]);
	else
		put_text(line, "answer", &g->text);
	put_text(line, "wanted", wanted);
	json_object_set_new(line, "exact_match", json_integer(a->match[i] > 0));
	if (a->samples == 1) {
		json_object_set_new(line, "f1", json_real(a->f1[i]));
		json_object_set_new(line, "finish_reason", json_string(finish_name(g->finish)));
	}
	put_score(a->v, line, d, a->sum[i]);
	return line;
}

static void wanted_text(const struct answering *a, const struct document *d, struct buf *out)
{
	struct buf bytes = BUF_INIT;
	int32_t begin, end;

	last_answer(d, &begin, &end);
	tokenizer_decode(a->v->subject->model->tokenizer, d->ids + begin, (size_t)(end - begin), true, &bytes);
	utf8_repair(out, buf_str(&bytes), bytes.len);
	buf_release(&bytes);
}

/* What a text comes down to; NULL: nothing, or there is no rule. mem_free. */
static char *come_down(const struct answering *a, const struct buf *text)
{
	struct buf out = BUF_INIT;
	bool found = a->v->options->extract &&
	             extract_answer(a->v->options->extract, buf_str(text), text->len, &out);
	char *s = found ? mem_strndup(buf_str(&out), out.len) : NULL;

	buf_release(&out);
	return s;
}

/* Row i's last answer came: which one counts, and is it right? NULL: others are still to come. */
static json_t *judge_answer(struct answering *a, size_t i, const struct generation *g)
{
	char **said = a->said + i * a->samples, *right;
	struct buf wanted = BUF_INIT;
	size_t n_right = 0;

	wanted_text(a, &a->docs->items[i], &wanted);
	right = come_down(a, &wanted);
	struct vote best = vote(said, a->samples);
	for (size_t k = 0; k < a->samples; k++)
		n_right += right && said[k] && !strcmp(said[k], right);
	if (a->v->options->extract)
		a->match[i] = right && best.votes && !strcmp(said[best.first], right);
	else
		a->match[i] = is_equal(&g->text, &wanted);
	a->f1[i] = a->v->options->extract ? (right && best.votes ? word_f1(said[best.first], right) : 0) :
	                                    word_f1(buf_str(&g->text), buf_str(&wanted));
	a->match_each[i] = (double)n_right / (double)a->samples;
	a->agreement[i] = (double)best.votes / (double)a->samples;
	json_t *line = line_of(a, i, g, &wanted);
	if (a->v->options->extract) {
		json_object_set_new(line, "extracted", best.votes ? json_string(said[best.first]) : json_null());
		json_object_set_new(line, "extracted_wanted", right ? json_string(right) : json_null());
	}
	if (a->samples > 1)
		json_object_set_new(line, "agreement", json_real(a->agreement[i]));
	mem_free(right);
	buf_release(&wanted);
	return line;
}

static void keep_text(struct answering *a, size_t i, size_t sample, const struct generation *g)
{
	if (!a->texts[i])
		a->texts[i] = json_array();
	while (json_array_size(a->texts[i]) < a->samples)
		json_array_append_new(a->texts[i], json_null());
	json_array_set_new(a->texts[i], sample, json_stringn(buf_str(&g->text), g->text.len));
}

/* An answer came: its row and those that waited for it are told where it was the last. */
static int take(void *ctx, int64_t ticket, struct generation *g, struct err *e)
{
	struct answering *a = ctx;
	size_t i = (size_t)ticket / a->samples;
	const struct document *d = &a->docs->items[i];
	struct evaluation *result = a->v->result;
	int32_t begin, end;
	int status = 0;

	last_answer(d, &begin, &end);
	a->said[ticket] = come_down(a, &g->text);
	if (a->samples > 1)
		keep_text(a, i, (size_t)ticket % a->samples, g);
	if (++a->n_taken[i] == a->samples) {
		a->lines[i] = judge_answer(a, i, g);
		status = evaluate_prompt(a->v, &a->v->rows->items[i], a->lines[i], e);
		a->tokens += d->n;
		a->n_done++;
	}
	for (; a->n_put < a->docs->n && a->lines[a->n_put]; a->n_put++) {
		evaluate_put(a->v, a->lines[a->n_put]);
		a->lines[a->n_put] = NULL;
	}
	a->reading += g->prompt_seconds;
	a->writing += g->seconds;
	result->new_tokens += (int64_t)g->ids.n;
	result->read_tokens += begin - (int64_t)g->kept;
	result->flops += g->flops + g->int_ops;
	result->int_ops += g->int_ops;
	if (status == 0 && evaluate_tell(a->v, "answering", a->tokens, (int64_t)a->docs->tokens, a->began))
		return err_set(e, "interrupted after %zu of %zu answers", a->n_done, a->docs->n);
	return status;
}

static int add_all(struct answering *a, struct batcher *b, struct batcher_request *r, struct err *e)
{
	for (size_t i = 0; i < a->docs->n; i++) {
		const struct document *d = &a->docs->items[i];
		int32_t begin, end;
		last_answer(d, &begin, &end);
		r->ids = d->ids;
		r->n = (size_t)begin;
		r->generate.max_new_tokens = (size_t)most_new(a->v, d);
		for (size_t k = 0; k < a->samples; k++) {
			r->generate.sampler->stream = (uint32_t)(i * a->samples + k);
			if (batcher_add(b, r, e) < 0)
				return err_prefix(e, "%s:%zu", d->file, d->line);
		}
	}
	return 0;
}

static int answer_all(struct answering *a, struct session *s, struct err *e)
{
	const struct model *m = a->v->subject->model;
	struct batcher *b = batcher_new(s, m->tokenizer, a->v->subject->device->pool);
	const struct evaluate_options *o = a->v->options;
	struct sampler_choice choice;
	struct sampler sampler = { .seed = o->seed }; /* the likeliest, where one answer is wanted */
	struct batcher_request r = { .generate = { .sampler = &sampler, .stop = o->stop, .n_stop = o->n_stop },
		                     .done = take, .ctx = a };

	sampler_choose(&choice);
	if (a->samples > 1) {
		sampler_choice_set(&choice, "temperature", o->temperature);
		sampler.steps = choice.steps;
	}
	generate_ends(m, &r.generate.end);
	a->began = clock_seconds();
	int status = add_all(a, b, &r, e);
	while (status == 0 && batcher_busy(b))
		status = batcher_step(b, e);
	double took = clock_seconds() - a->began, both = a->reading + a->writing;
	a->v->result->reading_seconds = both > 0 ? took * a->reading / both : took;
	a->v->result->writing_seconds = took - a->v->result->reading_seconds;
	batcher_free(b);
	sampler_choice_release(&choice);
	tokens_release(&r.generate.end);
	return status;
}

static void answering_begin(struct answering *a)
{
	size_t n = a->docs->n;

	a->match = mem_array(n, sizeof(*a->match));
	a->f1 = mem_array(n, sizeof(*a->f1));
	a->match_each = mem_array(n, sizeof(*a->match_each));
	a->agreement = mem_array(n, sizeof(*a->agreement));
	a->n_taken = mem_array(n, sizeof(*a->n_taken));
	a->said = mem_array(n * a->samples, sizeof(*a->said));
	a->texts = mem_array(n, sizeof(*a->texts));
	a->lines = mem_array(n, sizeof(*a->lines));
}

static void answering_end(struct answering *a)
{
	for (size_t i = 0; i < a->docs->n; i++) {
		json_decref(a->lines[i]);
		json_decref(a->texts[i]);
	}
	for (size_t i = 0; i < a->docs->n * a->samples; i++)
		mem_free(a->said[i]);
	mem_free(a->match);
	mem_free(a->f1);
	mem_free(a->match_each);
	mem_free(a->agreement);
	mem_free(a->n_taken);
	mem_free(a->said);
	mem_free(a->texts);
	mem_free(a->lines);
}

static int judge_all(struct evaluating *v, const struct documents *docs, const double *sum, struct err *e)
{
	struct answering a = { .v = v, .docs = docs, .sum = sum, .samples = samples_of(v) };
	struct session *s;
	int status = open_session(&s, v, docs, e);

	if (status < 0)
		return -1;
	answering_begin(&a);
	status = answer_all(&a, s, e);
	if (status == 0)
		v->result->exact_match = estimate_proportion(a.match, docs->n);
	if (status == 0 && a.samples == 1)
		v->result->f1 = estimate_mean(a.f1, docs->n);
	if (status == 0 && a.samples > 1) {
		v->result->sample_match = estimate_mean(a.match_each, docs->n);
		v->result->agreement = estimate_mean(a.agreement, docs->n);
	}
	answering_end(&a);
	session_free(s);
	return status;
}

/* Rows as they were scored, where none is answered. */
static int tell_scores(struct evaluating *v, const struct documents *docs, const double *sum, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < docs->n && status == 0; i++) {
		json_t *line = evaluate_line(&docs->items[i]);
		put_score(v, line, &docs->items[i], sum[i]);
		status = evaluate_prompt(v, &v->rows->items[i], line, e);
		evaluate_put(v, line);
	}
	return status;
}

/* --- what it would take --- */

/* Tokens of prompts that the one before does not begin with, and of answers as long as they may get. */
static void count_tokens(const struct evaluating *v, const struct documents *docs, double *fed, double *made,
                         double *at)
{
	const struct document *last = NULL;

	*fed = *made = *at = 0;
	for (size_t i = 0; i < docs->n; last = &docs->items[i++]) {
		const struct document *d = &docs->items[i];
		int32_t begin, end, same = 0;
		last_answer(d, &begin, &end);
		while (last && same < MIN(begin - 1, last->n) && last->ids[same] == d->ids[same])
			same++;
		*fed += begin - same;
		*made += most_new(v, d) * (double)samples_of(v);
		*at += begin;
	}
}

/* What all begin with. */
static int shared(const struct documents *docs)
{
	int32_t same = INT32_MAX, begin, end;

	for (size_t i = 0; i < docs->n; i++) {
		const struct document *d = &docs->items[i];
		last_answer(d, &begin, &end);
		same = MIN(same, begin - 1);
		for (int32_t j = 0; j < same; j++)
			if (d->ids[j] != docs->items[0].ids[j])
				same = j;
	}
	return same;
}

/* Prompts of their mean length into a sequence, then tokens of as many as are answered beside each other, one each, in
 * the middle of the mean answer. */
static int forecast_answers(struct evaluating *v, const struct documents *docs, struct evaluate_forecast *f,
                            struct err *e)
{
	double n = (double)docs->n, answers = n * (double)samples_of(v), fed, made, at, read = 0, one = 0;
	struct work of_read = { 0 }, of_one = { 0 };
	struct session *s;
	size_t work, cache;

	if (!v->options->planned)
		return 0;
	if (open_session(&s, v, docs, e) < 0)
		return -1;
	count_tokens(v, docs, &fed, &made, &at);
	int limit = session_limit(s), beside = session_sequences(s),
	    rows = (int)MIN(MIN(MAX(fed / n, 1), (double)session_rows(s)), limit),
	    middle = (int)MIN(at / n + made / 2 / answers, limit - 1);
	int status = session_time(s, 1, rows, MIN((int)(at / n) / 2, limit - rows), &read, &of_read, e);
	if (status == 0)
		status = session_time(s, beside, 1, middle, &one, &of_one, e);
	session_bytes(s, &work, &cache);
	f->answer_seconds = fed / rows * read + (made - answers) / beside * one;
	f->spare_seconds = (made - answers) / beside * one;
	f->flops = fed / rows * of_read.flops + (made - answers) / beside * of_one.flops;
	f->int_ops = fed / rows * of_read.int_ops + (made - answers) / beside * of_one.int_ops;
	f->bytes = work + session_fill_bytes(s, beside, shared(docs), limit);
	session_free(s);
	return status;
}

/* What answering will take, where that is all that is done. */
static int plan_answers(struct evaluating *v, const struct documents *docs, struct evaluate_forecast *f, struct err *e)
{
	if (!v->options->planned)
		return 0;
	f->items = docs->items;
	f->n = docs->n;
	return v->options->planned(v->options->ctx, f, e);
}

static int judge(struct evaluating *v, const struct documents *docs, struct err *e)
{
	const struct evaluate_options *o = v->options;

	double *sum = mem_array(docs->n, sizeof(*sum));
	const struct document **pointers = mem_array(docs->n, sizeof(*pointers));
	struct evaluate_forecast f = { 0 };
	int status = o->no_answers ? 0 : forecast_answers(v, docs, &f, e);

	if (status == 0)
		status = o->no_scores ? plan_answers(v, docs, &f, e) :
		                        evaluate_planned(v, docs->items, docs->n, &f, e);
	if (status == 0 && !o->no_scores)
		status = evaluate_score(v, docs->items, docs->n, sum, NULL, e);
	for (size_t i = 0; i < docs->n; i++)
		pointers[i] = &docs->items[i];
	if (!o->no_scores)
		v->result->perplexity = evaluate_perplexity(pointers, sum, docs->n);
	if (status == 0)
		status = (o->no_answers ? tell_scores : judge_all)(v, docs, sum, e);
	mem_free(pointers);
	mem_free(sum);
	return status;
}

int evaluate_answers(struct evaluating *v, struct err *e)
{
	struct documents docs = { 0 };
	int status = evaluate_documents(v, &docs, e);

	if (status == 0)
		status = judge(v, &docs, e);
	documents_release(&docs);
	return status;
}
