/* generate: an answer grows by a token a step: drawn, fed, turned into text.
 *
 * Bytes wait in `raw` until they are certain. Of a new end of it, the longest part that begins a stop string is held
 * back, and what is no whole character yet; at the end everything is given out. */
#include "infer/generate.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "token/gguf_known.h"

const char *finish_name(enum finish f)
{
	static const char *const names[] = { "stop", "length", "cancelled", "timeout", "content_filter" };
	return names[f];
}

/* --- tokens that end an answer --- */

static bool has(const struct tokens *list, int32_t id)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->id[i] == id)
			return true;
	return false;
}

static void add_end(const struct model *m, struct tokens *out, int64_t id)
{
	if (id >= 0 && id < m->config.V && !has(out, (int32_t)id))
		tokens_add(out, (int32_t)id);
}

static void add_json_ends(const struct model *m, struct tokens *out, const json_t *config)
{
	const json_t *v = json_object_get(config, "eos_token_id");
	if (json_is_integer(v))
		add_end(m, out, json_integer_value(v));
	for (size_t i = 0; i < json_array_size(v); i++)
		if (json_is_integer(json_array_get(v, i)))
			add_end(m, out, json_integer_value(json_array_get(v, i)));
}

void generate_ends(const struct model *m, struct tokens *out)
{
	struct tokens own = { 0 };

	if (m->tokenizer)
		add_end(m, out, tokenizer_eos(m->tokenizer));
	add_json_ends(m, out, m->source.config);
	add_json_ends(m, out, m->source.generation_config);
	if (m->source.is_gguf)
		gguf_ends(&m->source.gguf, &own);
	for (size_t i = 0; i < own.n; i++)
		add_end(m, out, own.id[i]);
	tokens_release(&own);
}

/* --- text that grows --- */

/* The first place at or after `from` where a stop string stands; SIZE_MAX: none. */
static size_t find_stop(const struct answer *a, size_t from)
{
	size_t found = SIZE_MAX;
	for (size_t i = 0; i < a->o->n_stop; i++) {
		size_t n = strlen(a->o->stop[i]);
		const char *at =
			n && from < a->raw.len ? memmem(a->raw.data + from, a->raw.len - from, a->o->stop[i], n) : NULL;
		if (at)
			found = MIN(found, (size_t)(at - a->raw.data));
	}
	return found;
}

/* Bytes at the end of raw that may be the beginning of a stop string. */
static size_t held_back(const struct answer *a)
{
	size_t most = 0;
	for (size_t i = 0; i < a->o->n_stop; i++) {
		size_t n = strlen(a->o->stop[i]);
		for (size_t len = MIN(n ? n - 1 : 0, a->raw.len - a->sent); len > most; len--)
			if (!memcmp(a->raw.data + a->raw.len - len, a->o->stop[i], len))
				most = len;
	}
	return most;
}

static void flush(struct answer *a, size_t end)
{
	size_t before = a->g->text.len;
	if (end <= a->sent)
		return;
	utf8_repair(&a->g->text, a->raw.data + a->sent, end - a->sent);
	a->sent = end;
	if (a->o->emit && a->o->emit(a->o->ctx, a->g->text.data + before, a->g->text.len - before))
		a->cancelled = true;
}

static bool is_mark(const struct answer *a, int32_t id)
{
	const char *text = (size_t)id < tokenizer_size(a->tokenizer) ? tokenizer_text(a->tokenizer, id) : NULL;

	return text && grammar_is_mark(a->o->marks, text);
}

/* Takes a token's bytes; true when a stop string came, whose bytes are gone then. */
static bool add_text(struct answer *a, int32_t id)
{
	bool shown = a->o->marks && is_mark(a, id);

	if ((size_t)id < tokenizer_size(a->tokenizer)) /* rows of the head beyond it fill a table up and have no text */
		tokenizer_decode_next(a->tokenizer, id, !shown, a->raw.len == 0, &a->raw);
	size_t stop = find_stop(a, a->sent);
	if (stop != SIZE_MAX) {
		a->raw.len = stop;
		return true;
	}
	size_t certain = a->raw.len - held_back(a);
	flush(a, a->sent + (certain > a->sent ? utf8_complete(a->raw.data + a->sent, certain - a->sent) : 0));
	return false;
}

/* --- the answer --- */

void answer_begin(struct answer *a, const struct tokenizer *t, const struct generate_options *o, struct generation *g)
{
	*a = (struct answer){ .tokenizer = t, .o = o, .g = g, .began = clock_seconds() };
	*g = (struct generation){ 0 };
	constraint_begin(&a->constraint, o->grammar);
	o->sampler->constraint = &a->constraint;
}

static void note_logprob(struct generation *g, double logprob)
{
	g->logprob = mem_grow(g->logprob, g->ids.n + 1, sizeof(*g->logprob));
	g->logprob[g->ids.n] = (float)logprob;
}

bool answer_add(struct answer *a, int32_t id, const float *logits, bool full)
{
	struct generation *g = a->g;

	if (g->ids.n == 0)
		a->first = clock_seconds();
	if (a->constraint.stuck == g->ids.n + 1) {
		g->finish = FINISH_LENGTH;
		return g->stuck = true;
	}
	if (a->o->logprobs)
		note_logprob(g, logits_logprob(logits, a->o->sampler->V, id));
	if (a->o->token)
		a->o->token(a->o->ctx, id, logits);
	tokens_add(&g->ids, id);
	g->finish = FINISH_STOP;
	if (has(&a->o->end, id) || add_text(a, id) || a->constraint.over == g->ids.n)
		return true;
	g->context_full = full;
	g->finish = a->cancelled ? FINISH_CANCELLED : FINISH_LENGTH;
	return a->cancelled || full || g->ids.n >= a->o->max_new_tokens;
}

void answer_end(struct answer *a)
{
	double now = clock_seconds();

	flush(a, a->raw.len);
	a->g->prompt_seconds = (a->g->ids.n ? a->first : now) - a->began;
	a->g->seconds = now - a->began - a->g->prompt_seconds;
	a->o->sampler->constraint = NULL;
	constraint_end(&a->constraint);
	buf_release(&a->raw);
}

/* Guesses after the newest token fed[0], into fed from 1 on; how many, −1. */
static int guess(struct session *s, const struct generate_options *o, size_t made, int32_t *fed, struct err *e)
{
	int room = session_limit(s) - session_length(s, 0) - 1;
	struct guesses x = { .ids = session_ids(s, 0),
		             .n = (size_t)session_length(s, 0),
		             .next = fed[0],
		             .sampler = o->sampler };

	x.room = MIN(MIN(room, session_logits(s) - 1), (int)MIN(o->max_new_tokens - made, DRAFT_MOST));
	if (drafter_guess(o->drafter, &(struct guesses *){ &x }, 1, e) < 0)
		return -1;
	memcpy(fed + 1, x.out, (size_t)x.n_out * sizeof(*fed));
	return x.n_out;
}

/* An answer's newest tokens, and what of them is still to be fed or looked at. */
struct growing {
	int32_t fed[1 + DRAFT_MOST], drawn[1 + DRAFT_MOST];
	int n;                         /* of fed */
	double began;
};

/* One pass after the newest token: logits of it and its guesses. */
static int go_on(struct session *s, const struct generate_options *o, const struct answer *a, struct growing *x,
                 const float **logits, struct err *e)
{
	struct session_part part = { .ids = x->fed };

	x->began = clock_seconds();
	int n = o->drafter ? guess(s, o, a->g->ids.n, x->fed, e) : 0;
	if (n < 0)
		return -1;
	part.n = part.wanted = x->n = 1 + n;
	int status = session_step(s, &part, 1, e);
	*logits = part.logits;
	return status;
}

/* Draws after what was fed; true: the answer is over. */
static bool take(struct session *s, const struct generate_options *o, struct answer *a, struct growing *x,
                 const float *logits)
{
	int length = session_length(s, 0), n = speculate_draw(o->sampler, logits, x->fed, x->n, x->drawn);
	int guesses = x->n - 1, before = length - guesses, taken = 0;
	bool over = false;

	for (; taken < n && !over; taken++)
		over = answer_add(a, x->drawn[taken], logits + (size_t)taken * o->sampler->V,
		                  before + taken == session_limit(s));
	if (guesses) {
		session_truncate(s, 0, before + taken - 1);
		drafter_took(o->drafter, 0, guesses, n - 1);
		a->g->guessed += (size_t)guesses;
		a->g->right += (size_t)(n - 1);
	}
	if (o->drafter && a->g->ids.n > 1)
		drafter_pass(o->drafter, clock_seconds() - x->began, (size_t)n, guesses);
	x->fed[0] = x->drawn[n - 1];
	return over;
}

int generate(struct session *s, const struct tokenizer *t, const int32_t *ids, size_t n,
             const struct generate_options *o, struct generation *g, struct err *e)
{
	struct answer a;
	struct growing x = { .n = 1 };
	const float *logits;

	struct live work = session_work(s), before = work;
	answer_begin(&a, t, o, g);
	sampler_see(o->sampler, ids, n);
	int status = session_feed(s, 0, ids, n, &logits, e);
	while (status == 0 && !take(s, o, &a, &x, logits))
		status = go_on(s, o, &a, &x, &logits, e);
	answer_end(&a);
	work = session_work(s);
	live_add(&work, &before, -1);
	session_operations(s, &work, &g->flops, &g->int_ops);
	if (o->drafter)
		drafter_end(o->drafter, 0, &g->flops, &g->int_ops);
	g->share = 1;
	return status;
}

double generation_rate(const struct generation *g)
{
	return g->ids.n > 1 && g->seconds > 0 ? (double)(g->ids.n - 1) / g->seconds : NAN;
}

void generation_release(struct generation *g)
{
	tokens_release(&g->ids);
	buf_release(&g->text);
	mem_free(g->logprob);
	g->logprob = NULL;
}
