/* methods: the ways to do a task that are compared, each from its words: figures as they are written, summaries read
 * from files, or evidence of the ledger: what making the thing cost once, shared with the others where they stand on
 * the same thing, and what its newest uses cost, each in one arithmetic. See methods.h. */
#include "gas/methods.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"

#define FIGURES "NAME:FIXED,PER_USE[,QUALITY]"
static const char *const unit_names[] = {
	[COST_SECONDS] = "seconds", [COST_JOULES] = "joules", [COST_MONEY] = "money"
};

/* --- figures and files --- */

static bool is_number(const char *text) { return strspn(text, "0123456789.") > 0 && !io_exists(text); }

/* FIXED: a number, or the file of a run's summary. */
static int read_fixed(struct method *m, const char *text, const char *unit, struct err *e)
{
	if (is_number(text))
		return number_parse(&m->cost.fixed, text, m->name, e);
	json_t *j = summary_load(text, e);
	const json_t *x = json_object_get(j, unit);
	int status = !j ? -1 : json_is_number(x) ? 0 : err_set(e, "%s: no %s in it", text, unit);
	if (!status)
		m->cost.fixed = span_exact(json_number_value(x));
	json_decref(j);
	return status;
}

/* PER_USE: a number, or the file of an evaluation's summary: its cost by its rows, and the quality. */
static int read_use(struct method *m, const char *text, const char *unit, struct err *e)
{
	if (is_number(text))
		return number_parse(&m->cost.per_use, text, m->name, e);
	json_t *j = summary_load(text, e);
	const json_t *x = json_object_get(j, unit), *n = json_object_get(j, "n");
	int status = !j                                             ? -1 :
	             json_is_number(x) && json_integer_value(n) > 0 ? 0 :
	                                                              err_set(e, "%s: no %s and n in it", text, unit);
	if (!status)
		m->cost.per_use = span_exact(json_number_value(x) / (double)json_integer_value(n));
	if (!status)
		status = summary_quality(&m->quality, j, text, e);
	json_decref(j);
	return status;
}

static int read_figures(struct method *m, const char *text, const char *unit, struct err *e)
{
	const char *colon = strchr(text, ':');
	char *words = mem_strdup(colon + 1), *save = NULL;
	const char *fixed = strtok_r(words, ",", &save), *use = fixed ? strtok_r(NULL, ",", &save) : NULL;
	const char *quality = use ? strtok_r(NULL, ",", &save) : NULL;
	int status = 0;

	if (!use || strtok_r(NULL, ",", &save)) {
		status = err_set(e, "%s: " FIGURES " was wanted", text);
	} else {
		m->name = mem_strndup(text, (size_t)(colon - text));
		if (read_fixed(m, fixed, unit, e) < 0 || read_use(m, use, unit, e) < 0 ||
		    (quality && number_parse(&m->quality, quality, m->name, e) < 0))
			status = -1;
	}
	mem_free(words);
	return status;
}

/* --- the ledger --- */

static int read_ledger(struct method_set *s, struct method *m, const char *ledger, const char *text, struct err *e)
{
	const char *equals = io_exists(text) ? NULL : strchr(text, '=');

	m->what = equals ? equals + 1 : text;
	if (!s->view.ledger && ledger_view_open(&s->view, ledger, e) < 0)
		return err_prefix(e, "%s is none of " FIGURES " and no run", text);
	if (evidence_find(&m->evidence, &s->view.family, s->view.ledger, m->what, s->compute, e) < 0)
		return -1;
	m->name = equals ? mem_strndup(text, (size_t)(equals - text)) : mem_strdup(text);
	return 0;
}

static int check_currency(struct method_set *s, const struct method *m, const struct cost *c, struct err *e)
{
	if (c->foreign || (c->currency[0] && s->currency[0] && strcmp(c->currency, s->currency)))
		return err_set(e, "%s: its runs are in several currencies; --unit joules or seconds compares them",
		               m->name);
	if (c->currency[0])
		memcpy(s->currency, c->currency, sizeof(s->currency));
	return 0;
}

static int fill_costs(struct method_set *s, struct method *m, const struct evidence *all, size_t n, size_t which,
                      struct err *e)
{
	struct family *f = &s->view.family;
	struct cost once, use;

	evidence_once(f, all, n, which, &once);
	evidence_use(f, &m->evidence, &use);
	double uses = (double)m->evidence.rows * (double)m->evidence.n_runs;
	m->cost = (struct cost_line){ cost_span(&once, s->unit), evidence_per_use(f, &m->evidence, s->unit) };
	m->once_runs = once.runs;
	if (isnan(m->cost.fixed.mid) || isnan(m->cost.per_use.mid))
		return err_set(e, "%s: the ledger does not know the %s of %s; kungfu gas show tells why", m->name,
		               unit_names[s->unit], isnan(m->cost.fixed.mid) ? "making it" : "using it");
	if (s->unit != COST_MONEY)
		return 0;
	m->once_opex = once.runs ? once.money_opex : 0;
	m->once_capex = once.runs ? once.money_capex : 0;
	m->use_opex = use.money_opex / uses;
	m->use_capex = use.money_capex / uses;
	s->money_any |= once.money_any | use.money_any;
	s->money_all &= once.money_all & use.money_all;
	return check_currency(s, m, &once, e) < 0 || check_currency(s, m, &use, e) < 0 ? -1 : 0;
}

/* Of a use that was named its own; else on the rows of the others. */
static void fill_quality(const struct method_set *s, struct method *m)
{
	const struct entry *newest = &s->view.all.items[m->evidence.runs[m->evidence.n_runs - 1]];
	struct err none = ERR_INIT;
	json_t *j = ledger_view_metrics(newest);

	m->quality = span_exact(NAN);
	if (m->evidence.named && summary_quality(&m->quality, j, m->name, &none) == 0)
		m->judged = newest;
	else
		comparable_quality(&s->view.family, m->evidence.thing, s->rows, &m->quality, &m->judged);
	json_decref(j);
}

/* Uses that may be compared, and the rows on which qualities are. */
static int choose(struct method_set *s, struct err *e)
{
	struct evidence *v[METHODS];
	const struct evidence *things[METHODS];
	const char *names[METHODS];
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->m[i].what)
			continue;
		names[n] = s->m[i].name;
		things[n] = &s->m[i].evidence;
		v[n++] = &s->m[i].evidence;
	}
	if (n && comparable_choose(v, names, n, &s->view.family, s->compute, &s->ways_differ, e) < 0)
		return -1;
	s->rows = !n ? NULL : comparable_rows(things, n, &s->view.family);
	return 0;
}

/* What is once depends on what the others stand on too. */
static int fill_all(struct method_set *s, struct err *e)
{
	struct evidence all[METHODS];
	size_t n = 0, which = 0;

	s->money_all = ~0u;
	if (choose(s, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		if (s->m[i].what)
			all[n++] = s->m[i].evidence;
	for (size_t i = 0; i < s->n; i++) {
		if (!s->m[i].what)
			continue;
		if (fill_costs(s, &s->m[i], all, n, which++, e) < 0)
			return -1;
		fill_quality(s, &s->m[i]);
	}
	return 0;
}

int methods_read(struct method_set *s, const char *ledger, const char *const *words, size_t n, const char *unit,
                 struct err *e)
{
	for (s->unit = COST_SECONDS; strcmp(unit_names[s->unit], unit) && s->unit < COST_MONEY; s->unit++)
		;
	for (s->n = 0; s->n < n; s->n++) {
		struct method *m = &s->m[s->n];
		const char *colon = io_exists(words[s->n]) ? NULL : strchr(words[s->n], ':');
		*m = (struct method){ .quality = span_exact(NAN),
			              .once_opex = NAN,
			              .once_capex = NAN,
			              .use_opex = NAN,
			              .use_capex = NAN };
		if ((colon && strchr(colon, ',') ? read_figures(m, words[s->n], unit, e) :
		                                   read_ledger(s, m, ledger, words[s->n], e)) < 0)
			return -1;
	}
	return fill_all(s, e);
}

void methods_release(struct method_set *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->m); i++)
		mem_free(s->m[i].name);
	ledger_view_close(&s->view);
}
