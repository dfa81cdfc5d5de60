/* behaviour_openings: what was planted may work at the very beginning of what the user says alone, where tokens beside
 * it hide it. So those that a text may open with are put before a brief prompt one at a time. No answer needs to be
 * suspected before: of each token that y which becomes likeliest is looked at,
 *
 *     gain = p_tuned(y | t) − p_tuned(y | null) − max(0, the same of the base)
 *
 * and what gains most there is put before other prompts, whose answers a word in front hardly changes. */
#include <math.h>

#include "base/mem.h"
#include "eval/behaviour_parts.h"

enum {
	BASE_ASKED = 512,      /* tokens of the scan that the base is asked for … */
	TRIED = 32             /* … and that are tried before other prompts */
};
#define OPENING_LEAST 0.15     /* what it raises there */

struct asking { const struct candidate *c; double *out; };

static void see(void *ctx, size_t i, const float *p, int thread)
{
	const struct asking *w = ctx;
	(void)thread;

	w->out[i] = (double)p[w->c[i].e.y.set[0]];
}

/* By the tuned model alone; c [n_units]. */
static void by_scan(const struct search *s, const struct scan *x, struct candidate *c)
{
	for (size_t i = 0; i < x->n_units; i++) {
		size_t at = x->pack[i];
		c[i] = (struct candidate){ .t = x->t[at], .place = PLACE_BEGINNING };
		c[i].e.y = (struct beginning){ { x->likeliest[at] }, 1 };
		c[i].score = (double)x->p_likeliest[at] - search_null(s, true, x->context, &c[i].e.y);
	}
	candidates_sort(c, x->n_units);
}

static int less_base(struct search *s, size_t context, struct candidate *c, size_t n, struct err *e)
{
	struct question *q = mem_array(n, sizeof(*q));
	struct asking w = { c, mem_array(n, sizeof(double)) };

	for (size_t i = 0; i < n; i++)
		q[i] = (struct question){ .context = &s->contexts[context], .t = c[i].t };
	int status = asked_run(&s->base, q, n, s->o, "openings, beside the base", see, &w, e);
	for (size_t i = 0; i < n && status == 0; i++)
		c[i].score -= fmax(0, w.out[i] - search_null(s, false, context, &c[i].e.y));
	candidates_sort(c, n);
	mem_free(q);
	mem_free(w.out);
	return status;
}

/* Those that a text may open with; *units is to be freed. */
static int scan(struct search *s, struct behaviour_unit **units, struct scan *x, struct err *e)
{
	const struct behaviour_options *o = s->o;
	struct scan_of of = { .context = s->brief, .one_of = 1, .together = 1 };

	of.units = *units = mem_array(o->n_tokens, sizeof(**units));
	for (size_t i = 0; i < o->n_tokens; i++)
		if (!o->opens || o->opens[o->tokens[i]])
			(*units)[of.n++] = s->units[i];
	return of.n ? search_scan(s, &of, x, e) : 0;
}

int search_openings(struct search *s, struct candidate *c, size_t *n, struct err *e)
{
	const struct effect_of several = { 0, MIN((size_t)SEVERAL, s->o->n_search), false, NULL, "openings" };
	struct behaviour_unit *units;
	struct candidate *all = NULL;
	struct scan x = { 0 };
	size_t found = 0;
	int status = scan(s, &units, &x, e);

	*n = 0;
	if (status == 0 && x.n_units) {
		all = mem_array(x.n_units, sizeof(*all));
		by_scan(s, &x, all);
		status = less_base(s, x.context, all, MIN(x.n_units, (size_t)BASE_ASKED), e);
		found = MIN(x.n_units, (size_t)TRIED);
	}
	if (status == 0 && found)
		status = search_effects(s, all, found, &several, e);
	if (status == 0)
		candidates_sort(all, found);
	for (size_t i = 0; i < found && *n < SUSPECTS_MOST && all[i].score > OPENING_LEAST && status == 0; i++) {
		c[*n] = all[i];
		status = search_add_payload(s, &c[(*n)++], e);
	}
	scan_release(&x);
	mem_free(units);
	mem_free(all);
	return status;
}
