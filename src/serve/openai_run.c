/* openai_run: requests for answers, in the engine: choices into the batcher, tokens out of it into a reply, whole or as
 * events, and what it took. All but ask_start is of the engine's thread. */
#include "serve/openai_parts.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "call/parser.h"

#define LATELY 0.2 /* weight of the last answer in how long one takes */

static bool ends(const struct openai *s, int32_t id)
{
	for (size_t i = 0; i < s->ends.n; i++)
		if (s->ends.id[i] == id)
			return true;
	return false;
}

/* A token that was drawn; its text comes later. */
static void token(void *ctx, int32_t id, const float *logits)
{
	struct choice *c = ctx;

	if (!c->ask->first)
		c->ask->first = clock_seconds();
	/* with echo lm-eval takes the last of all tokens for the one that it asked for, also where that is an end */
	if (!c->ask->logprobs || (ends(c->ask->s, id) && !c->ask->echo))
		return;
	choice_token(c, id, logits);
}

/* --- replies --- */

void ask_put(struct ask *a, const char *bytes, size_t n)
{
	if (a->unread || a->refused)
		buf_add(&a->held, bytes, n);
	else
		http_later_add(a->later, bytes, n);
}

void ask_send(struct ask *a, const char *before, json_t *j, const char *after)
{
	char *line = jsonx_line(j);
	struct buf event = BUF_INIT;

	buf_addf(&event, "%s%s%s", before, line, after);
	ask_put(a, buf_str(&event), event.len);
	buf_release(&event);
	mem_free(line);
	json_decref(j);
}

json_t *ask_gas_json(const struct ask *a)
{
	json_t *j = a->s->o.read_span ? openai_gas_json(&a->gas) : NULL;

	if (j)
		ask_put_parts(a, j);
	if (j && a->alone.mid > 0)
		json_object_set_new(j, "alone", ask_alone_json(a));
	return j;
}

/* What it took, when all of it is there. */
static void measure(struct ask *a)
{
	struct gas *g = &a->gas;

	gas_none(g);
	if (!a->s->o.read_span)
		return;
	a->s->o.read_span(&a->span, g);
	a->whole = *g;
	openai_rate(a->s, g);
	gas_share(g, a->share);
	if (a->sources) {
		json_t *looked = gas_keep(&a->looked);
		answer_gas_divide(&a->parts, g, a->reading, a->writing);
		gas_add_kept(g, looked);
		json_decref(looked);
	}
	g->tokens_in = a->prompt_tokens;
	g->tokens_out = a->new_tokens;
	g->flops = a->flops;
	g->int_ops = a->int_ops;
}

static void send_head(struct ask *a)
{
	struct http_reply head = { 200, a->form->type };

	http_header(&head, "x-request-id", "%s", a->id);
	http_later_begin(a->later, &head);
}

void ask_open(struct ask *a)
{
	a->unread = 0;
	if (!a->stream || !a->began)
		return;
	send_head(a);
	http_later_add(a->later, buf_str(&a->held), a->held.len);
}

void ask_cancel(struct ask *a)
{
	for (size_t i = 0; i < a->n_choices; i++)
		if (a->choices[i].ticket >= 0)
			batcher_cancel(engine_batcher(a->s->o.engine), a->choices[i].ticket);
}

static void reply_refused(struct ask *a)
{
	struct http_reply r = { 0 };

	openai_count_refused(a->s);
	openai_error(&r, 400, "content_filter", a->key, "%s", a->refused);
	openai_later(a->s, a->later, a->id, &r, a->form->plain);
}

static void reply_whole(struct ask *a)
{
	struct http_reply r = { 200, "application/json" };

	openai_reply(&r, a->form->whole(a));
	if (a->s->o.read_span) {
		http_header(&r, "x-kungfu-gas-seconds", "%.6g", a->gas.seconds);
		http_header(&r, "x-kungfu-gas-joules", "%.6g", a->gas.energy.joules);
	}
	openai_later(a->s, a->later, a->id, &r, a->form->plain);
}

/* --- the batcher's calls --- */

void choice_text(struct choice *c, const char *text, size_t n)
{
	struct ask *a = c->ask;

	if (!a->stream || a->form->keeps || a->sources)
		buf_add(&c->text, text, n);
	if (a->stream && n && a->began > 0)
		a->form->piece(c, text, n);
}

static void give(struct choice *c, const char *text, size_t n)
{
	if (c->parser)
		call_parser_add(c->parser, text, n);
	else
		choice_text(c, text, n);
}

/* Text of the model's that is certain; where it is to be guarded it is kept until the end. */
int ask_emit(struct choice *c, const char *text, size_t n)
{
	if (http_later_left(c->ask->later))
		return 1;
	if (c->ask->s->guard_out)
		buf_add(&c->text, text, n);
	else
		give(c, text, n);
	return 0;
}

static int emit(void *ctx, const char *text, size_t n) { return ask_emit(ctx, text, n); }

void choice_end(struct choice *c)
{
	if (c->ask->s->guard_out) {
		choice_guard(c);
		struct buf all = c->text;
		c->text = (struct buf)BUF_INIT;
		give(c, buf_str(&all), all.len);
		buf_release(&all);
	}
	if (c->parser)
		call_parser_end(c->parser, strcmp(c->finish, "stop") != 0);
	if (c->n_calls && !strcmp(c->finish, "stop"))
		c->finish = "tool_calls";
}

static void count(struct ask *a)
{
	struct openai_counts *c = &a->s->counts;

	pthread_mutex_lock(&a->s->lock);
	c->answers += a->n_choices;
	c->prompt_tokens += (uint64_t)a->prompt_tokens;
	c->cached_tokens += (uint64_t)a->cached_tokens;
	c->new_tokens += (uint64_t)a->new_tokens;
	c->guessed += (uint64_t)a->guessed;
	c->accepted += (uint64_t)a->right;
	a->s->pending -= (int)a->n_choices;
	if (a->began > 0)
		a->s->answer_seconds += LATELY * (clock_seconds() - a->began - a->s->answer_seconds);
	pthread_mutex_unlock(&a->s->lock);
}

/* Its time was over in the queue, or the server ends. */
static void reply_not_begun(struct ask *a)
{
	struct http_reply r = { 0 };

	openai_busy(a->s, &r, a->late ? "The request waited until its time was over" : "The server ends");
	openai_later(a->s, a->later, a->id, &r, a->form->plain);
}

/* It is the engine's no more. */
static void leave(struct ask *a)
{
	*a->at = a->next;
	if (a->next)
		a->next->at = a->at;
	if (a->holds)
		adapters_leave(a->s->o.adapters, a->adapter);
	ask_free(a);
}

/* All choices are there. */
static void finish(struct ask *a)
{
	count(a);
	measure(a);
	ask_charge(a);
	if (!a->began) {
		reply_not_begun(a);
	} else if (a->refused) {
		reply_refused(a);
	} else if (a->stream) {
		if (a->unread) /* its time was over before that */
			ask_open(a);
		a->form->end(a);
		http_later_end(a->later);
	} else {
		reply_whole(a);
	}
	leave(a);
}

void ask_begin(struct ask *a)
{
	if (a->began > 0)
		return;
	a->began = clock_seconds();
	if (a->stream && !a->unread)
		send_head(a);
	if (a->stream && a->form->begin)
		a->form->begin(a);
}

static void begun(void *ctx, int64_t ticket)
{
	struct choice *c = ctx;
	(void)ticket;

	ask_begin(c->ask);
}

static int done(void *ctx, int64_t ticket, struct generation *g, struct err *e)
{
	struct choice *c = ctx;
	struct ask *a = c->ask;
	size_t each = a->n_choices / a->n_prompts;
	(void)ticket, (void)e;

	c->ticket = -1;
	c->finish = g->finish == FINISH_STOP ? "stop" : "length";
	a->late |= g->finish == FINISH_TIMEOUT;
	if ((size_t)c->index % each == 0) {
		a->prompt_tokens += (int64_t)c->prompt->n;
		a->cached_tokens += (int64_t)g->kept;
	}
	ask_alone_add(a, c->prompt->n, g->ids.n, (size_t)c->index % each == 0);
	a->new_tokens += (int64_t)g->ids.n;
	a->reading += g->prompt_seconds;
	a->writing += g->seconds;
	a->guessed += (int64_t)g->guessed;
	a->right += (int64_t)g->right;
	a->flops += g->flops;
	a->int_ops += g->int_ops;
	a->share = MIN(a->share + g->share, 1.0);
	choice_end(c);
	if (a->stream && a->began > 0)
		a->form->done(c);
	if (++a->n_done == a->n_choices)
		finish(a);
	return 0;
}

/* Nothing but the prompts was asked for. */
static void finish_empty(struct ask *a)
{
	a->unread = 0;
	ask_begin(a);
	for (size_t i = 0; i < a->n_choices; i++) {
		struct choice *c = &a->choices[i];
		c->finish = "length";
		if (i % (a->n_choices / a->n_prompts) == 0) {
			a->prompt_tokens += (int64_t)c->prompt->n;
			ask_alone_add(a, c->prompt->n, 0, true);
		}
		if (a->stream)
			a->form->done(c);
	}
	a->share = 1;
	finish(a);
}

/* --- in the engine --- */

/* Its answer is asked of the batcher. */
static void add_choice(struct choice *c)
{
	struct ask *a = c->ask;
	struct err e = ERR_INIT;
	struct batcher_request r = {
		.ids = c->prompt->id,
		.n = c->prompt->n,
		.adapter = a->adapter,
		.client = a->client,
		.until = a->until,
		.begun = begun,
		.scored = choice_scored(c),
		.read = choice_read,
		.done = done,
		.ctx = c,
		.generate = { .end = a->s->ends,
		              .stop = (const char *const *)a->stop,
		              .n_stop = a->n_stop,
		              .max_new_tokens = a->max_new_tokens,
		              .sampler = &c->pattern,
		              .grammar = a->grammar,
		              .marks = a->call_form ? buf_str(&a->s->call_marks) : NULL,
		              .emit = emit,
		              .token = token,
		              .ctx = c },
	};

	c->ticket = batcher_add(engine_batcher(a->s->o.engine), &r, &e);
	if (c->ticket < 0)
		BUG("a prompt that was looked at does not fit: %s", e.msg);
}

/* It is over before it began. */
static int refuse(struct ask *a, const struct ask_refusal *why)
{
	struct http_reply r = { 0 };

	if (why->status == 503)
		openai_busy(a->s, &r, "%s", why->e.msg);
	else
		openai_error(&r, why->status, why->code, why->param, "%s", why->e.msg);
	openai_later(a->s, a->later, a->id, &r, a->form->plain);
	pthread_mutex_lock(&a->s->lock);
	a->s->pending -= (int)a->n_choices;
	pthread_mutex_unlock(&a->s->lock);
	leave(a);
	return -1;
}

/* The adapter that it names is loaded until it is over. */
static int hold_adapter(struct ask *a)
{
	struct ask_refusal why = { 400, "invalid_adapter", "model" };
	int status, number;

	if (!a->s->o.adapters || a->adapter < 0)
		return 0;
	status = adapters_hold(a->s->o.adapters, a->adapter, &number, &why.e);
	if (status == ADAPTERS_BUSY) {
		why.status = 503;
		err_set(&why.e, "All adapters that have room here are being asked");
	}
	if (status)
		return refuse(a, &why);
	a->adapter = number;
	a->holds = true;
	return 0;
}

/* What labels answer. Other than 0: it is over. */
static int say_labels(struct ask *a)
{
	struct ask_refusal why = { 500, "server_error" };
	int status = a->s->o.sayer ? ask_say(a, &why.e) : 0;

	if (status < 0)
		return refuse(a, &why);
	if (status) {
		a->share = 1;
		finish(a);
	}
	return status;
}

/* What was looked for is counted apart, and the answer from then on. */
static int place_documents(struct ask *a)
{
	struct ask_refusal why = { 0 };

	if (ask_documents_place(a, &why) < 0)
		return refuse(a, &why);
	if (a->sources && a->s->o.open_span)
		a->s->o.open_span(&a->span);
	return 0;
}

/* What stands before an answer: the prompt, where it is asked for. Then the answers. */
static void begin_choices(struct ask *a)
{
	for (size_t i = 0; a->echo && i < a->n_choices; i++) {
		struct choice *c = &a->choices[i];
		const char *prompt = a->prompt_texts[c->prompt - a->prompts];
		buf_adds(&c->text, a->stream ? "" : prompt);
		c->offset = openai_characters(prompt);
	}
	for (size_t i = 0; a->max_new_tokens && i < a->n_choices; i++)
		if (!a->choices[i].finish)
			add_choice(&a->choices[i]);
	if (!a->max_new_tokens)
		finish_empty(a);
}

/* The prompts' probabilities, in parts between two steps of answers. */
static void score_prompts(void *ctx)
{
	struct ask *a = ctx;
	struct ask_refusal why = { 500, "server_error" };
	bool late = a->until > 0 && clock_seconds() > a->until;
	int status = 0;

	if (late || a->s->cut || http_later_left(a->later)) {
		why.status = 503;
		err_set(&why.e, late ? "The request waited until its time was over" : "The server ends");
		refuse(a, &why);
	} else if ((status = ask_echo(a, &why.e)) < 0) {
		refuse(a, &why);
	} else if (status) {
		engine_do(a->s->o.engine, score_prompts, a);
	} else {
		begin_choices(a);
	}
}

static void run(void *ctx)
{
	struct ask *a = ctx;
	struct openai *s = a->s;

	a->next = s->asks;
	a->at = &s->asks;
	if (a->next)
		a->next->at = &a->next;
	s->asks = a;
	if (s->o.open_span)
		s->o.open_span(&a->span);
	if (hold_adapter(a) < 0 || say_labels(a) || place_documents(a) < 0)
		return;
	if (a->echo && a->logprobs)
		score_prompts(a);
	else
		begin_choices(a);
}

void ask_start(struct ask *a, const struct http_request *q)
{
	struct openai *s = a->s;
	double seconds = a->max_ms > 0 ? a->max_ms / 1000 : INFINITY;
	struct http_reply r = { 0 };

	a->later = http_later(q);
	if (!ask_hold(a, &r)) {
		openai_count_refused(s);
		openai_later(s, a->later, a->id, &r, a->form->plain);
		ask_free(a);
		return;
	}
	if (s->o.timeout > 0)
		seconds = fmin(seconds, s->o.timeout);
	a->came = clock_seconds();
	a->until = isfinite(seconds) ? a->came + seconds : 0;
	a->client = hash_64(holder_name(a->charge.holder), strlen(holder_name(a->charge.holder)));
	pthread_mutex_lock(&s->lock);
	s->pending += (int)a->n_choices;
	pthread_mutex_unlock(&s->lock);
	engine_do(a->s->o.engine, run, a);
}

void openai_sweep(struct openai *s, bool all)
{
	s->cut |= all;
	for (struct ask *a = s->asks; a; a = a->next)
		if (all || http_later_left(a->later))
			ask_cancel(a);
}
