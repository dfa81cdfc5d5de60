/* guard: every text of the canonical ones is searched by both sets of expressions, clean and folded;
 * of those that match somewhere the matches are found one after another. A match counts when its check holds and a
 * word stands near. The work of finding is bounded as the canonicalizer's is. */
#include "guard/guard.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "guard/canonical.h"
#include "guard/rules.h"

enum {
	WINDOW = 1 << 18,
	OVERLAP = 1 << 12,
	BEFORE = 80,
	BEHIND = 40,
	MATCHES = 200,
	TWICE = 64, /* findings back that one is not told again */
	KEPT_TEXTS = 16, /* for the next text memory of so many canonical ones is kept, where the bytes were not more */
	KEPT_BYTES = 1 << 16
};

#define WORK_A_BYTE 500
#define WORK_FREE (1 << 22)

struct guard_scratch {
	const struct guard *g;
	struct regex_scratch *regex[RULE_SETS];
	bool *found; /* as many as all rules */
	struct canonical canonical;
	struct buf path;
};

struct looking {
	struct guard_scratch *s;
	struct guard_result *r;
	const struct canonical *c;
	size_t text, window; /* which of them; where the window begins */
	const char *path;
	uint64_t work, most;
};

struct guard_scratch *guard_scratch_new(const struct guard *g)
{
	struct guard_scratch *s = mem_alloc(sizeof(*s));

	s->g = g;
	for (int k = 0; k < RULE_SETS; k++)
		s->regex[k] = regex_scratch_new(g->set[k]);
	s->found = mem_array(guard_rules(g) + 1, sizeof(*s->found));
	return s;
}

void guard_scratch_free(struct guard_scratch *s)
{
	if (!s)
		return;
	for (int k = 0; k < RULE_SETS; k++)
		regex_scratch_free(s->regex[k]);
	mem_free(s->found);
	canonical_release(&s->canonical);
	buf_release(&s->path);
	mem_free(s);
}

/* --- findings --- */

static void add(struct guard_result *r, const char *rule, enum guard_verdict verdict, size_t begin, size_t end,
                double confidence, const char *path)
{
	if (verdict == GUARD_ALLOW)
		return;
	for (size_t i = r->n; i > 0 && i + TWICE > r->n; i--) {
		struct guard_finding *f = &r->findings[i - 1];
		bool whole = f->begin <= begin && f->end >= end;
		if (f->rule == rule && whole && f->confidence >= confidence)
			return;
	}
	r->verdict = MAX(r->verdict, verdict);
	if (r->n == GUARD_FINDINGS) {
		r->more++;
		return;
	}
	if (r->n == r->cap) {
		r->cap = MAX((size_t)16, 2 * r->cap);
		r->findings = mem_grow(r->findings, r->cap, sizeof(*r->findings));
	}
	r->findings[r->n++] = (struct guard_finding){ rule, verdict, begin, end, confidence, path };
}

/* "encoding.base64" of a row of the table. */
static const char *rule_of(const struct guard *g, const struct encoding *by)
{
	size_t i = 0;

	while (encoding_table[i] != by)
		i++;
	return g->encoding_rule[i];
}

/* --- matching --- */

/* A word that stands at [i, …) of the text, whatever its case. */
static bool stands(const struct buf *t, size_t i, const char *word, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		char c = t->data[i + k];
		if ((c >= 'A' && c <= 'Z' ? c | 32 : c) != word[k])
			return false;
	}
	char before = i ? t->data[i - 1] : ' ';
	return !encoding_alnum(before);
}

static bool is_near(const struct rule *r, const struct buf *t, size_t begin, size_t end, uint64_t *work)
{
	size_t from = begin > BEFORE ? begin - BEFORE : 0, to = MIN(t->len, end + BEHIND);

	for (size_t k = 0; k < r->n_near; k++) {
		size_t n = strlen(r->near[k]);
		*work += to - from;
		for (size_t i = from; i + n <= to; i++)
			if ((i + n <= begin || i >= end) && stands(t, i, r->near[k], n))
				return true;
	}
	return !r->n_near;
}

static void find_all(struct looking *x, int set, int number, const struct mapped *m)
{
	const struct guard *g = x->s->g;
	const struct rule *r = &g->rules[g->rule_of[set][number]];
	const struct canonical_text *t = &x->c->texts[x->text];
	size_t begin, end, at = 0;

	for (int kept = 0; kept < MATCHES && x->work < x->most;) {
		struct regex_scratch *s = x->s->regex[set];
		if (!at)
			regex_first(s, number, &begin, &end);
		else if (!regex_find(s, number, m->s.data, m->s.len, at, &begin, &end, &x->work))
			return;
		at = end;
		if ((r->check && !r->check->holds(m->s.data + begin, end - begin)) ||
		    !is_near(r, &m->s, begin, end, &x->work)) {
			at = r->check && r->check->whole ? end : begin + 1; /* a shorter one may begin inside */
			continue;
		}
		size_t from, to;
		mapped_span(m, begin, end, &from, &to);
		add(x->r, r->id, r->verdict, x->window + from, x->window + to, t->confidence, x->path);
		kept++;
	}
	x->r->capped = x->r->capped ? x->r->capped : x->work < x->most ? "matches" : "work";
}

static void look_at(struct looking *x)
{
	const struct guard *g = x->s->g;
	const struct canonical_text *t = &x->c->texts[x->text];

	for (int set = 0; set < (t->by ? RULE_SETS : RULES_HIDDEN_FOLDED); set++) {
		bool folded = set == RULES_FOLDED || set == RULES_HIDDEN_FOLDED;
		const struct mapped *m = folded ? &t->folded : &t->clean;
		if (!regex_set_search(x->s->regex[set], buf_str(&m->s), m->s.len, x->s->found, &x->work, x->most))
			x->r->capped = x->r->capped ? x->r->capped : "work";
		for (size_t i = 0; i < g->n_set[set]; i++)
			if (x->s->found[i])
				find_all(x, set, (int)i, m);
	}
}

static void look_window(struct guard_scratch *s, const char *text, size_t n, size_t window, struct guard_result *r)
{
	struct canonical *c = &s->canonical;

	canonical_make(c, text + window, n, NULL);
	struct looking x = { .s = s, .r = r, .c = c, .window = window, .most = WORK_FREE + (uint64_t)n * WORK_A_BYTE };
	for (; x.text < c->n; x.text++) {
		const struct canonical_text *t = &c->texts[x.text];
		buf_clear(&s->path);
		canonical_path(c, x.text, &s->path);
		x.path = s->path.len ? arena_strdup(&r->mem, s->path.data) : "";
		if (t->by && t->hidden)
			add(r, rule_of(s->g, t->by), s->g->encoded, window + t->begin, window + t->end, t->confidence,
			    x.path);
		for (int k = 0; k < SIGNS && (!t->by || t->hidden); k++)
			if (t->signs[k].count)
				add(r, s->g->sign_rule[k], s->g->signs[k], window + t->signs[k].begin,
				    window + t->signs[k].end, t->confidence, x.path);
		look_at(&x);
	}
	r->capped = r->capped ? r->capped : c->capped;
	r->work += c->work + x.work;
	if (c->n_made > KEPT_TEXTS || n > KEPT_BYTES)
		canonical_release(c);
}

static int by_place(const void *a, const void *b)
{
	const struct guard_finding *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	if (x->end != y->end)
		return x->end < y->end ? -1 : 1;
	return strcmp(x->rule, y->rule);
}

void guard_add(struct guard_result *r, const char *rule, enum guard_verdict verdict, size_t begin, size_t end,
               double confidence)
{
	add(r, rule, verdict, begin, end, confidence, "");
	if (r->n)
		qsort(r->findings, r->n, sizeof(*r->findings), by_place);
}

void guard_look(struct guard_scratch *s, const char *text, size_t n, struct guard_result *r)
{
	*r = (struct guard_result){ .n = 0 };
	for (size_t at = 0; at < n; at += WINDOW - OVERLAP) {
		look_window(s, text, MIN(n - at, (size_t)WINDOW), at, r);
		if (n - at <= WINDOW)
			break;
	}
	if (r->n)
		qsort(r->findings, r->n, sizeof(*r->findings), by_place);
}
