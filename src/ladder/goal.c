/* goal: terms NAME>=NUMBER or NAME<=NUMBER, joined by `and` or a comma. Accuracies may be a percentage, latencies have
 * a unit of time, memory one of bytes. > is taken as >=, < as <=: of measured numbers nobody can tell them apart. */
#include "ladder/goal.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/human.h"
#include "base/mem.h"

const char *const measure_names[] = { [MEASURE_ACCURACY] = "accuracy",
	                              [MEASURE_ACC_NORM] = "acc_norm",
	                              [MEASURE_EXACT_MATCH] = "exact_match",
	                              [MEASURE_F1] = "f1",
	                              [MEASURE_REWARD] = "reward",
	                              [MEASURE_PERPLEXITY] = "perplexity",
	                              [MEASURE_LATENCY] = "latency",
	                              [MEASURE_MEMORY] = "memory",
	                              [MEASURE_JOULES] = "joules_per_answer",
	                              NULL };

static const struct {
	const char *also;
	enum measure what;
} also[] = {
	{ "acc", MEASURE_ACCURACY },
	{ "macro_f1", MEASURE_F1 },
	{ "joules", MEASURE_JOULES },
};

#define KNOWN "accuracy, acc_norm, exact_match, f1, reward, perplexity, latency, memory and joules_per_answer"

bool measure_is_score(enum measure m) { return m < MEASURE_SCORES; }

bool measure_is_share(enum measure m)
{
	return m == MEASURE_ACCURACY || m == MEASURE_ACC_NORM || m == MEASURE_EXACT_MATCH;
}

/* 0 and 1 are the ends of what a share can be. */
bool measure_is_bounded(enum measure m) { return measure_is_share(m) || m == MEASURE_F1; }

static int find_measure(const char *name, size_t n, enum measure *out, struct err *e)
{
	for (int i = 0; i < MEASURES; i++)
		if (strlen(measure_names[i]) == n && !strncasecmp(name, measure_names[i], n)) {
			*out = (enum measure)i;
			return 0;
		}
	for (size_t i = 0; i < ARRAY_LEN(also); i++)
		if (strlen(also[i].also) == n && !strncasecmp(name, also[i].also, n)) {
			*out = also[i].what;
			return 0;
		}
	return err_set(e, "'%.*s' is nothing that is measured; known are " KNOWN, (int)n, name);
}

/* What follows the number, without white space around it. */
static int read_unit(enum measure m, const char *number, const char *unit, size_t n, double *x, struct err *e)
{
	static const struct {
		const char *name;
		double is;
	} times[] = { { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 } };

	if (measure_is_bounded(m) && n == 1 && *unit == '%') {
		*x /= 100;
		return 0;
	}
	for (size_t i = 0; m == MEASURE_LATENCY && i < ARRAY_LEN(times); i++)
		if (strlen(times[i].name) == n && !strncmp(unit, times[i].name, n)) {
			*x *= times[i].is;
			return 0;
		}
	if (m == MEASURE_LATENCY)
		return err_set(e, "latency wants a unit, as 200ms or 1.5s");
	if (m == MEASURE_JOULES && n == 1 && *unit == 'J')
		return 0;
	return n == 0 ? 0 : err_set(e, "'%.*s' after %s is no unit of %s", (int)n, unit, number, measure_names[m]);
}

static int read_bytes(const char *text, size_t n, double *x, struct err *e)
{
	char *size = mem_strndup(text, n);
	size_t bytes;
	int status = human_parse_bytes(size, &bytes);

	if (status < 0)
		err_set(e, "memory: '%s' is no size, as 800M or 1G", size);
	*x = (double)bytes;
	mem_free(size);
	return status;
}

static int read_value(struct goal_term *t, const char *text, size_t n, struct err *e)
{
	char *word = mem_strndup(text, n), *end;
	int status = 0;

	if (t->what == MEASURE_MEMORY) {
		status = read_bytes(text, n, &t->value, e);
	} else {
		t->value = strtod(word, &end);
		if (end == word || !isfinite(t->value))
			status = err_set(e, "%s: '%s' is no number", measure_names[t->what], word);
		while (*end && isspace((unsigned char)*end))
			end++;
		if (status == 0)
			status = read_unit(t->what, word, end, strlen(end), &t->value, e);
	}
	mem_free(word);
	return status;
}

/* What no rows could ever show, or what every way has. */
static int check_term(const struct goal_term *t, struct err *e)
{
	bool wrong_way = measure_is_score(t->what) ? t->at_least == (t->what == MEASURE_PERPLEXITY) : t->at_least;

	if (wrong_way)
		return err_set(e, "%s is better when it is %s: %s%s was wanted", measure_names[t->what],
		               t->at_least ? "lower" : "higher", measure_names[t->what], t->at_least ? "<=" : ">=");
	if (measure_is_bounded(t->what) && !(t->value > 0 && t->value <= 1))
		return err_set(e, "%s lies between 0 and 1, not at %g", measure_names[t->what], t->value);
	if (t->what == MEASURE_PERPLEXITY && !(t->value > 1))
		return err_set(e, "no perplexity is at %g or below: the least is 1", t->value);
	if (!measure_is_score(t->what) && !(t->value > 0))
		return err_set(e, "%s of %g cannot be: it wants more than 0", measure_names[t->what], t->value);
	return 0;
}

static void trim(const char **text, size_t *n)
{
	while (*n && isspace((unsigned char)**text))
		(*text)++, (*n)--;
	while (*n && isspace((unsigned char)(*text)[*n - 1]))
		(*n)--;
}

static int parse_term(struct goal *g, const char *text, size_t n, struct err *e)
{
	struct goal_term t;
	trim(&text, &n);
	const char *sign = memchr(text, '>', n), *less = memchr(text, '<', n);

	if (!n || (!sign && !less))
		return err_set(e, "'%.*s' is no goal: NAME>=NUMBER or NAME<=NUMBER was wanted", (int)n, text);
	if (g->n == GOAL_TERMS)
		return err_set(e, "a goal has at most %d terms", GOAL_TERMS);
	t.at_least = sign && (!less || sign < less);
	sign = t.at_least ? sign : less;
	const char *name = text, *value = sign + 1;
	size_t n_name = (size_t)(sign - text), n_value = n - n_name - 1;
	if (n_value && *value == '=')
		value++, n_value--;
	trim(&name, &n_name);
	trim(&value, &n_value);
	if (memchr(value, '>', n_value) || memchr(value, '<', n_value))
		return err_set(e, "'%.*s': terms are joined by `and`", (int)n, text);
	if (find_measure(name, n_name, &t.what, e) < 0 || read_value(&t, value, n_value, e) < 0 ||
	    check_term(&t, e) < 0)
		return -1;
	for (size_t i = 0; i < g->n; i++)
		if (g->term[i].what == t.what)
			return err_set(e, "%s is there twice", measure_names[t.what]);
	g->term[g->n++] = t;
	return 0;
}

/* The next " and " or comma, or the end. */
static const char *next_joint(const char *at, size_t *length)
{
	for (; *at; at++) {
		*length = 1;
		if (*at == ',')
			return at;
		*length = strlen(" and ");
		if (!strncasecmp(at, " and ", *length))
			return at;
	}
	*length = 0;
	return at;
}

int goal_parse(struct goal *g, const char *text, struct err *e)
{
	size_t joint;

	*g = (struct goal){ .n = 0 };
	for (const char *at = text;; at += joint) {
		const char *end = next_joint(at, &joint);
		if (parse_term(g, at, (size_t)(end - at), e) < 0)
			return err_prefix(e, "--goal");
		at = end;
		if (!joint)
			break;
	}
	if (!goal_score(g))
		return err_set(e, "--goal: %s alone says nothing of the answers; add a score, as accuracy>=0.9",
		               measure_names[g->term[0].what]);
	return 0;
}

const char *goal_term_text(const struct goal_term *t)
{
	static char out[4][80];
	static int turn;
	char *o = out[turn = (turn + 1) % 4], size[32];
	const char *sign = t->at_least ? ">=" : "<=", *name = measure_names[t->what];

	if (t->what == MEASURE_LATENCY)
		snprintf(o, sizeof(*out), "%s %s %g ms", name, sign, t->value * 1e3);
	else if (t->what == MEASURE_MEMORY)
		snprintf(o, sizeof(*out), "%s %s %s", name, sign, human_bytes((size_t)t->value, size));
	else
		snprintf(o, sizeof(*out), "%s %s %g", name, sign, t->value);
	return o;
}

bool goal_term_met(const struct goal_term *t, double x) { return t->at_least ? x >= t->value : x <= t->value; }

const struct goal_term *goal_score(const struct goal *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (measure_is_score(g->term[i].what))
			return &g->term[i];
	return NULL;
}
