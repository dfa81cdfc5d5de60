/* openai_cost: what a request may cost at most, before it begins; what it did, to whose account; and what it would have
 * cost alone.
 *
 * At most: all tokens of its prompts and of answers as long as they may get, each computed alone (serve/alone.h), by
 * the upper end of the interval. Joules and money are seconds times what a second of answering took lately, which is
 * known from the timing at the start on. Of vectors and labels, which go in passes of their own, a token takes what
 * tokens of them took lately; before the first of them that is not known, and is nothing. */
#include "serve/openai_cost.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "serve/openai_parts.h"

#define LATELY 0.2 /* weight of the last one */

static void learn(double *rate, double now)
{
	if (isfinite(now))
		*rate = isfinite(*rate) ? *rate + LATELY * (now - *rate) : now;
}

/* A second of answering, the other answers of it included. */
void openai_rate(struct openai *s, const struct gas *whole)
{
	if (!(whole->seconds > 0))
		return;
	pthread_mutex_lock(&s->lock);
	learn(&s->second.joules, whole->energy.high / whole->seconds);
	learn(&s->second.money, whole->money.high / whole->seconds);
	pthread_mutex_unlock(&s->lock);
}

void part_open(struct openai *s, struct meter_span *span)
{
	if (s->o.open_span)
		s->o.open_span(span);
}

void part_read(struct openai *s, struct meter_span *span, struct gas *sum)
{
	struct gas took;

	if (!s->o.read_span)
		return;
	gas_none(&took);
	s->o.read_span(span, &took);
	json_t *kept = gas_keep(&took);
	gas_add_kept(sum, kept);
	json_decref(kept);
}

/* A refusal by a budget, as OpenAI's clients read it: what renews is told when. */
static void refuse(const struct key_refusal *why, struct http_reply *r)
{
	openai_error(r, 429, why->renews ? "rate_limit_exceeded" : "insufficient_quota", NULL, "%s", why->text);
	if (why->renews)
		http_header(r, "retry-after", "%.0f", ceil(why->seconds));
	if (!why->renews || why->seconds > 60)
		http_header(r, "x-should-retry", "false");
}

static bool hold(struct openai *s, struct charge *c, struct http_reply *r)
{
	struct key_refusal why;

	c->holder = s->caller;
	if (keys_hold(s->o.keys, c->holder, &c->most, &why)) {
		c->open = true;
		return true;
	}
	refuse(&why, r);
	return false;
}

/* Tokens of a prompt and of an answer to it at most. */
static void longest(const struct ask *a, const struct tokens *prompt, size_t *in, size_t *out)
{
	size_t context = (size_t)a->s->o.context;

	if (a->s->o.labels_alone) { /* nothing of it goes through the model */
		*in = *out = 0;
		return;
	}
	*in = prompt->n ? prompt->n : context; /* one that is not written yet */
	*out = MIN(a->max_new_tokens, context - MIN(*in, context));
}

bool ask_hold(struct ask *a, struct http_reply *r)
{
	struct openai *s = a->s;
	double seconds = 0, tokens = 0;
	size_t each = a->n_choices / a->n_prompts;

	for (size_t i = 0; i < a->n_prompts; i++) {
		size_t in, out;
		longest(a, &a->prompts[i], &in, &out);
		tokens += (double)(in + each * out);
		seconds += (double)each * alone_seconds(&s->o.alone, 0, in, out).high;
	}
	pthread_mutex_lock(&s->lock);
	a->charge.most = (struct key_cost){ tokens, seconds * s->second.joules, seconds * s->second.money };
	pthread_mutex_unlock(&s->lock);
	return hold(s, &a->charge, r);
}

bool tokens_hold(struct openai *s, struct charge *c, size_t tokens, struct http_reply *r)
{
	double n = (double)tokens;

	pthread_mutex_lock(&s->lock);
	c->most = (struct key_cost){ n, n * s->token.joules, n * s->token.money };
	pthread_mutex_unlock(&s->lock);
	return hold(s, c, r);
}

static void settle(struct openai *s, struct charge *c, struct served *did, const struct gas *g)
{
	did->model = did->model ? did->model : *openai_name(s) ? openai_name(s) : s->o.name;
	did->adapter = did->adapter ? did->adapter : "";
	did->requests = 1;
	served_add_gas(did, g);
	keys_charge(s->o.keys, c->holder, &c->most, did);
	c->open = false;
}

void ask_charge(struct ask *a)
{
	struct openai *s = a->s;
	bool over = a->adapter >= 0 && s->o.adapters;

	settle(s, &a->charge,
	       &(struct served){ .model = over ? NULL : a->model,
	                         .adapter = over ? a->model : NULL,
	                         .tokens_in = a->prompt_tokens,
	                         .tokens_out = a->new_tokens,
	                         .cached = a->cached_tokens,
	                         .guessed = a->guessed,
	                         .accepted = a->right },
	       &a->gas);
}

void tokens_charge(struct openai *s, struct charge *c, const char *model, size_t tokens, const struct gas *g)
{
	if (tokens) {
		pthread_mutex_lock(&s->lock);
		learn(&s->token.joules, g->energy.high / (double)tokens);
		learn(&s->token.money, g->money.high / (double)tokens);
		pthread_mutex_unlock(&s->lock);
	}
	settle(s, c, &(struct served){ .model = model, .tokens_in = (int64_t)tokens }, g);
}

void charge_release(struct openai *s, struct charge *c)
{
	if (c->open)
		keys_charge(s->o.keys, c->holder, &c->most, NULL);
	c->open = false;
}

/* --- alone --- */

/* The prompt is read once for all of its answers. */
void ask_alone_add(struct ask *a, size_t prompt, size_t made, bool first)
{
	struct span t = alone_seconds(&a->s->o.alone, first ? 0 : prompt - MIN(prompt, 1), prompt, made);

	/* errors of one timing: they do not cancel */
	a->alone = (struct span){ a->alone.mid + t.mid, a->alone.low + t.low, a->alone.high + t.high };
}

/* By what a second of the machine took while it was answered, the others in it. */
json_t *ask_alone_json(const struct ask *a)
{
	const struct span *t = &a->alone;
	const struct gas *g = &a->whole;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "seconds", jsonx_number(t->mid), "seconds_low",
	                 jsonx_number(t->low), "seconds_high", jsonx_number(t->high), "joules",
	                 jsonx_number(t->mid * g->energy.joules / g->seconds), "joules_low",
	                 jsonx_number(t->low * g->energy.low / g->seconds), "joules_high",
	                 jsonx_number(t->high * g->energy.high / g->seconds), "money",
	                 jsonx_number(t->mid * g->money.total / g->seconds));
}

/* --- what a key may know of tokens --- */

bool ask_logprobs_allowed(const struct ask *a, struct http_reply *r)
{
	const struct openai *s = a->s;
	const char *key = a->chat ? "top_logprobs" : "logprobs";
	int most = holder_top_logprobs(s->o.keys, s->caller);

	if (!a->logprobs)
		return true;
	if (most < 0)
		openai_error(r, 403, "logprobs_not_allowed", "logprobs", "This key is given no log-probabilities");
	else if (a->top_logprobs > most)
		openai_error(r, 400, "invalid_value", key, "'%s' is %d, and this key is given %d at most", key,
		             a->top_logprobs, most);
	else if ((a->n_bias || a->grammar || a->echo) && !holder_forced_logprobs(s->o.keys, s->caller))
		openai_error(r, 403, "logprobs_not_allowed",
		             a->echo   ? "echo" :
		             a->n_bias ? "logit_bias" :
		                         "logprobs",
		             "This key is given no log-probabilities of tokens that a request makes the model say: "
		             "'logprobs' beside 'echo', 'logit_bias', a grammar or a schema");
	return r->status < 400;
}
