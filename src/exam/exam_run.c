/* exam_run: requests go through the model. Log-probabilities of continuations are documents of a scorer, whose forest
 * stores beginnings that neighbours share once: the choices of a row, and of rows the examples before them. Answers
 * that are generated are a batcher's. As lm-eval's HFLM:
 *
 *     tokens     white space at a context's end goes to the continuation; what is scored are the tokens of both
  * together
 *                behind as many as the context alone has; special tokens in texts are ones, and what the tokenizer puts
 *                in front of a text is there, unless it begins with it
 *     nothing    a context of nothing is the beginning of sequence, else its end
 *     too long   the beginning is left out
 *     a text     windows that begin with one token of what was scored before: the first of them with the beginning of
 *                sequence, each of L − 1 predicted tokens, the last with as much before it as there is room for
 *
 * L tokens of a document are lm-eval's max_length L − 1, as the last one is only predicted there. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/unicode.h"
#include "infer/batcher.h"
#include "infer/scorer.h"
#include "exam/exam_parts.h"

enum {
	CHUNK = 4096,                     /* requests whose tokens are there at once */
	BESIDE = 8, BESIDE_TOKENS = 8192, /* answers beside each other, as many as hold so many tokens */
	GEN_TOKENS = 256,                 /* of an answer, lm-eval's default */
};

struct running {
	const struct exam_subject *s;
	struct exam_run_options *o;
	size_t done, total;            /* requests */
	const char *doing;
	struct exam_forecast *forecast; /* nothing is run, this is filled; or NULL */
	struct err *e;
};

/* --- tokens --- */

static int32_t prefix_token(const struct tokenizer *t)
{
	int32_t bos = tokenizer_bos(t), id = bos >= 0 ? bos : tokenizer_eos(t);
	return MAX(id, 0);
}

/* With what the tokenizer puts in front of a text, unless it stands there already. */
static int encode(const struct tokenizer *t, const char *text, size_t n, struct tokens *out, struct err *e)
{
	struct buf begin = BUF_INIT;

	tokenizer_piece(t, prefix_token(t), &begin);
	if (!begin.len || n < begin.len || memcmp(text, buf_str(&begin), begin.len) != 0)
		tokenizer_begin(t, out);
	buf_release(&begin);
	return tokenizer_encode(t, text, n, TOKENIZE_SPECIAL, out, e);
}

/* ids, of which the last *n_scored are the continuation's. */
static int encode_pair(const struct tokenizer *t, const struct exam_request *q, struct tokens *ids, size_t *n_scored,
                       struct err *e)
{
	size_t n = strlen(q->context), kept = n;
	struct tokens alone = { 0 };
	int status;

	unicode_rstrip(q->context, &kept);
	if (!kept) {
		char *rest = mem_printf("%s%s", q->context, q->continuation);
		tokens_add(ids, prefix_token(t));
		status = tokenizer_encode(t, rest, strlen(rest), TOKENIZE_SPECIAL, ids, e);
		/* a text that begins with that token itself: it is not there twice */
		if (status == 0 && ids->n > 2 && ids->id[1] == ids->id[0])
			memmove(ids->id, ids->id + 1, --ids->n * sizeof(*ids->id));
		*n_scored = ids->n - 1;
		mem_free(rest);
	} else {
		char *whole = mem_printf("%s%s", q->context, q->continuation);
		status = encode(t, whole, strlen(whole), ids, e);
		if (status == 0)
			status = encode(t, whole, kept, &alone, e);
		*n_scored = ids->n > alone.n ? ids->n - alone.n : 0;
		mem_free(whole);
	}
	tokens_release(&alone);
	if (status == 0 && !*n_scored)
		return err_set(e, "a continuation has no tokens");
	return status;
}

/* --- documents --- */

struct scored {
	struct documents docs;         /* items' ids are arena's */
	size_t *request;               /* [docs.n] */
	size_t cap;
};

static void add_document(struct scored *s, const int32_t *ids, size_t n, size_t n_scored, size_t request)
{
	struct documents *d = &s->docs;

	if (d->n == s->cap) {
		s->cap = MAX(256, 2 * s->cap);
		d->items = mem_grow(d->items, s->cap, sizeof(*d->items));
		s->request = mem_grow(s->request, s->cap, sizeof(*s->request));
	}
	struct document *x = &d->items[d->n];
	*x = (struct document){ .ids = arena_array(&d->mem, n, sizeof(int32_t)), .learn = arena_array(&d->mem, n, 1),
		                .n = (int32_t)n, .n_learn = (int32_t)n_scored, .file = "request", .line = request + 1,
		                .choice = -1 };
	memcpy(x->ids, ids, n * sizeof(*ids));
	memset(x->learn + n - n_scored, 1, n_scored);
	s->request[d->n++] = request;
}

static int add_pair(struct scored *s, struct running *r, struct exam_request *q, size_t request)
{
	struct tokens ids = { 0 };
	size_t n_scored, most = (size_t)r->o->max_length;
	int status = encode_pair(r->s->model->tokenizer, q, &ids, &n_scored, r->e);

	if (status == 0 && n_scored >= most)
		status = err_set(r->e, "a continuation of %zu tokens does not fit into --max-length %zu", n_scored,
		                 most);
	if (status == 0) {
		q->left_out = ids.n > most ? ids.n - most : 0;
		add_document(s, ids.id + q->left_out, ids.n - q->left_out, n_scored, request);
	}
	tokens_release(&ids);
	return status;
}

static int add_windows(struct scored *s, struct running *r, const struct exam_request *q, size_t request)
{
	const struct tokenizer *t = r->s->model->tokenizer;
	struct tokens ids = { 0 };
	size_t most = (size_t)r->o->max_length - 1;

	tokens_add(&ids, prefix_token(t));
	int status = encode(t, q->continuation, strlen(q->continuation), &ids, r->e);
	size_t n = ids.n - 1; /* to be predicted */
	for (size_t from = 0, some; status == 0 && from < n; from += some) {
		some = MIN(n - from, most);
		size_t end = from + some, begin = from && end > most ? end - most : 0; /* of ids */
		add_document(s, ids.id + begin, end + 1 - begin, some, request);
	}
	tokens_release(&ids);
	return status;
}

/* --- log-probabilities --- */

static int tell_scored(void *ctx, size_t done, size_t total)
{
	struct running *r = ctx;
	(void)total;
	return r->o->progress ? r->o->progress(r->o->ctx, r->doing, r->done + done, r->total) : 0;
}

static int score_documents(struct running *r, struct scored *s, struct exam_request *requests)
{
	size_t n = s->docs.n;
	const struct document **list = mem_array(n, sizeof(*list));
	double *sum = mem_array(n, sizeof(*sum));
	uint8_t *greedy = mem_array(n, 1);
	struct scorer_options o = { .max_tokens = r->o->micro_batch_tokens, .max_length = 1, .greedy = greedy };
	struct scorer *scorer;

	for (size_t i = 0; i < n; i++) {
		list[i] = &s->docs.items[i];
		o.max_length = MAX(o.max_length, list[i]->n);
		r->o->tokens += list[i]->n;
		r->o->scored_tokens += list[i]->n_learn;
	}
	int status = scorer_new(&scorer, r->s->model, r->s->overlay, r->s->device, &o, r->e);
	if (status == 0) {
		status = scorer_run(scorer, list, n, false, sum, NULL, tell_scored, r, r->e);
		r->o->flops += scorer_flops(scorer);
		r->o->int_ops += scorer_int_ops(scorer);
		scorer_free(scorer);
	}
	for (size_t i = 0; i < n && status == 0; i++) {
		struct exam_request *q = &requests[s->request[i]];
		bool first = i == 0 || s->request[i] != s->request[i - 1];
		q->logprob = (first ? 0 : q->logprob) + (isfinite(sum[i]) ? sum[i] : -FLT_MAX);
		q->greedy = (first || q->greedy) && greedy[i];
	}
	mem_free(list);
	mem_free(sum);
	mem_free(greedy);
	return status;
}

static int add_documents(struct scored *s, struct running *r, const struct exam *t, struct exam_request *requests,
                         size_t n)
{
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++) {
		status = t->output == EXAM_ROLLING ? add_windows(s, r, &requests[i], i) :
		                                     add_pair(s, r, &requests[i], i);
		if (status < 0)
			err_prefix(r->e, "%.80s: row %zu", t->name, requests[i].doc + 1);
	}
	return status;
}

static void scored_release(struct scored *s)
{
	mem_free(s->docs.items);
	mem_free(s->request);
	arena_release(&s->docs.mem);
}

static int score_some(struct running *r, const struct exam *t, struct exam_request *requests, size_t n)
{
	struct scored s = { 0 };
	int status = add_documents(&s, r, t, requests, n);

	if (status == 0 && s.docs.n)
		status = score_documents(r, &s, requests);
	scored_release(&s);
	return status;
}

static int score_all(struct running *r, struct exam_asked *a)
{
	for (size_t i = 0, some; i < a->n; i += some) {
		some = MIN(a->n - i, (size_t)CHUNK);
		/* what is asked of one row stays together: it shares its beginning */
		while (i + some < a->n && a->items[i + some].doc == a->items[i + some - 1].doc)
			some++;
		if (score_some(r, a->task, a->items + i, some) < 0)
			return -1;
		r->done += some;
	}
	return 0;
}

/* --- answers --- */

struct generating {
	struct running *r;
	struct exam_asked *asked;
	size_t times;                  /* answers a request that are drawn */
	size_t most;                   /* tokens of one */
	const char **stop;
	size_t n_stop;
	struct tokens *ids;            /* [asked->n] */
	struct sampler_choice choice;
	bool sample;
	json_t *kwargs;                /* stops live in it */
};

static int set_number(struct generating *g, const char *key, const char *name, const json_t *v)
{
	const struct opt *o = opt_find(g->choice.parse.table, name);
	double x = json_number_value(v);

	if (!json_is_number(v) || x < o->min || x > o->max)
		return err_set(g->r->e, "generation_kwargs: %s: a number from %g to %g was wanted", key, o->min,
		               o->max);
	sampler_choice_set(&g->choice, name, x);
	return 0;
}

static int set_stops(struct generating *g, const json_t *v)
{
	size_t i;
	json_t *one;

	if (json_is_string(v)) {
		g->stop = mem_grow(g->stop, 1, sizeof(*g->stop));
		g->stop[0] = json_string_value(v);
		g->n_stop = json_string_length(v) > 0;
		return 0;
	}
	if (!json_is_array(v))
		return err_set(g->r->e, "generation_kwargs: until: a text or a list of texts was wanted");
	g->stop = mem_grow(g->stop, MAX(json_array_size(v), (size_t)1), sizeof(*g->stop));
	g->n_stop = 0;
	json_array_foreach((json_t *)(uintptr_t)v, i, one) {
		if (!json_is_string(one))
			return err_set(g->r->e, "generation_kwargs: until: a text was wanted");
		if (json_string_length(one))
			g->stop[g->n_stop++] = json_string_value(one);
	}
	return 0;
}

static int set_one(struct generating *g, const char *key, const json_t *v, double *temperature)
{
	static const struct { const char *key, *name; } numbers[] = {
		{ "top_k", "top-k" }, { "top_p", "top-p" }, { "min_p", "min-p" }, { "typical_p", "typical-p" },
		{ "repetition_penalty", "repetition-penalty" },
	};

	if (!strcmp(key, "until"))
		return set_stops(g, v);
	if (!strcmp(key, "do_sample")) {
		g->sample = json_is_true(v);
		return json_is_boolean(v) ? 0 : err_set(g->r->e, "generation_kwargs: do_sample is true or false");
	}
	if (!strcmp(key, "temperature")) {
		*temperature = json_number_value(v);
		return json_is_number(v) && *temperature >= 0 && *temperature <= 100 ?
			0 : err_set(g->r->e, "generation_kwargs: temperature: a number from 0 to 100 was wanted");
	}
	if (!strcmp(key, "max_gen_toks") || !strcmp(key, "max_new_tokens") || !strcmp(key, "max_tokens") ||
	    !strcmp(key, "max_completion_tokens")) {
		if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 1 << 24)
			return err_set(g->r->e, "generation_kwargs: %s: a whole number above 0 was wanted", key);
		g->most = (size_t)json_integer_value(v);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (!strcmp(key, numbers[i].key))
			return set_number(g, key, numbers[i].name, v);
	return err_set(g->r->e, "generation_kwargs: %.80s: this key has no meaning here", key);
}

/* Only do_sample: true draws; a temperature without it is none, as in lm-eval. */
static int set_kwargs(struct generating *g, const json_t *kwargs, const char *fewshot_delimiter)
{
	const char *key;
	json_t *v, *all = g->kwargs = kwargs ? json_copy((json_t *)(uintptr_t)kwargs) : json_object();
	double temperature = 1;
	int status = 0;

	json_object_update(all, (json_t *)(uintptr_t)g->r->o->gen_kwargs);
	if (!json_object_get(all, "until"))
		json_object_set_new(all, "until", json_string(fewshot_delimiter));
	json_object_foreach(all, key, v)
		if (status == 0)
			status = set_one(g, key, v, &temperature);
	g->sample = g->sample && temperature > 0;
	sampler_choice_set(&g->choice, "temperature", g->sample ? temperature : 0);
	return status;
}

static int answered(void *ctx, int64_t ticket, struct generation *gen, struct err *e)
{
	struct generating *g = ctx;
	struct running *r = g->r;
	struct exam_request *q = &g->asked->items[(size_t)ticket / g->times];
	size_t repeats = g->times == 1 ? (size_t)g->asked->task->repeats : 1, at = (size_t)ticket % g->times;

	for (size_t i = 0; i < repeats; i++)
		json_array_set_new(q->answers, at + i, json_stringn(buf_str(&gen->text), gen->text.len));
	q->n_cut += gen->finish == FINISH_LENGTH ? repeats : 0;
	r->o->new_tokens += (int64_t)gen->ids.n;
	r->o->tokens += (int64_t)(g->ids[(size_t)ticket / g->times].n - gen->kept);
	r->o->flops += gen->flops + gen->int_ops;
	r->o->int_ops += gen->int_ops;
	r->done += at + 1 == g->times;
	if (r->o->progress && r->o->progress(r->o->ctx, "answering", r->done, r->total))
		return err_set(e, "interrupted after %zu of %zu requests", r->done, r->total);
	return 0;
}

static int encode_all(struct generating *g, size_t *longest)
{
	const struct exam_asked *a = g->asked;
	size_t room = (size_t)g->r->o->max_length;

	*longest = 1;
	if (g->most >= room)
		return err_set(g->r->e, "%.80s: answers of up to %zu tokens leave no room for a prompt in --max-length "
		                        "%zu", a->task->name, g->most, room);
	for (size_t i = 0; i < a->n; i++) {
		struct exam_request *q = &a->items[i];
		struct tokens *ids = &g->ids[i];
		if (encode(g->r->s->model->tokenizer, q->context, strlen(q->context), ids, g->r->e) < 0)
			return -1;
		if (!ids->n)
			tokens_add(ids, prefix_token(g->r->s->model->tokenizer));
		if (ids->n > room - g->most) {
			q->left_out = ids->n - (room - g->most);
			ids->n -= q->left_out;
			memmove(ids->id, ids->id + q->left_out, ids->n * sizeof(*ids->id));
		}
		*longest = MAX(*longest, ids->n + g->most);
	}
	return 0;
}

/* Answers beside each other: as many as the longest leaves room for. */
static int open_session(struct session **session, const struct generating *g, size_t longest)
{
	const struct exam_subject *s = g->r->s;
	size_t beside = MAX(MIN((size_t)BESIDE, BESIDE_TOKENS / longest), (size_t)1);
	struct session_size size = { .n_ctx = (int32_t)longest,
		                     .n_sequences = (int)MIN(beside, g->asked->n * g->times) };

	return session_new(session, s->model, s->overlay, s->device, &size, g->r->e);
}

static int add_requests(struct generating *g, struct batcher *b, struct batcher_request *q)
{
	for (size_t i = 0; i < g->asked->n; i++) {
		g->asked->items[i].answers = json_array();
		for (int k = 0; k < g->asked->task->repeats; k++)
			json_array_append_new(g->asked->items[i].answers, json_null());
		q->ids = g->ids[i].id;
		q->n = g->ids[i].n;
		for (size_t k = 0; k < g->times; k++) {
			q->generate.sampler->stream = (uint32_t)(i * g->times + k);
			if (batcher_add(b, q, g->r->e) < 0)
				return err_prefix(g->r->e, "%.80s: row %zu", g->asked->task->name, i + 1);
		}
	}
	return 0;
}

static int answer_all(struct generating *g, size_t longest)
{
	const struct exam_subject *s = g->r->s;
	struct sampler sampler = { .seed = g->r->o->seed, .steps = g->choice.steps };
	struct batcher_request q = { .generate = { .sampler = &sampler, .stop = g->stop, .n_stop = g->n_stop,
		                                   .max_new_tokens = g->most },
		                     .done = answered, .ctx = g };
	struct session *session;

	if (open_session(&session, g, longest) < 0)
		return -1;
	struct batcher *b = batcher_new(session, s->model->tokenizer, s->device->pool);
	generate_ends(s->model, &q.generate.end);
	int status = add_requests(g, b, &q);
	while (status == 0 && batcher_busy(b))
		status = batcher_step(b, g->r->e);
	batcher_free(b);
	tokens_release(&q.generate.end);
	session_free(session);
	return status;
}

/* --- what it would take --- */

static void note_tokens(struct exam_forecast *f, const int32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		f->token[ids[i]] = 1;
}

/* Prompts of their mean length, less what each has of the one before, into a sequence; then tokens of as many answers
 * as are beside each other, in the middle of one that is as long as it may get. */
static int forecast_answers(const struct generating *g, size_t longest)
{
	struct exam_forecast *f = g->r->forecast;
	double n = (double)g->asked->n, answers = n * (double)g->times, made = answers * ((double)g->most - 1),
	       fed = 0, at = 0, read = 0, one = 0;
	struct work of_read = { 0 }, of_one = { 0 };
	struct session *s;
	size_t work, cache;

	for (size_t i = 0; i < g->asked->n; i++) {
		const struct tokens *ids = &g->ids[i], *last = i ? &g->ids[i - 1] : NULL;
		size_t same = 0;
		while (last && same + 1 < ids->n && same < last->n && last->id[same] == ids->id[same])
			same++;
		fed += (double)(ids->n - same);
		at += (double)ids->n;
		note_tokens(f, ids->id, ids->n);
	}
	if (open_session(&s, g, longest) < 0)
		return -1;
	int limit = session_limit(s), beside = session_sequences(s),
	    rows = (int)MIN(MIN(MAX(fed / n, 1), (double)session_rows(s)), limit),
	    middle = (int)MIN(at / n + (double)g->most / 2, limit - 1);
	int status = session_time(s, 1, rows, MIN((int)(at / n) / 2, limit - rows), &read, &of_read, g->r->e);
	if (status == 0)
		status = session_time(s, beside, 1, middle, &one, &of_one, g->r->e);
	session_bytes(s, &work, &cache);
	f->answer_seconds += fed / rows * read + made / beside * one;
	f->spare_seconds += made / beside * one;
	f->flops += fed / rows * of_read.flops + made / beside * of_one.flops;
	f->int_ops += fed / rows * of_read.int_ops + made / beside * of_one.int_ops;
	f->bytes = MAX(f->bytes, work + session_fill_bytes(s, beside, 0, limit));
	f->tokens += (int64_t)fed;
	f->new_tokens += (int64_t)(made + answers);
	session_free(s);
	return status;
}

/* The documents of all tasks as if they were one's, so a little of them is timed once. */
static int forecast_scores(struct running *r, struct exam_asked *const *asked, size_t n)
{
	struct exam_forecast *f = r->forecast;
	struct scorer_options o = { .max_tokens = r->o->micro_batch_tokens, .max_length = 1 };
	struct scorer_forecast found = { 0 };
	struct scored s = { 0 };
	struct scorer *scorer;
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++)
		if (asked[i]->task->output != EXAM_GENERATE)
			status = add_documents(&s, r, asked[i]->task, asked[i]->items, asked[i]->n);
	const struct document **list = mem_array(s.docs.n + 1, sizeof(*list));
	for (size_t i = 0; i < s.docs.n; i++) {
		list[i] = &s.docs.items[i];
		o.max_length = MAX(o.max_length, list[i]->n);
		f->tokens += list[i]->n;
		note_tokens(f, list[i]->ids, (size_t)list[i]->n);
	}
	if (status == 0 && s.docs.n && (status = scorer_new(&scorer, r->s->model, r->s->overlay, r->s->device, &o,
	                                                    r->e)) == 0) {
		status = scorer_forecast(scorer, list, s.docs.n, false, &found, r->e);
		f->score_seconds = found.seconds;
		f->start_seconds = (double)found.bytes / found.touch_rate;
		f->flops += found.flops;
		f->int_ops += found.int_ops;
		f->bytes = MAX(f->bytes, found.bytes);
		f->computed_tokens = found.computed_tokens;
		scorer_free(scorer);
	}
	mem_free(list);
	scored_release(&s);
	return status;
}

static int generate_all(struct running *r, struct exam_asked *a)
{
	const struct exam *t = a->task;
	struct generating g = { .r = r, .asked = a, .most = GEN_TOKENS, .ids = mem_array(a->n, sizeof(struct tokens)) };
	size_t longest;

	sampler_choose(&g.choice);
	int status = set_kwargs(&g, json_object_get(t->config, "generation_kwargs"), t->fewshot_delimiter);
	g.times = g.sample ? (size_t)t->repeats : 1;
	if (status < 0)
		err_prefix(r->e, "%.80s", t->name);
	if (status == 0)
		status = encode_all(&g, &longest);
	if (status == 0)
		status = r->forecast ? forecast_answers(&g, longest) : answer_all(&g, longest);
	for (size_t i = 0; i < a->n; i++)
		tokens_release(&g.ids[i]);
	mem_free(g.ids);
	mem_free(g.stop);
	json_decref(g.kwargs);
	sampler_choice_release(&g.choice);
	return status;
}

/* --- all --- */

int exam_run(const struct exam_subject *s, struct exam_asked *const *asked, size_t n, struct exam_run_options *o,
             struct err *e)
{
	struct running r = { .s = s, .o = o, .doing = "scoring", .e = e };
	int status = 0;

	for (size_t i = 0; i < n; i++)
		r.total += asked[i]->n;
	for (size_t i = 0; i < n && status == 0; i++)
		status = asked[i]->task->output == EXAM_GENERATE ? generate_all(&r, asked[i]) : score_all(&r, asked[i]);
	return status;
}

int exam_forecast(const struct exam_subject *s, struct exam_asked *const *asked, size_t n, struct exam_run_options *o,
                  struct exam_forecast *f, struct err *e)
{
	struct running r = { .s = s, .o = o, .forecast = f, .e = e };

	*f = (struct exam_forecast){ .token = mem_array((size_t)s->model->config.V, 1) };
	int status = forecast_scores(&r, asked, n);
	for (size_t i = 0; i < n && status == 0; i++) {
		f->requests += asked[i]->n;
		if (asked[i]->task->output == EXAM_GENERATE)
			status = generate_all(&r, asked[i]);
	}
	return status;
}
