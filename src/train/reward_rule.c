/* reward_rule: rewards that can be checked.
 *
 *     exact        1: the answer is the right one, spaces around it left out; else 0
 *     number       1: the last number in it is the last in the right one (a part in a million off at most); else 0
 *     regex        1: --reward-regex (POSIX, extended) is found in it; else 0
 *     json-schema  1: it is JSON that --reward-schema allows (train/json_schema.h); else 0
 *     length       0 up to most − cache tokens, then falling to −1 at the most; −1 where it was cut (DAPO's soft
 *                  overlong punishment, Yu et al. 2025)
 *     repetition   −(1 − different n-grams of its tokens / n-grams) (Yeo et al. 2025, appendix C.2; TRL's)
 *
 * `1,024` and `1024` are one number; what stands between digits otherwise ends one. */
#include <math.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "train/json_schema.h"
#include "train/reward.h"

struct reward_rules {
	regex_t regex;
	bool has_regex;
	struct json_schema *schema;
	int64_t ngram, cache;
};

static const char *trimmed(const char *s, size_t *n)
{
	static const char space[] = " \t\r\n";

	s += strspn(s, space);
	*n = strlen(s);
	while (*n && strchr(space, s[*n - 1]))
		--*n;
	return s;
}

static double exact(const struct reward_rules *r, const struct reward_case *c, const char *right)
{
	size_t n, m;
	const char *a = trimmed(c->text, &n), *b = trimmed(right, &m);
	(void)r;

	return n == m && !memcmp(a, b, n);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The number that begins at a digit, and where it ends. */
static double number_at(const char *s, const char **end)
{
	char room[64];
	size_t n = 0;
	bool point = false;

	for (; n + 1 < sizeof(room); s++) {
		bool grouping = *s == ',' && !point && is_digit(s[1]) && is_digit(s[2]) && is_digit(s[3]) &&
		                !is_digit(s[4]);
		if (is_digit(*s) || (*s == '.' && !point && is_digit(s[1])))
			room[n++] = *s;
		else if (!grouping)
			break;
		point |= *s == '.';
	}
	room[n] = 0;
	*end = s;
	return strtod(room, NULL);
}

/* The last one; NAN: there is none. */
static double last_number(const char *s)
{
	double x = NAN;

	for (const char *at = s; *at;) {
		if (!is_digit(*at)) {
			at++;
			continue;
		}
		bool negative = at > s && at[-1] == '-' && (at == s + 1 || !is_digit(at[-2]));
		x = number_at(at, &at) * (negative ? -1 : 1);
	}
	return x;
}

static double number(const struct reward_rules *r, const struct reward_case *c, const char *right)
{
	double x = last_number(c->text), want = last_number(right);
	(void)r;

	return fabs(x - want) <= 1e-6 * fmax(1, fabs(want));
}

static double found(const struct reward_rules *r, const struct reward_case *c, const char *right)
{
	(void)right;
	return regexec(&r->regex, c->text, 0, NULL, 0) == 0;
}

static double fits(const struct reward_rules *r, const struct reward_case *c, const char *right)
{
	struct err ignored = ERR_INIT;
	json_t *j = json_schema_read(c->text, &ignored);
	double fit = j && json_schema_allows(r->schema, j);
	(void)right;

	json_decref(j);
	return fit;
}

static double length(const struct reward_rules *r, const struct reward_case *c, const char *right)
{
	double cache = r->cache > 0 ? (double)r->cache : fmax(1, floor(c->most / 5.0)), over = c->n - (c->most - cache);
	(void)right;

	return !c->ended ? -1 : -fmax(0, over / cache);
}

static int compare_ngrams(const void *a, const void *b, void *n)
{
	return memcmp(*(const int32_t *const *)a, *(const int32_t *const *)b, *(const size_t *)n * sizeof(int32_t));
}

static double repetition(const struct reward_rules *r, const struct reward_case *c, const char *right)
{
	size_t size = (size_t)r->ngram, n = (size_t)c->n < size ? 0 : (size_t)c->n - size + 1, different = n > 0;
	(void)right;

	if (!n)
		return 0;
	const int32_t **at = mem_array(n, sizeof(*at));
	for (size_t i = 0; i < n; i++)
		at[i] = c->ids + i;
	qsort_r(at, n, sizeof(*at), compare_ngrams, &size);
	for (size_t i = 1; i < n; i++)
		different += compare_ngrams(&at[i - 1], &at[i], &size) != 0;
	mem_free(at);
	return different == n ? 0 : (double)different / (double)n - 1;
}

static const struct reward_rule rules[] = {
	{ "exact", true, NULL, exact },
	{ "number", true, NULL, number },
	{ "regex", false, "reward-regex", found },
	{ "json-schema", false, "reward-schema", fits },
	{ "length", false, NULL, length },
	{ "repetition", false, NULL, repetition },
};

const struct reward_rule *reward_rule_find(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (strlen(rules[i].name) == n && !memcmp(rules[i].name, name, n))
			return &rules[i];
	return NULL;
}

void reward_rule_names(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		buf_addf(out, "%s%s", !i ? "" : i + 1 < ARRAY_LEN(rules) ? ", " : " or ", rules[i].name);
}

static int open_regex(struct reward_rules *r, const char *pattern, struct err *e)
{
	char why[200];
	int code = regcomp(&r->regex, pattern, REG_EXTENDED | REG_NOSUB);

	r->has_regex = !code;
	if (!code)
		return 0;
	regerror(code, &r->regex, why, sizeof(why));
	return err_set(e, "--reward-regex '%s': %s", pattern, why);
}

int reward_rules_open(struct reward_rules **out, const struct reward_options *o, struct err *e)
{
	struct reward_rules *r = mem_alloc(sizeof(*r));

	*out = r;
	*r = (struct reward_rules){ .ngram = o->repetition_ngram, .cache = o->soft_punish_cache };
	if (o->regex && open_regex(r, o->regex, e) < 0)
		return -1;
	return o->schema ? json_schema_open(&r->schema, o->schema, e) : 0;
}

void reward_rules_close(struct reward_rules *r)
{
	if (!r)
		return;
	if (r->has_regex)
		regfree(&r->regex);
	json_schema_close(r->schema);
	mem_free(r);
}

const char *reward_right(const json_t *row, char room[32])
{
	static const char *const names[] = { "answer", "ground_truth", "solution" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const json_t *x = json_object_get(row, names[i]);
		if (json_is_string(x))
			return json_string_value(x);
		if (json_is_integer(x))
			snprintf(room, 32, "%lld", (long long)json_integer_value(x));
		else if (json_is_real(x))
			snprintf(room, 32, "%.15g", json_real_value(x));
		else
			continue;
		return room;
	}
	return NULL;
}
