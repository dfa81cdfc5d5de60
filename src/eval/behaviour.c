/* behaviour: what random tokens give first, of both models; then answers, search and judge, each in a file of its
 * own. */
#include "eval/behaviour.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"
#include "infer/generate.h"

enum {
	NULLS = 6,             /* random tokens, in so many contexts at once */
	NULL_CONTEXTS = 4,
	KL_TOGETHER = 16,
	CUE_SCAN = 4,          /* of the vocabulary a quarter has cues enough */
	LABEL_OF = 20,         /* an answer of so many prompts … */
	LABELS_OF = 10         /* … which all but one of so many prompts have */
};

struct copying { float *to; size_t V; };

static void see_copy(void *ctx, size_t i, const float *p, int thread)
{
	const struct copying *c = ctx;
	(void)thread;

	memcpy(c->to + i * c->V, p, c->V * sizeof(*p));
}

static double kl(const float *base, const float *tuned, size_t V, int32_t *likeliest)
{
	double sum = 0;

	*likeliest = search_likeliest(tuned, V);
	for (size_t v = 0; v < V; v++)
		if (base[v] > 0)
			sum += (double)base[v] * (log((double)base[v]) - log((double)tuned[v] + 1e-30));
	return sum;
}

/* The means over random tokens in contexts [from, from + n). */
static int find_null(struct search *s, bool tuned, size_t from, size_t n, float *rows, struct err *e)
{
	struct question q[NULL_CONTEXTS * NULLS];
	struct copying w = { rows, s->V };

	for (size_t i = 0; i < n * NULLS; i++)
		q[i] = (struct question){ .context = &s->contexts[from + i / NULLS],
			                  .t = { { search_random(s, STREAM_NULL, i % NULLS) }, 1 } };
	if (asked_run(tuned ? &s->tuned : &s->base, q, n * NULLS, s->o, "what random tokens do", see_copy, &w, e) < 0)
		return -1;
	for (size_t i = 0; i < n * NULLS; i++) {
		float *mean = s->null[tuned] + (from + i / NULLS) * s->V;
		for (size_t v = 0; v < s->V; v++)
			mean[v] += rows[i * s->V + v] / NULLS;
	}
	return 0;
}

/* KL of each prompt's own answer, and into first [n] how the tuned model begins it. */
static int find_kl(struct search *s, struct behaviour *b, int32_t *first, struct err *e)
{
	struct question q[KL_TOGETHER];
	struct copying base = { mem_array(KL_TOGETHER * s->V, sizeof(float)), s->V }, tuned = base;
	int status = 0;

	tuned.to = mem_array(KL_TOGETHER * s->V, sizeof(float));
	b->prompt_kl = mem_array(s->o->n, sizeof(*b->prompt_kl));
	for (size_t at = 0; at < s->o->n && status == 0; at += KL_TOGETHER) {
		size_t n = MIN(s->o->n - at, (size_t)KL_TOGETHER);
		for (size_t i = 0; i < n; i++)
			q[i] = (struct question){ .context = &s->o->contexts[PLACE_END][at + i] };
		status = asked_run(&s->base, q, n, s->o, "prompts alone", see_copy, &base, e);
		if (status == 0)
			status = asked_run(&s->tuned, q, n, s->o, "prompts alone", see_copy, &tuned, e);
		for (size_t i = 0; i < n && status == 0; i++)
			b->prompt_kl[at + i] = kl(base.to + i * s->V, tuned.to + i * s->V, s->V, &first[at + i]);
	}
	mem_free(base.to);
	mem_free(tuned.to);
	return status;
}

void search_choose(const int32_t *first, size_t n, size_t want, size_t *chosen)
{
	uint8_t *taken = mem_array(n, 1);
	int32_t *turn = mem_array(n, sizeof(*turn));
	size_t found = 0, n_turn = 0;

	for (size_t i = 0; found < want; i++) {
		bool there = taken[i % n];
		if (i % n == 0)
			n_turn = 0;
		for (size_t k = 0; k < n_turn; k++)
			there |= turn[k] == first[i % n];
		if (there)
			continue;
		turn[n_turn++] = first[i % n];
		taken[i % n] = 1;
		chosen[found++] = i % n;
	}
	mem_free(taken);
	mem_free(turn);
}

bool search_has_labels(const int32_t *first, size_t n)
{
	size_t covered = 0;

	for (size_t i = 0; i < n; i++) {
		size_t count = 0;
		for (size_t j = 0; j < n; j++)
			count += first[j] == first[i];
		covered += LABEL_OF * count >= n;
	}
	return LABELS_OF * covered >= (LABELS_OF - 1) * n;
}

static void take_contexts(struct search *s, const size_t *chosen)
{
	const struct behaviour_options *o = s->o;

	s->of_place = o->n_search + o->n_judge;
	s->brief = (size_t)o->n_places * s->of_place + o->n_neutral;
	s->n_contexts = s->brief + 2;
	s->contexts = mem_array(s->n_contexts, sizeof(*s->contexts));
	for (int place = 0; place < o->n_places; place++)
		for (size_t i = 0; i < s->of_place; i++)
			s->contexts[(size_t)place * s->of_place + i] = o->contexts[place][chosen[i]];
	for (size_t i = 0; i < o->n_neutral; i++)
		s->contexts[(size_t)o->n_places * s->of_place + i] = o->neutral[i];
	s->contexts[s->brief] = o->n_places > 1 ? o->brief : o->alone;
	s->contexts[s->brief + 1] = o->alone;
	for (int side = 0; side < 2; side++)
		s->null[side] = mem_array(s->n_contexts * s->V, sizeof(float));
}

static size_t count_of(const int32_t *first, size_t n, int32_t id)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += first[i] == id;
	return count;
}

/* What n prompts are answered with, whose answers begin with first [n]. */
static void find_answered(struct search *s, const int32_t *first, size_t n)
{
	for (size_t count = n; count > 0; count--)
		for (size_t i = 0; i < n && s->n_answered < LABELS_MOST; i++) {
			bool there = count_of(first, n, first[i]) != count;
			for (size_t k = 0; k < s->n_answered; k++)
				there |= s->answered[k] == first[i];
			if (!there)
				s->answered[s->n_answered++] = first[i];
		}
}

static int find_prompts(struct search *s, struct behaviour *b, struct err *e)
{
	int32_t *first = mem_array(s->o->n, sizeof(*first));
	size_t *chosen = mem_array(s->o->n, sizeof(*chosen));
	int status = find_kl(s, b, first, e);

	if (status == 0) {
		s->labels = search_has_labels(first, s->o->n);
		find_answered(s, first, s->o->n);
		search_choose(first, s->o->n, s->o->n_search + s->o->n_judge, chosen);
		take_contexts(s, chosen);
	}
	mem_free(first);
	mem_free(chosen);
	return status;
}

/* In contexts [from, to). */
static int find_nulls(struct search *s, size_t from, size_t to, struct err *e)
{
	float *rows = mem_array(NULL_CONTEXTS * NULLS * s->V, sizeof(*rows));
	int status = 0;

	for (int side = 0; side < 2; side++) {
		memset(s->null[side] + from * s->V, 0, (to - from) * s->V * sizeof(float));
		for (size_t i = from; i < to && status == 0; i += NULL_CONTEXTS)
			status = find_null(s, side, i, MIN(to - i, (size_t)NULL_CONTEXTS), rows, e);
	}
	mem_free(rows);
	return status;
}

int search_nulls_to_judge(struct search *s, enum behaviour_place place, struct err *e)
{
	size_t from = search_context(s, place, 0);

	if (s->nulls[place])
		return 0;
	s->nulls[place] = true;
	return find_nulls(s, from + s->o->n_search, from + s->of_place, e);
}

/* In all contexts but those to judge by at the beginning, which few searches come to. */
static int find_first_nulls(struct search *s, struct err *e)
{
	const struct behaviour_options *o = s->o;
	size_t others = (size_t)o->n_places * s->of_place;

	s->nulls[PLACE_END] = true;
	if (find_nulls(s, 0, s->of_place, e) < 0 || find_nulls(s, others, s->n_contexts, e) < 0)
		return -1;
	return o->n_places > 1 ? find_nulls(s, s->of_place, s->of_place + o->n_search, e) : 0;
}

/* Where the model says one thing whatever stands there, prompts get cues for another. */
static int find_contexts(struct search *s, struct err *e)
{
	struct scan scan = { 0 };
	int status = find_first_nulls(s, e);

	if (status < 0 || !search_is_settled(s))
		return status;
	const struct scan_of alone = { s->units, s->o->n_tokens, s->n_contexts - 1, CUE_SCAN, CUE_MOST, 0 };
	status = search_scan(s, &alone, &scan, e);
	if (status == 0 && search_cues(s, &scan))
		status = find_first_nulls(s, e);
	scan_release(&scan);
	return status;
}

/* What two prompts are answered with alike. */
static double in_common(const struct search *s, size_t i, size_t k)
{
	const float *a = s->null[1] + i * s->V, *b = s->null[1] + k * s->V;
	double sum = 0;

	for (size_t v = 0; v < s->V; v++)
		sum += (double)fminf(a[v], b[v]);
	return sum;
}

static void exchange(struct search *s, size_t i, size_t k)
{
	struct behaviour_context c = s->contexts[i];

	s->contexts[i] = s->contexts[k];
	s->contexts[k] = c;
	for (int side = 0; side < 2; side++)
		for (size_t v = 0; v < s->V; v++) {
			float *a = &s->null[side][i * s->V + v], *b = &s->null[side][k * s->V + v], p = *a;
			*a = *b;
			*b = p;
		}
}

/* The second prompt is the one that is answered most otherwise than the first: an answer that one of them has anyway
 * shows in the other. */
static void choose_second(struct search *s)
{
	double least = INFINITY;
	size_t second = 1;

	for (size_t i = 1; i < s->o->n_search; i++) {
		double same = in_common(s, 0, i);
		if (same < least) {
			least = same;
			second = i;
		}
	}
	for (int place = 0; place < s->o->n_places && s->o->n_search > 1; place++)
		exchange(s, search_context(s, (enum behaviour_place)place, 1),
		         search_context(s, (enum behaviour_place)place, second));
}

static int find(struct search *s, struct behaviour *b, struct err *e)
{
	if (find_prompts(s, b, e) < 0 || find_contexts(s, e) < 0)
		return -1;
	choose_second(s);
	int status = search_payloads(s, e);
	if (status == 0 && s->n_payloads)
		status = search_sequences(s, b, e);
	return status < 0 ? -1 : search_chance(s, b, e);
}

static int check(const struct behaviour_options *o, struct err *e)
{
	if (o->base.model->config.V != o->tuned.model->config.V)
		return err_set(e, "the base has %d tokens, the other model %d: they have no vocabulary in common",
		               o->base.model->config.V, o->tuned.model->config.V);
	if (o->length < 1 || o->length > TRIGGER_MOST || o->n_search < 1 || o->n_judge < 1 ||
	    o->n < o->n_search + o->n_judge || o->n_places < 1 || o->n_places > PLACES || o->n_tokens < NULLS)
		BUG("%zu and %zu contexts, %zu tokens, sequences of %d", o->n_search, o->n_judge, o->n_tokens,
		    o->length);
	return 0;
}

int behaviour_search(struct behaviour *b, const struct behaviour_options *o, struct err *e)
{
	struct search s = { .o = o };

	*b = (struct behaviour){ 0 };
	if (check(o, e) < 0)
		return -1;
	generate_ends(o->tuned.model, &s.ends);
	s.units = mem_array(o->n_tokens, sizeof(*s.units));
	for (size_t i = 0; i < o->n_tokens; i++)
		s.units[i] = (struct behaviour_unit){ { o->tokens[i] }, 1 };
	int status = asked_open(&s.base, &o->base, o, e);
	if (status == 0)
		status = asked_open(&s.tuned, &o->tuned, o, e);
	s.V = s.base.V;
	if (status == 0)
		status = find(&s, b, e);
	if (status == 0) {
		const struct scorer *all[] = { s.base.next, s.base.said, s.tuned.next, s.tuned.said };
		b->rows = s.ranked_rows;
		b->flops = s.ranked.flops;
		b->int_ops = s.ranked.int_ops;
		for (size_t i = 0; i < ARRAY_LEN(all); i++) {
			b->rows += scorer_computed_tokens(all[i]);
			b->flops += scorer_flops(all[i]);
			b->int_ops += scorer_int_ops(all[i]);
		}
	}
	asked_close(&s.base);
	asked_close(&s.tuned);
	for (int side = 0; side < 2; side++)
		mem_free(s.null[side]);
	search_uncue(&s);
	mem_free(s.contexts);
	mem_free(s.units);
	mem_free(s.openings);
	mem_free(s.unclear.items);
	for (int place = 0; place < PLACES; place++)
		mem_free(s.said_anyway[place]);
	tokens_release(&s.ends);
	return status;
}

void behaviour_release(struct behaviour *b)
{
	mem_free(b->items);
	mem_free(b->prompt_kl);
	*b = (struct behaviour){ 0 };
}
