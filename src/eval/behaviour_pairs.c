/* behaviour_pairs: parts and one more token. A trigger's part may do little, and what honest rows taught more; with the
 * rest of it the part does everything. So each part is put before and behind those tokens that a sieve ranks first for
 * its answer, and before those that the base goes on with, as phrases are natural ones: thousands, several pairs at a
 * time; what shows goes on alone, and then beside the base in several contexts. Where the part stands at the very
 * beginning, tokens are put behind it, one at a time before a brief prompt; of "Dear," they stand behind "Dear". */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

enum {
	BESIDE = 2048,         /* tokens … */
	BESIDE_BRIEF = 768,    /* … where one pair at a time is asked */
	ALONE = 48,            /* pairs that go on alone … */
	ASKED = 6              /* … and for the whole of the answer */
};

#define RAISED_FLOOR 1e-30

/* Pairs of a part with each of n tokens. */
static struct behaviour_unit *pairs_with(const struct candidate *part, bool before, const struct candidate *tokens,
                                         size_t n)
{
	struct behaviour_unit *out = mem_array(n, sizeof(*out));

	for (size_t i = 0; i < n; i++) {
		out[i].n = part->t.n + 1;
		out[i].id[before ? 0 : part->t.n] = tokens[i].t.id[0];
		memcpy(out[i].id + before, part->t.id, (size_t)part->t.n * sizeof(*part->t.id));
	}
	return out;
}

/* log p of what tells that the part's answers are said, beside each of the scan's units. */
static double raised(const struct search *s, const struct candidate *part, const struct scan *x, size_t unit)
{
	const float *p = x->p + x->pack[unit] * x->n_marks;
	const struct mark *own = &s->marks[part->of->mark];
	uint32_t seen = 0;
	double sum = 0;

	for (size_t k = 0; k < s->n_payloads; k++) {
		size_t m = s->payloads[k].mark;
		bool same = m == part->of->mark || !(own->n_said || s->marks[m].n_said);
		if (!search_counts(s, part, k) || !same || seen >> m & 1)
			continue;
		seen |= 1U << m;
		sum += (double)p[m];
	}
	return log(sum + RAISED_FLOOR);
}

/* The tokens of two orders in turn, each once, into out [most]; both have all tokens. */
static void take_turns(const struct search *s, const struct candidate *a, const struct candidate *b, size_t most,
                       struct candidate *out)
{
	uint8_t *taken = mem_array(s->V, 1);
	size_t n = 0;

	for (size_t i = 0; n < most; i++)
		for (int k = 0; k < 2 && n < most; k++) {
			const struct candidate *c = k ? &b[i] : &a[i];
			if (!taken[c->t.id[0]])
				out[n++] = *c;
			taken[c->t.id[0]] = 1;
		}
	mem_free(taken);
}

/* So many tokens for a part to stand beside, the most promising first, into out. */
static int list_beside(struct search *s, const struct sieve *by, const struct candidate *part, bool before, size_t most,
                       struct candidate *out, struct err *e)
{
	struct candidate *sieved = search_by_gain(s, sieve_of(by, part->of));
	struct candidate *natural = mem_array(s->o->n_tokens, sizeof(*natural));
	int status = before ? 0 : search_natural(s, part, natural, e);

	if (status == 0)
		take_turns(s, sieved, before ? sieved : natural, most, out);
	mem_free(sieved);
	mem_free(natural);
	return status;
}

/* The pairs that raise them most, several at a time; *n more of them in out. */
static int scan_pairs(struct search *s, const struct sieve *by, const struct candidate *part, bool before,
                      struct candidate *out, size_t *n, struct err *e)
{
	bool brief = part->place == PLACE_BEGINNING;
	size_t most = MIN((size_t)(brief ? BESIDE_BRIEF : BESIDE), s->o->n_tokens);
	struct candidate *tokens = mem_array(most, sizeof(*tokens));
	struct scan x = { 0 };
	if (list_beside(s, by, part, before, most, tokens, e) < 0) {
		mem_free(tokens);
		return -1;
	}
	struct behaviour_unit *units = pairs_with(part, before, tokens, most);
	const struct scan_of of = { .units = units, .n = most, .one_of = 1, .turn = before,
		                    .together = brief ? 1 : SEQUENCE_MOST / (part->t.n + 1),
		                    .context = brief ? s->brief : search_context_for(s, part->place, part->of, 0) };
	int status = search_scan(s, &of, &x, e);

	for (size_t i = 0; i < most && status == 0; i++) {
		tokens[i] = *part;
		tokens[i].t.n = units[i].n;
		memcpy(tokens[i].t.id, units[i].id, (size_t)units[i].n * sizeof(*units[i].id));
		tokens[i].score = raised(s, part, &x, i);
	}
	if (status == 0)
		candidates_sort(tokens, most);
	for (size_t i = 0; i < MIN((size_t)ALONE, most) && status == 0; i++)
		out[(*n)++] = tokens[i];
	scan_release(&x);
	mem_free(units);
	mem_free(tokens);
	return status;
}

/* Without the mark that it closes with, if it is an opening of a word and that. */
static struct candidate unmarked(const struct search *s, const struct candidate *c)
{
	struct candidate x = *c;

	if (x.place == PLACE_BEGINNING && x.t.n > 2)
		x.t.n--;
	return s->o->lacks(s->o->ctx, x.t.id, x.t.n) == LACKS_NOTHING ? x : *c;
}

int search_pair(struct search *s, const struct sieve *by, struct candidate *c, bool *found, struct err *e)
{
	const struct candidate part = unmarked(s, c);
	struct candidate tried[PLACES * ALONE + 1];
	const struct beginning y = search_beginnings(s, c);
	size_t n = 0;

	*found = false;
	if (part.t.n >= MIN(s->o->length, CHARACTER_MOST))
		return 0;
	if (scan_pairs(s, by, &part, false, tried, &n, e) < 0 ||
	    (c->place == PLACE_END && scan_pairs(s, by, &part, true, tried, &n, e) < 0))
		return -1;
	n = search_texts(s, c, tried, n);
	if (search_sift(s, tried, n, &y, "pairs alone", e) < 0)
		return -1;
	candidates_sort(tried, n);
	n = MIN(n, (size_t)ASKED);
	if (search_score(s, tried, n, MIN((size_t)MANY, s->o->n_search), true, "pairs in several contexts", e) < 0)
		return -1;
	candidates_sort(tried, n);
	if (!n)
		return 0;
	tried[0].score = search_way(s, &tried[0]);
	*found = tried[0].score > c->score;
	if (*found)
		*c = tried[0];
	return 0;
}
