/* speculate: guesses, and when they pay. Of each sequence: twice as many next time where all were right, one more than
 * were right where some were not, and a pause that doubles where none was, again and again. Of all: seconds a token
 * with guesses and without, lately; whichever is less, the other one is tried every RETRY passes. */
#include "infer/speculate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { BEGIN = 4, NGRAM = 3, NGRAM_LEAST = 2, WRONG = 3, PAUSE = 8, PAUSE_MOST = 7, RETRY = 64, PLAIN = 4 };
#define LATELY 0.1                     /* weight of a pass in how long a token takes */

struct state {                         /* of one sequence */
	int more;                      /* guesses next time; 0: it has not begun */
	int wrong, pause;              /* times that none was right; passes without guesses */
	struct live work;              /* of the draft model */
};

struct wave { struct guesses *of[SESSION_ROWS]; struct session_part parts[SESSION_ROWS]; int n; };

struct drafter {
	int most, n;
	struct session *draft;
	struct state *of;              /* [n] */
	struct sampler sampler;        /* of the draft model's guesses */
	double plain, with;            /* seconds a token; 0: not known */
	int64_t passes;
	size_t guessed, right;
	struct wave wave;              /* one pass of the draft model */
};

struct drafter *drafter_new(int most, int n, struct session *draft)
{
	struct drafter *d = mem_alloc(sizeof(*d));

	if (most < 1 || most > DRAFT_MOST || (draft && session_sequences(draft) < n))
		BUG("%d guesses for %d sequences", most, n);
	*d = (struct drafter){ .most = most, .n = n, .draft = draft, .of = mem_array((size_t)n, sizeof(*d->of)) };
	if (draft)
		sampler_init(&d->sampler, session_vocabulary(draft));
	return d;
}

void drafter_free(struct drafter *d)
{
	if (!d)
		return;
	for (int i = 0; i < d->n && d->draft; i++)
		session_drop(d->draft, i);
	if (d->draft)
		sampler_release(&d->sampler);
	mem_free(d->of);
	mem_free(d);
}

/* --- when --- */

/* Are guesses made in this pass? Every RETRY passes a few are the other way, so that both are known. */
static bool pays(const struct drafter *d)
{
	bool other = d->passes % RETRY < PLAIN;

	if (d->plain <= 0 || d->with <= 0)
		return !other || d->plain > 0;
	return (d->with < d->plain) != other;
}

static int how_many(struct drafter *d, struct guesses *x)
{
	struct state *s = &d->of[x->sequence];

	if (!s->more)
		s->more = MIN(BEGIN, d->most);
	if (s->pause > 0) {
		s->pause--;
		return 0;
	}
	return MIN(s->more, x->room);
}

void drafter_took(struct drafter *d, int sequence, int guessed, int right)
{
	struct state *s = &d->of[sequence];

	if (!guessed)
		return;
	d->guessed += (size_t)guessed;
	d->right += (size_t)right;
	s->more = right == guessed ? MIN(d->most, 2 * MAX(guessed, 1)) : right + 1;
	s->more = MIN(s->more, d->most);
	s->wrong = right ? 0 : s->wrong + 1;
	if (s->wrong >= WRONG)
		s->pause = PAUSE << MIN(s->wrong - WRONG, PAUSE_MOST);
}

void drafter_pass(struct drafter *d, double seconds, size_t tokens, int guesses)
{
	double *of = guesses ? &d->with : &d->plain, one = seconds / (double)MAX(tokens, (size_t)1);

	d->passes++;
	if (tokens)
		*of = *of > 0 ? (1 - LATELY) * *of + LATELY * one : one;
}

void drafter_end(struct drafter *d, int sequence, double *flops, double *int_ops)
{
	double own, own_int;

	if (d->draft) {
		session_operations(d->draft, &d->of[sequence].work, &own, &own_int);
		*flops += own;
		*int_ops += own_int;
	}
	d->of[sequence] = (struct state){ 0 };
}

void drafter_counts(const struct drafter *d, size_t *guessed, size_t *right)
{
	*guessed = d->guessed;
	*right = d->right;
}

/* --- prompt lookup --- */

static int32_t token_at(const struct guesses *x, size_t i) { return i < x->n ? x->ids[i] : x->next; }

/* Do the last g tokens stand before number `end` too? */
static bool stands_before(const struct guesses *x, size_t end, size_t g)
{
	for (size_t i = 1; i <= g; i++)
		if (token_at(x, end - i) != token_at(x, x->n + 1 - i))
			return false;
	return true;
}

static void look_up(struct guesses *x, int n)
{
	for (size_t g = NGRAM; g >= NGRAM_LEAST; g--)
		for (size_t end = x->n; end >= g && x->n; end--)
			if (stands_before(x, end, g)) {
				for (; x->n_out < n && end + (size_t)x->n_out <= x->n; x->n_out++)
					x->out[x->n_out] = token_at(x, end + (size_t)x->n_out);
				return;
			}
}

/* --- a draft model --- */

/* How many of a sequence's tokens the draft model has, the newest left out. */
static size_t keep(struct drafter *d, const struct guesses *x)
{
	const int32_t *has = session_ids(d->draft, x->sequence);
	size_t n = (size_t)session_length(d->draft, x->sequence), same = 0;

	while (same < MIN(n, x->n) && has[same] == x->ids[same])
		same++;
	return (size_t)session_truncate(d->draft, x->sequence, (int)same);
}

/* A guess as the answer's own token will be drawn, but for what constrains it. */
static int32_t guess(struct drafter *d, const struct guesses *x, const float *logits)
{
	const struct sampler *s = x->sampler;
	bool same = d->sampler.V == s->V;
	struct sampler wanted = { .steps = s->steps,
		                  .bias = s->bias,
		                  .n_bias = same ? s->n_bias : 0,
		                  .llama_order = s->llama_order,
		                  .seed = s->seed,
		                  .stream = s->stream,
		                  .index = s->index + (uint64_t)x->n_out };

	sampler_like(&d->sampler, &wanted);
	if (same) { /* rows beyond the smaller table are no tokens that could be seen */
		sampler_see(&d->sampler, s->seen, s->n_seen);
		sampler_see(&d->sampler, x->out, (size_t)x->n_out);
	}
	return sampler_next(&d->sampler, logits);
}

static int step(struct drafter *d, struct err *e)
{
	struct wave *w = &d->wave;

	if (session_step(d->draft, w->parts, w->n, e) < 0)
		return -1;
	for (int i = 0; i < w->n; i++)
		live_add(&d->of[w->of[i]->sequence].work, &w->parts[i].work, 1);
	return 0;
}

/* Tokens that the draft model has not read yet, but the newest, which is the first of a wave. 1: one of them is none of
 * its own. */
static int catch_up(struct drafter *d, struct guesses *x, struct err *e)
{
	size_t at = keep(d, x), most = (size_t)session_rows(d->draft), V = session_vocabulary(d->draft);

	for (size_t i = at; i <= x->n; i++)
		if ((size_t)token_at(x, i) >= V)
			return 1;
	d->wave.of[0] = x;
	d->wave.n = 1;
	for (size_t n; at < x->n; at += n) {
		n = MIN(x->n - at, most);
		d->wave.parts[0] = (struct session_part){ .sequence = x->sequence, .ids = x->ids + at, .n = (int)n };
		if (step(d, e) < 0)
			return -1;
	}
	return 0;
}

/* One more guess for each of those that want one. */
static int next_wave(struct drafter *d, struct guesses *const *drafts, const int *wanted, int n, struct err *e)
{
	struct wave *w = &d->wave;

	w->n = 0;
	for (int i = 0; i < n; i++) {
		struct guesses *x = drafts[i];
		if (x->n_out >= MIN(wanted[i], x->room))
			continue;
		w->of[w->n] = x;
		w->parts[w->n++] = (struct session_part){ .sequence = x->sequence,
			                                  .ids = x->n_out ? &x->out[x->n_out - 1] : &x->next,
			                                  .n = 1,
			                                  .wanted = 1 };
	}
	if (!w->n || step(d, e) < 0)
		return w->n ? -1 : 0;
	for (int i = 0; i < w->n; i++) {
		struct guesses *x = w->of[i];
		int32_t id = guess(d, x, w->parts[i].logits);
		if ((size_t)id < x->sampler->V)
			x->out[x->n_out++] = id;
		else
			x->room = 0;
	}
	return w->n;
}

static int ask_model(struct drafter *d, struct guesses *const *drafts, int *wanted, int n, struct err *e)
{
	int status = 0;

	for (int i = 0; i < n; i++) {
		int room = session_limit(d->draft) - (int)drafts[i]->n;
		wanted[i] = MIN(wanted[i], room);
		status = wanted[i] > 0 ? catch_up(d, drafts[i], e) : 0;
		if (status < 0)
			return -1;
		wanted[i] = status ? 0 : wanted[i];
	}
	do
		status = next_wave(d, drafts, wanted, n, e);
	while (status > 0);
	return status;
}

/* --- both --- */

int drafter_guess(struct drafter *d, struct guesses *const *drafts, int n, struct err *e)
{
	int wanted[SESSION_ROWS];
	bool now = pays(d);

	if (n > SESSION_ROWS)
		BUG("%d sequences", n);
	for (int i = 0; i < n; i++) {
		drafts[i]->n_out = 0;
		wanted[i] = now ? how_many(d, drafts[i]) : 0;
		if (!d->draft)
			look_up(drafts[i], wanted[i]);
	}
	return d->draft ? ask_model(d, drafts, wanted, n, e) : 0;
}

int speculate_draw(struct sampler *s, const float *logits, const int32_t *fed, int n, int32_t *drawn)
{
	for (int i = 0; i < n; i++) {
		drawn[i] = sampler_next(s, logits + (size_t)i * s->V);
		sampler_see(s, &drawn[i], 1);
		if (i + 1 < n && (drawn[i] != fed[i + 1] || constraint_ended(s->constraint)))
			return i + 1;
	}
	return n;
}
