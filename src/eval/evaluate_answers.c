/* evaluate_answers: rows with answers. Of a conversation the last answer is asked for, given everything before it as it
 * is written.
 *
 * Rows are answered beside each other (infer/batcher.h), so tokens with which a prompt begins as another one did
 * (instructions, a system's turn) are computed once; what comes of them is told in the rows' order. An answer may be
 * SPARE tokens longer than the one that is wanted; a longer one would not be equal to it. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "infer/batcher.h"
#include "eval/evaluate_parts.h"

enum {
	SPARE = 16,
	BESIDE = 8, BESIDE_TOKENS = 4096, /* rows beside each other: as many as hold so many tokens, one at least */
};

struct answering {
	struct evaluating *v;
	const struct documents *docs;
	const double *sum;              /* log-probability of each row's answers */
	double *match;
	json_t **lines;                 /* [docs.n] of rows that are answered before one ahead of them */
	size_t n_put, n_done;           /* rows that were told; that were answered */
	int64_t tokens;
	double began;
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

static int32_t most_new(const struct document *d)
{
	int32_t begin, end;
	last_answer(d, &begin, &end);
	return end - begin + SPARE;
}

static int open_session(struct session **session, const struct subject *s, const struct documents *docs,
                        struct err *e)
{
	int32_t longest = 1, begin, end;

	for (size_t i = 0; i < docs->n; i++) {
		last_answer(&docs->items[i], &begin, &end);
		longest = MAX(longest, end + SPARE);
	}
	longest = MIN(longest, overlays_context(s->overlay, s->model));
	size_t beside = MIN(docs->n, (size_t)MAX(MIN(BESIDE, BESIDE_TOKENS / longest), 1));
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

static json_t *line_of(const struct answering *a, size_t i, const struct generation *g, const struct buf *wanted)
{
	const struct document *d = &a->docs->items[i];
	json_t *line = evaluate_line(d);

	json_object_set_new(line, "answer", json_stringn(buf_str(&g->text), g->text.len));
	json_object_set_new(line, "wanted", json_stringn(buf_str(wanted), wanted->len));
	json_object_set_new(line, "exact_match", json_integer(a->match[i] > 0));
	json_object_set_new(line, "finish_reason", json_string(finish_name(g->finish)));
	json_object_set_new(line, "logprob", json_real(a->sum[i]));
	json_object_set_new(line, "tokens", json_integer(d->n_learn));
	return line;
}

/* Row i is answered: it and those that waited for it are told. */
static int take(void *ctx, int64_t ticket, struct generation *g, struct err *e)
{
	struct answering *a = ctx;
	size_t i = (size_t)ticket;
	const struct document *d = &a->docs->items[i];
	struct evaluation *result = a->v->result;
	struct buf bytes = BUF_INIT, wanted = BUF_INIT;
	int32_t begin, end;

	last_answer(d, &begin, &end);
	tokenizer_decode(a->v->subject->model->tokenizer, d->ids + begin, (size_t)(end - begin), true, &bytes);
	utf8_repair(&wanted, buf_str(&bytes), bytes.len);
	a->match[i] = is_equal(&g->text, &wanted);
	a->lines[i] = line_of(a, i, g, &wanted);
	int status = evaluate_prompt(a->v, &a->v->rows->items[i], a->lines[i], e);
	buf_release(&bytes);
	buf_release(&wanted);
	for (; a->n_put < a->docs->n && a->lines[a->n_put]; a->n_put++) {
		evaluate_put(a->v, a->lines[a->n_put]);
		a->lines[a->n_put] = NULL;
	}
	result->new_tokens += (int64_t)g->ids.n;
	result->read_tokens += begin - (int64_t)g->kept;
	result->flops += g->flops + g->int_ops;
	result->int_ops += g->int_ops;
	a->tokens += d->n;
	a->n_done++;
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
		r->generate.max_new_tokens = (size_t)most_new(d);
		if (batcher_add(b, r, e) < 0)
			return err_prefix(e, "%s:%zu", d->file, d->line);
	}
	return 0;
}

static int answer_all(struct answering *a, struct session *s, struct err *e)
{
	const struct model *m = a->v->subject->model;
	struct batcher *b = batcher_new(s, m->tokenizer, a->v->subject->device->pool);
	struct sampler greedy = { 0 };
	const struct evaluate_options *o = a->v->options;
	struct batcher_request r = { .generate = { .sampler = &greedy, .stop = o->stop, .n_stop = o->n_stop },
		                     .done = take, .ctx = a };

	generate_ends(m, &r.generate.end);
	a->began = clock_seconds();
	int status = add_all(a, b, &r, e);
	while (status == 0 && batcher_busy(b))
		status = batcher_step(b, e);
	batcher_free(b);
	tokens_release(&r.generate.end);
	return status;
}

static int judge_all(struct evaluating *v, const struct documents *docs, const double *sum, struct err *e)
{
	struct answering a = { .v = v, .docs = docs, .sum = sum };
	struct session *s;
	int status = open_session(&s, v->subject, docs, e);

	if (status < 0)
		return -1;
	a.match = mem_array(docs->n, sizeof(*a.match));
	a.lines = mem_array(docs->n, sizeof(json_t *));
	status = answer_all(&a, s, e);
	if (status == 0)
		v->result->exact_match = estimate_proportion(a.match, docs->n);
	for (size_t i = 0; i < docs->n; i++)
		json_decref(a.lines[i]);
	session_free(s);
	mem_free(a.match);
	mem_free(a.lines);
	return status;
}

/* --- what it would take --- */

/* Tokens of prompts that the one before does not begin with, and of answers as long as they may get. */
static void count_tokens(const struct documents *docs, double *fed, double *made, double *at)
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
		*made += most_new(d);
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
	double n = (double)docs->n, fed, made, at, read = 0, one = 0;
	struct work of_read = { 0 }, of_one = { 0 };
	struct session *s;
	size_t work, cache;

	if (!v->options->planned)
		return 0;
	if (open_session(&s, v->subject, docs, e) < 0)
		return -1;
	count_tokens(docs, &fed, &made, &at);
	int limit = session_limit(s), beside = session_sequences(s),
	    rows = (int)MIN(MIN(MAX(fed / n, 1), (double)session_rows(s)), limit),
	    middle = (int)MIN((at + made / 2) / n, limit - 1);
	int status = session_time(s, 1, rows, MIN((int)(at / n) / 2, limit - rows), &read, &of_read, e);
	if (status == 0)
		status = session_time(s, beside, 1, middle, &one, &of_one, e);
	session_bytes(s, &work, &cache);
	f->answer_seconds = fed / rows * read + (made - n) / beside * one;
	f->spare_seconds = (made - n) / beside * one;
	f->flops = fed / rows * of_read.flops + (made - n) / beside * of_one.flops;
	f->int_ops = fed / rows * of_read.int_ops + (made - n) / beside * of_one.int_ops;
	f->bytes = work + session_fill_bytes(s, beside, shared(docs), limit);
	session_free(s);
	return status;
}

static int judge(struct evaluating *v, const struct documents *docs, struct err *e)
{
	double *sum = mem_array(docs->n, sizeof(*sum));
	const struct document **pointers = mem_array(docs->n, sizeof(*pointers));
	struct evaluate_forecast f = { 0 };
	int status = forecast_answers(v, docs, &f, e);

	if (status == 0)
		status = evaluate_planned(v, docs->items, docs->n, &f, e);
	if (status == 0)
		status = evaluate_score(v, docs->items, docs->n, sum, NULL, e);
	for (size_t i = 0; i < docs->n; i++)
		pointers[i] = &docs->items[i];
	v->result->perplexity = evaluate_perplexity(pointers, sum, docs->n);
	if (status == 0)
		status = judge_all(v, docs, sum, e);
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
