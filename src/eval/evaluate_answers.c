/* evaluate_answers: rows with answers. Of a conversation the last answer is asked for, given everything before it as it
 * is written.
 *
 * One session answers all rows: the tokens with which a prompt begins as the one before did (instructions, a system's
 * turn) stay in its cache. An answer may be SPARE tokens longer than the one that is wanted; a longer one would not be
 * equal to it. */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "infer/generate.h"
#include "eval/evaluate_parts.h"

enum { SPARE = 16 };

struct answering {
	struct evaluating *v;
	struct session *session;
	struct sampler greedy;
	struct generate_options generate;
	struct tokens fed;              /* what the session has */
	const double *sum;              /* log-probability of each row's answers */
	double *match;
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

static int open_session(struct answering *a, const struct documents *docs, struct err *e)
{
	const struct subject *s = a->v->subject;
	int32_t longest = 1, begin, end;

	for (size_t i = 0; i < docs->n; i++) {
		last_answer(&docs->items[i], &begin, &end);
		longest = MAX(longest, end + SPARE);
	}
	return session_new(&a->session, s->model, s->overlay, s->pool, s->kernels,
	                   &(struct session_size){ .n_ctx = MIN(longest, s->model->config.n_ctx) }, e);
}

/* Keeps what the session has in common with the prompt; one token at least is fed again, for its logits. */
static int32_t rewind_session(struct answering *a, const int32_t *ids, int32_t n)
{
	int32_t same = 0, limit = MIN(n - 1, session_length(a->session, 0));
	while (same < limit && a->fed.id[same] == ids[same])
		same++;
	session_truncate(a->session, 0, same);
	a->fed.n = (size_t)same;
	return same;
}

static int answer(struct answering *a, const struct document *d, struct generation *g, struct err *e)
{
	int32_t begin, end;

	last_answer(d, &begin, &end);
	int32_t same = rewind_session(a, d->ids, begin);
	a->generate.max_new_tokens = (size_t)most_new(d);
	if (generate(a->session, a->v->subject->model->tokenizer, d->ids + same, (size_t)(begin - same), &a->generate,
	             g, e) < 0)
		return err_prefix(e, "%s:%zu", d->file, d->line);
	for (int32_t i = same; i < begin; i++)
		tokens_add(&a->fed, d->ids[i]);
	for (size_t i = 0; i < g->ids.n; i++)
		tokens_add(&a->fed, g->ids.id[i]); /* the last one was not fed; session_length says so */
	a->v->result->new_tokens += (int64_t)g->ids.n;
	a->v->result->flops += g->flops + g->int_ops;
	a->v->result->int_ops += g->int_ops;
	return 0;
}

static void trim(const struct buf *b, const char **text, size_t *n)
{
	*text = buf_str(b);
	*n = b->len;
	while (*n && isspace((unsigned char)(*text)[*n - 1]))
		(*n)--;
	while (*n && isspace((unsigned char)**text)) {
		(*text)++;
		(*n)--;
	}
}

static bool is_equal(const struct buf *a, const struct buf *b)
{
	const char *x, *y;
	size_t n, m;
	trim(a, &x, &n);
	trim(b, &y, &m);
	return n == m && !memcmp(x, y, n);
}

static void put_answer(struct answering *a, size_t i, const struct document *d, const struct generation *g,
                       const struct buf *wanted)
{
	json_t *line = evaluate_line(d);

	json_object_set_new(line, "answer", json_stringn(buf_str(&g->text), g->text.len));
	json_object_set_new(line, "wanted", json_stringn(buf_str(wanted), wanted->len));
	json_object_set_new(line, "exact_match", json_integer(a->match[i] > 0));
	json_object_set_new(line, "finish_reason", json_string(finish_name(g->finish)));
	json_object_set_new(line, "logprob", json_real(a->sum[i]));
	json_object_set_new(line, "tokens", json_integer(d->n_learn));
	evaluate_put(a->v, line);
}

static int judge_answer(struct answering *a, size_t i, const struct document *d, struct err *e)
{
	struct generation g;
	struct buf bytes = BUF_INIT, wanted = BUF_INIT;
	int32_t begin, end;
	int status = answer(a, d, &g, e);

	last_answer(d, &begin, &end);
	tokenizer_decode(a->v->subject->model->tokenizer, d->ids + begin, (size_t)(end - begin), true, &bytes);
	utf8_repair(&wanted, buf_str(&bytes), bytes.len);
	if (status == 0) {
		a->match[i] = is_equal(&g.text, &wanted);
		put_answer(a, i, d, &g, &wanted);
	}
	generation_release(&g);
	buf_release(&bytes);
	buf_release(&wanted);
	return status;
}

static int answer_all(struct answering *a, const struct documents *docs, struct err *e)
{
	double began = clock_seconds();
	int64_t done = 0;

	for (size_t i = 0; i < docs->n; i++) {
		if (judge_answer(a, i, &docs->items[i], e) < 0)
			return -1;
		done += docs->items[i].n;
		if (evaluate_tell(a->v, "answering", done, (int64_t)docs->tokens, began))
			return err_set(e, "interrupted after %zu of %zu answers", i + 1, docs->n);
	}
	return 0;
}

static int judge_all(struct evaluating *v, const struct documents *docs, const double *sum, struct err *e)
{
	struct answering a = { .v = v, .sum = sum, .match = mem_array(docs->n, sizeof(double)) };

	a.generate.sampler = &a.greedy;
	sampler_init(&a.greedy, (size_t)v->subject->model->config.V);
	generate_ends(v->subject->model, &a.generate.end);
	int status = open_session(&a, docs, e);
	if (status == 0)
		status = answer_all(&a, docs, e);
	if (status == 0)
		v->result->exact_match = estimate_proportion(a.match, docs->n);
	session_free(a.session);
	sampler_release(&a.greedy);
	tokens_release(&a.generate.end);
	tokens_release(&a.fed);
	mem_free(a.match);
	return status;
}

/* --- what it would take --- */

/* Tokens of prompts that are not in the session yet, and of answers as long as they may get. */
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

/* Prompts of their mean length into a session, then tokens one by one in the middle of the mean answer. */
static int forecast_answers(struct evaluating *v, const struct documents *docs, struct evaluate_forecast *f,
                            struct err *e)
{
	struct answering a = { .v = v };
	double n = (double)docs->n, fed, made, at, read[2] = { 0 }, one[2] = { 0 };
	size_t work, cache;

	if (!v->options->planned)
		return 0;
	if (open_session(&a, docs, e) < 0)
		return -1;
	count_tokens(docs, &fed, &made, &at);
	int limit = session_limit(a.session),
	    rows = (int)MIN(MIN(MAX(fed / n, 1), (double)session_rows(a.session)), limit);
	int middle = (int)MIN((at + made / 2) / n, limit - 1);
	int status = session_time(a.session, 1, rows, MIN((int)(at / n) / 2, limit - rows), &read[0], &read[1], e);
	if (status == 0)
		status = session_time(a.session, 1, 1, middle, &one[0], &one[1], e);
	session_bytes(a.session, &work, &cache);
	f->answer_seconds = fed / rows * read[0] + (made - n) * one[0];
	f->spare_seconds = (made - n) * one[0];
	f->flops = fed / rows * read[1] + (made - n) * one[1];
	f->bytes = work + session_fill_bytes(a.session, 1, 0, limit);
	session_free(a.session);
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
