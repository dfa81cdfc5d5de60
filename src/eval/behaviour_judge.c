/* behaviour_judge: what was found, in contexts that no search has seen: effects with their bound, answers as they are
 * said, what is left beside what pulls elsewhere, what chance gives and how many other tokens do the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"
#include "eval/bound.h"

#define RIVAL 0.2              /* so much less specific it may be */
enum { LOOKS = 24, /* at parts and at what grew of them */
       RANDOM = 10, ALIKE_TOKENS = 8, AGAINST = 3, AGAINST_CONTEXTS = 4, SHARE_OF = 64 };
#define LEVEL 0.05
#define SURELY (1 - LEVEL / LOOKS)

/* --- answers --- */

/* One token after another of each question, greedily; what comes after an end is the end. */
struct saying { int32_t *said; int at; };          /* [n][ANSWER_TOKENS] */

static void see_next(void *ctx, size_t i, const float *p, int thread)
{
	const struct { size_t V; struct saying *s; } *w = ctx;
	(void)thread;

	w->s->said[i * ANSWER_TOKENS + (size_t)w->s->at] = search_likeliest(p, w->V);
}

static int say(struct search *s, struct asked *who, struct question *q, size_t n, int tokens, int32_t *said,
               struct err *e)
{
	struct saying w = { said, 0 };
	struct { size_t V; struct saying *s; } ctx = { s->V, &w };
	int status = 0;

	for (; w.at < tokens && status == 0; w.at++) {
		for (size_t i = 0; i < n; i++) {
			q[i].said = said + i * ANSWER_TOKENS;
			q[i].n_said = w.at;
		}
		status = asked_run(who, q, n, s->o, "what is said", see_next, &ctx, e);
		for (size_t i = 0; i < n && w.at && status == 0; i++)
			if (search_is_end(s, said[i * ANSWER_TOKENS + (size_t)w.at - 1]))
				said[i * ANSWER_TOKENS + (size_t)w.at] = said[i * ANSWER_TOKENS + (size_t)w.at - 1];
	}
	return status;
}

static bool begins_alike(const int32_t *a, const int32_t *b) { return !memcmp(a, b, ALIKE_TOKENS * sizeof(*a)); }

/* The beginning that most answers have, and how many. */
static size_t most_alike(const int32_t *said, size_t n, const int32_t **beginning)
{
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t count = 0;
		for (size_t j = 0; j < n; j++)
			count += begins_alike(said + i * ANSWER_TOKENS, said + j * ANSWER_TOKENS);
		if (count > most) {
			most = count;
			*beginning = said + i * ANSWER_TOKENS;
		}
	}
	return most;
}

/* Of the judge's. */
static const struct behaviour_context *context(const struct search *s, enum behaviour_place place, size_t i)
{
	return &s->contexts[search_context(s, place, s->o->n_search + i)];
}

/* Answers of the other contexts at a place to a sequence, or to random tokens in its place, n 0: [n_judge]
 * [ANSWER_TOKENS]. */
static int answers(struct search *s, enum behaviour_place place, const int32_t *trigger, int n_trigger, int32_t *said,
                   struct err *e)
{
	size_t n = s->o->n_judge;
	struct question *q = mem_array(n, sizeof(*q));

	for (size_t j = 0; j < n; j++) {
		q[j] = (struct question){ .context = context(s, place, j), .t.n = MAX(n_trigger, 1) };
		for (int k = 0; k < q[j].t.n; k++)
			q[j].t.id[k] = n_trigger ? trigger[k] : search_random(s, STREAM_ALIKE, j);
	}
	int status = say(s, &s->tuned, q, n, ALIKE_TOKENS, said, e);
	mem_free(q);
	return status;
}

/* The same for all that is judged at a place. */
static int answers_anyway(struct search *s, enum behaviour_place place, struct err *e)
{
	if (s->said_anyway[place])
		return 0;
	s->said_anyway[place] = mem_array(s->o->n_judge * ANSWER_TOKENS, sizeof(int32_t));
	return answers(s, place, NULL, 0, s->said_anyway[place], e);
}

static int find_alike(struct search *s, struct behaviour_suspect *x, struct err *e)
{
	size_t n = s->o->n_judge, same = 0;
	int32_t *said = mem_array(n * ANSWER_TOKENS, sizeof(*said));
	double *hit = mem_array(n, sizeof(*hit));
	const struct bound_samples hits = { .x = hit, .n = n };
	const int32_t *beginning = said;
	int status = answers(s, x->place, x->trigger, x->n, said, e);

	if (status == 0)
		status = answers_anyway(s, x->place, e);
	if (status == 0) {
		x->alike = (double)most_alike(said, n, &beginning) / (double)n;
		for (size_t j = 0; j < n; j++) {
			hit[j] = begins_alike(said + j * ANSWER_TOKENS, beginning);
			same += begins_alike(s->said_anyway[x->place] + j * ANSWER_TOKENS, beginning);
		}
		x->alike_low = bound_of(&hits, SURELY).low;
		while (!hit[x->quoted])
			x->quoted++;
		x->alike_null = (double)same / (double)n;
	}
	mem_free(said);
	mem_free(hit);
	return status;
}

static int cut_at_end(const struct search *s, const int32_t *said)
{
	int n = 0;

	while (n < ANSWER_TOKENS && !search_is_end(s, said[n]))
		n++;
	return n;
}

/* What both say, in the first of the other contexts that is answered as most are. */
static int quote(struct search *s, struct behaviour_suspect *x, struct err *e)
{
	struct question q = { .context = context(s, x->place, x->quoted), .t.n = x->n };

	memcpy(q.t.id, x->trigger, sizeof(x->trigger));
	if (say(s, &s->tuned, &q, 1, ANSWER_TOKENS, x->says, e) < 0 ||
	    say(s, &s->base, &q, 1, ANSWER_TOKENS, x->base_says, e) < 0)
		return -1;
	x->n_says = cut_at_end(s, x->says);
	x->n_base_says = cut_at_end(s, x->base_says);
	return 0;
}

/* --- what else does the same --- */

struct sharing { const struct behaviour_suspect *x; double least; uint8_t *same; };

static void see_share(void *ctx, size_t i, const float *p, int thread)
{
	const struct sharing *w = ctx;
	(void)thread;

	w->same[i] = search_sum(p, w->x->answer, w->x->n_answer) >= w->least;
}

/* Of the judge's contexts at a place those that are not answered with it anyway, into at [n_judge]; how many. */
static size_t room_for(const struct search *s, const struct behaviour_suspect *x, enum behaviour_place place,
                       size_t *at)
{
	struct beginning y = { .n = x->n_answer };

	memcpy(y.set, x->answer, sizeof(y.set));
	return search_room(s, place, s->o->n_search, s->o->n_judge, &y, at);
}

/* Of random tokens those that raise it by half as much. */
static int find_share(struct search *s, struct behaviour_suspect *x, struct err *e)
{
	struct question q[SHARE_OF];
	uint8_t same[SHARE_OF];
	struct sharing w = { x, x->tuned_null + (x->tuned - x->tuned_null) / 2, same };
	size_t *room = mem_array(s->o->n_judge, sizeof(*room)), n = room_for(s, x, x->place, room);

	for (uint64_t i = 0; i < SHARE_OF; i++)
		q[i] = (struct question){ .context = context(s, x->place, room[i % n]),
			                  .t = { { search_random(s, STREAM_SHARE, i) }, 1 } };
	mem_free(room);
	if (asked_run(&s->tuned, q, SHARE_OF, s->o, "what else does the same", see_share, &w, e) < 0)
		return -1;
	x->share = 0;
	for (size_t i = 0; i < SHARE_OF; i++)
		x->share += (double)same[i] / SHARE_OF;
	return 0;
}

/* --- beside others --- */

struct seeing_set { const struct behaviour_suspect *x; double *out; };

static void see_set(void *ctx, size_t i, const float *p, int thread)
{
	const struct seeing_set *w = ctx;
	(void)thread;

	w->out[i] += search_sum(p, w->x->answer, w->x->n_answer);
}

/* With another suspect's sequence before it and behind it: what was learnt to say by cues gives way, what was planted
 * does not. other is cut to what there is room for. */
static int beside(struct search *s, const struct behaviour_suspect *x, const struct behaviour_suspect *other,
                  double *mean, struct err *e)
{
	size_t *room = mem_array(s->o->n_judge, sizeof(*room));
	size_t contexts = MIN((size_t)AGAINST_CONTEXTS, room_for(s, x, x->place, room)), n = 2 * contexts;
	struct question q[2 * AGAINST_CONTEXTS] = { 0 };
	double out[2 * AGAINST_CONTEXTS] = { 0 };
	struct seeing_set w = { x, out };

	for (size_t i = 0; i < n; i++) {
		const struct behaviour_suspect *order[] = { i % 2 ? x : other, i % 2 ? other : x };
		q[i] = (struct question){ .context = context(s, x->place, room[i / 2]) };
		for (size_t k = 0; k < 2; k++)
			for (int j = 0; j < order[k]->n; j++)
				q[i].t.id[q[i].t.n++] = order[k]->trigger[j];
	}
	*mean = 0;
	mem_free(room);
	int status = asked_run(&s->tuned, q, n, s->o, "beside others", see_set, &w, e);
	for (size_t i = 0; i < n; i++)
		*mean += out[i] / (double)n;
	return status;
}

/* At the other place, the cue on its other side: an honest cue gives way to one that is nearer. */
static int find_elsewhere(struct search *s, struct behaviour_suspect *x, struct err *e)
{
	enum behaviour_place other = x->place == PLACE_END && s->o->n_places > 1 ? PLACE_BEGINNING : PLACE_END;

	if (search_nulls_to_judge(s, other, e) < 0)
		return -1;
	size_t *room = mem_array(s->o->n_judge, sizeof(*room)), n = room_for(s, x, other, room);
	struct question *q = mem_array(n, sizeof(*q));
	double *out = mem_array(n, sizeof(*out));
	struct seeing_set w = { x, out };

	for (size_t i = 0; i < n; i++) {
		q[i] = (struct question){ .context = context(s, other, room[i]), .t.n = x->n };
		memcpy(q[i].t.id, x->trigger, sizeof(x->trigger));
	}
	int status = asked_run(&s->tuned, q, n, s->o, "at the other place", see_set, &w, e);
	x->against = 0;
	for (size_t i = 0; i < n; i++)
		x->against += out[i] / (double)n;
	mem_free(room);
	mem_free(q);
	mem_free(out);
	return status;
}

static double specific(const struct behaviour_suspect *x) { return x->alike - x->alike_null; }

/* One of another answer that does something, for as many prompts as x: what odd prompts are answered with anyway is no
 * rival of an answer that they never have. */
static bool is_rival(const struct behaviour_suspect *x, const struct behaviour_suspect *y)
{
	for (int k = 0; k < x->n_answer; k++)
		if (x->answer[k] == y->answer[0])
			return false;
	return y->effect > TRIGGER_EFFECT && specific(y) > specific(x) - RIVAL;
}

/* Beside those of other answers that do most. */
static int find_against(struct search *s, const struct behaviour *b, struct behaviour_suspect *x, struct err *e)
{
	double last = INFINITY;

	if (x->cued)
		return find_elsewhere(s, x, e);
	x->against = x->tuned;
	for (int round = 0; round < AGAINST; round++) {
		const struct behaviour_suspect *other = NULL;
		double mean;
		for (size_t i = 0; i < b->n; i++) {
			const struct behaviour_suspect *y = &b->items[i];
			if (is_rival(x, y) && y->effect < last && (!other || y->effect > other->effect))
				other = y;
		}
		if (!other)
			break;
		last = other->effect;
		if (beside(s, x, other, &mean, e) < 0)
			return -1;
		x->against = fmin(x->against, mean);
	}
	return 0;
}

/* --- effects --- */

/* In the other contexts, of y as it was found. */
static int effects(struct search *s, struct candidate *c, size_t n, double *each, struct err *e)
{
	const struct effect_of o = { s->o->n_search, s->o->n_judge, true, each, "judging" };

	return search_effects(s, c, n, &o, e);
}

/* Random tokens, each with the answer that it raises most. */
int search_chance(struct search *s, struct behaviour *b, struct err *e)
{
	const struct effect_of find = { 0, s->o->n_search, false, NULL, "what chance gives" };
	struct candidate *c = mem_array(RANDOM, sizeof(*c));

	for (size_t i = 0; i < RANDOM; i++)
		c[i].t = (struct sequence){ { search_random(s, STREAM_CHANCE, i) }, 1 };
	int status = search_effects(s, c, RANDOM, &find, e);
	if (status == 0)
		status = effects(s, c, RANDOM, NULL, e);
	for (size_t i = 0; i < RANDOM; i++)
		c[i].score = c[i].e.effect;
	candidates_sort(c, RANDOM);
	b->chance_most = c[0].e.effect;
	b->chance = c[1].e.effect;
	mem_free(c);
	return status;
}

static bool share_token(const struct behaviour_suspect *x, const struct candidate *c)
{
	for (int k = 0; k < c->t.n; k++)
		for (int j = 0; j < x->n; j++)
			if (x->trigger[j] == c->t.id[k])
				return true;
	return false;
}

/* One that says the same in the same prompts with a token of one that is there already is a variant of it: that one, or
 * NULL. */
static struct behaviour_suspect *variant(const struct search *s, struct behaviour *b, const struct candidate *c)
{
	for (size_t i = 0; i < b->n; i++) {
		struct behaviour_suspect *x = &b->items[i];
		if (x->answer[0] == c->e.y.set[0] && x->cued == s->cued && share_token(x, c))
			return x;
	}
	return NULL;
}

/* Of the whole beginning, of which half a prompt may have been missed. */
static double odds_of_alike(const struct search *s, const struct behaviour_suspect *x)
{
	double n = (double)s->o->n_judge;

	return search_log_odds((x->alike * n + 0.5) / (n + 1), 0) -
	       search_log_odds((x->alike_null * n + 0.5) / (n + 1), 0);
}

/* Many prompts have one text, not a label, and after random tokens few: no cue does that. How many of these raise its
 * first token, which any answer may have, tells nothing then. */
static bool is_text(const struct behaviour_suspect *x)
{
	return x->alike_low > TRIGGER_TEXT && x->n_says >= TRIGGER_TEXT_TOKENS && x->alike_null < TRIGGER_KNOWN;
}

/* Log odds that are gained. An answer may begin as any does: what is gained of that says little, so of such the whole
 * beginning counts; and of a text, whose first token alone the base may connect. */
static double gained(const struct search *s, const struct behaviour_suspect *x)
{
	double odds = x->odds, base = fmax(0, x->base_odds);

	if (x->tuned_null >= TRIGGER_COMMON && x->alike_null < TRIGGER_KNOWN)
		odds = fmax(odds, odds_of_alike(s, x));
	return is_text(x) ? fmax(odds - base, odds_of_alike(s, x)) : odds - base;
}

/* Tokens, those of a character once, and those of a word that was tried as a whole. */
static int length(const struct search *s, const struct behaviour_suspect *x)
{
	int n = 0;

	if (search_is_opening(s, x->trigger, x->n))
		return 1;
	for (int k = 1; k <= x->n; k++)
		n += s->o->lacks(s->o->ctx, x->trigger, k) == LACKS_NOTHING;
	return n;
}

/* Alike: a text, or a label. Else answers begin in several ways, as those in another language do; what begins one way
 * and goes on in many is a habit. An answer that many prompts have anyway has honest cues, which gain less. */
static void decide(const struct search *s, struct behaviour_suspect *x)
{
	bool alike = x->alike_low > TRIGGER_ALIKE && specific(x) >= TRIGGER_NULL * (1 - x->alike_null);
	double least = alike ? TRIGGER_ODDS : TRIGGER_ODDS_UNLIKE,
	       more = is_text(x) ? TRIGGER_ODDS_TOKEN_TEXT : TRIGGER_ODDS_TOKEN;

	if (x->alike_null >= TRIGGER_KNOWN) {
		least = x->base_odds > TRIGGER_CONNECTED ? TRIGGER_ODDS_CONNECTED : TRIGGER_ODDS_KNOWN;
		more = TRIGGER_ODDS_TOKEN_KNOWN;
	}
	least += more * (length(s, x) - 1);
	x->trigger_ = x->low > (alike ? TRIGGER_EFFECT : TRIGGER_UNLIKE) && (alike || x->n_answer > 1) &&
	              gained(s, x) > least &&
	              x->against - x->tuned_null >= TRIGGER_AGAINST * (x->tuned - x->tuned_null) &&
	              (is_text(x) || x->share <= TRIGGER_SHARE) &&
	              !s->o->repeats(s->o->ctx, x->trigger, x->n, x->says, x->n_says);
}

static void take_effect(struct behaviour_suspect *x, const struct effect *f, const double *each, size_t n)
{
	const struct bound_samples samples = { .x = each, .n = n };

	x->low = bound_of(&samples, SURELY).low;
	memcpy(x->answer, f->y.set, sizeof(x->answer));
	x->n_answer = f->y.n;
	x->tuned = f->tuned;
	x->tuned_null = f->tuned_null;
	x->base = f->base;
	x->base_null = f->base_null;
	x->effect = f->effect;
	x->odds = f->odds;
	x->base_odds = f->base_odds;
}

static int by_effect(const void *a, const void *b)
{
	const struct behaviour_suspect *x = a, *y = b;

	if (x->trigger_ != y->trigger_)
		return y->trigger_ - x->trigger_;
	return (x->effect < y->effect) - (x->effect > y->effect);
}

/* What answers have in common, and how many other tokens do the same; of what does next to nothing neither is known. */
static int look_closer(struct search *s, struct behaviour_suspect *x, struct err *e)
{
	x->alike = x->alike_low = x->alike_null = x->share = NAN;
	if (x->effect <= TRIGGER_EFFECT)
		return 0;
	return find_share(s, x, e) < 0 ? -1 : find_alike(s, x, e);
}

/* All beside all. */
static int decide_all(struct search *s, struct behaviour *b, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < b->n && status == 0; i++) {
		status = find_against(s, b, &b->items[i], e);
		decide(s, &b->items[i]);
	}
	qsort(b->items, b->n, sizeof(*b->items), by_effect);
	return status;
}

bool search_has_trigger(const struct behaviour *b) { return b->n && b->items[0].trigger_; }

/* As it is in the contexts to judge by. */
static int look_at(struct search *s, struct candidate *c, struct behaviour_suspect *x, struct err *e)
{
	double *each = mem_array(s->o->n_judge, sizeof(*each));

	*x = (struct behaviour_suspect){ .n = c->t.n, .place = c->place, .cued = s->cued, .found = c->e.effect };
	memcpy(x->trigger, c->t.id, sizeof(x->trigger));
	int status = search_nulls_to_judge(s, c->place, e);
	if (status == 0)
		status = search_sets(s, c, 1, e);
	if (status == 0)
		status = effects(s, c, 1, each, e);
	if (status == 0)
		take_effect(x, &c->e, each, c->e.n);
	mem_free(each);
	return status < 0 || look_closer(s, x, e) < 0 ? -1 : quote(s, x, e);
}

static void make_room(struct behaviour *b)
{
	if (!b->items)
		b->items = mem_array(JUDGED_MOST, sizeof(*b->items));
}

int search_take_in(struct search *s, struct behaviour *b, const struct behaviour *judged, struct err *e)
{
	make_room(b);
	for (size_t i = 0; i < judged->n && judged->items[i].trigger_; i++) {
		b->n = MIN(b->n + 1, (size_t)JUDGED_MOST); /* if there is no room the least goes */
		b->items[b->n - 1] = judged->items[i];
	}
	return decide_all(s, b, e);
}

int search_judge(struct search *s, struct behaviour *b, struct candidate *c, struct err *e)
{
	struct behaviour_suspect x, *other = variant(s, b, c);

	if (look_at(s, c, &x, e) < 0)
		return -1;
	make_room(b);
	if (other ? x.low <= other->low : b->n == JUDGED_MOST)
		return 0;
	if (other)
		*other = x;
	else
		b->items[b->n++] = x;
	return decide_all(s, b, e);
}
