/* schema_values: strings and numbers of a schema. Whole numbers between two bounds are classes of digits:
 *
 *     123..456  =  12[3-9] | 1[3-9][0-9] | [2-3][0-9]{2} | 4[0-4][0-9] | 45[0-6]
 *
 * one length of digits after another. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/chars.h"
#include "grammar/grammar.h"
#include "grammar/regex.h"
#include "grammar/schema_parts.h"

const char schema_base[] =
	"ws ::= (\" \" | \"\\n\" [ \\t]{0,20})?\n"
	"json-hex ::= [0-9a-fA-F]\n"
	"json-escape ::= \"\\\\\" ([\"\\\\/bfnrt] | \"u\" json-unit)\n"
	"json-unit ::= [1-9a-cA-CefEF] json-hex{3} | \"0\" [1-9a-fA-F] json-hex{2} | \"00\" [1-9a-fA-F] json-hex |"
	" \"000\" [1-9a-fA-F] | [dD] [0-7] json-hex{2} |"
	" [dD] [89abAB] json-hex{2} \"\\\\u\" [dD] [c-fC-F] json-hex{2}\n"
	"json-char ::= [^\"\\\\\\x00-\\x1f\\x7f] | json-escape\n"
	"name-char ::= [^\"\\\\\\x00-\\x1f\\x7f]\n"
	"json-string ::= \"\\\"\" json-char* \"\\\"\"\n"
	"json-integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15})\n"
	"json-number ::= json-integer (\".\" [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?\n"
	"json-pair ::= json-string \":\" ws json-value\n"
	"json-object ::= \"{\" ws \"}\" | \"{\" ws json-pair (\",\" ws json-pair)* ws \"}\"\n"
	"json-array ::= \"[\" ws \"]\" | \"[\" ws json-value (\",\" ws json-value)* ws \"]\"\n"
	"json-value ::= json-object | json-array | json-string | json-number | json-word\n"
	"date-31 ::= (\"01\" | \"03\" | \"05\" | \"07\" | \"08\" | \"10\" | \"12\") \"-\" (\"0\" [1-9] | [12] [0-9] | "
        "\"3\" [01])\n"
	"date-30 ::= (\"04\" | \"06\" | \"09\" | \"11\") \"-\" (\"0\" [1-9] | [12] [0-9] | \"30\")\n"
	"date-28 ::= \"02-\" (\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8])\n"
	"date ::= ([1-9] [0-9]{3}) \"-\" (date-31 | date-30 | date-28)\n"
	"clock ::= ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9]\n"
	"time ::= clock \":\" [0-5] [0-9] (\".\" [0-9]{1,6})? (\"Z\" | [-+] clock)\n"
	"date-time ::= date \"T\" time\n"
	"count ::= [0-9]{1,9}\n"
	"span-time ::= \"T\" (count \"H\" (count \"M\" (count \"S\")?)? | count \"M\" (count \"S\")? | count \"S\")\n"
	"span-date ::= (count \"D\" | count \"M\" (count \"D\")? | count \"Y\" (count \"M\" (count \"D\")?)?) "
        "span-time?\n"
	"duration ::= \"P\" (span-date | span-time | count \"W\")\n"
	"uuid ::= json-hex{8} \"-\" json-hex{4} \"-\" json-hex{4} \"-\" json-hex{4} \"-\" json-hex{12}\n"
	"label ::= [a-zA-Z0-9] ([a-zA-Z0-9-]{0,20} [a-zA-Z0-9])?\n"
	"hostname ::= label (\".\" label){0,4}\n"
	"email ::= [a-zA-Z0-9_+-]{1,30} (\".\" [a-zA-Z0-9_+-]{1,15}){0,2} \"@\" label (\".\" label){1,4}\n"
	"octet ::= [0-9] | [1-9] [0-9] | \"1\" [0-9]{2} | \"2\" [0-4] [0-9] | \"25\" [0-5]\n"
	"ipv4 ::= octet (\".\" octet){3}\n"
	"ipv6 ::= json-hex{1,4} (\":\" json-hex{1,4}){7}\n"
	"uri ::= \"http\" \"s\"? \"://\" hostname (\":\" [1-9] [0-9]{0,3})? (\"/\" [a-zA-Z0-9._~-]*)*"
	" (\"?\" [a-zA-Z0-9._~=&-]*)? (\"#\" [a-zA-Z0-9._~-]*)?\n";

int schema_count(const struct schema_writer *w, const json_t *s, const char *key, int64_t init, int64_t *out)
{
	const json_t *j = json_object_get(s, key);
	double x = json_is_number(j) ? json_number_value(j) : -1;

	*out = init;
	if (!j)
		return 0;
	if (x < 0 || x != floor(x))
		return schema_refuse(w, "'%s' is a whole number from 0 on", key);
	if (x > GRAMMAR_REPEAT)
		return schema_refuse(w, "'%s' is more than %d", key, GRAMMAR_REPEAT);
	*out = (int64_t)x;
	return 0;
}

/* --- strings --- */

static int write_format(const struct schema_writer *w, const json_t *format, struct buf *out)
{
	static const char *const known[] = { "date",  "time",     "date-time", "duration", "uuid",
		                             "email", "hostname", "ipv4",      "ipv6",     "uri" };
	const char *name = json_string_value(format);

	for (size_t i = 0; name && i < ARRAY_LEN(known); i++)
		if (!strcmp(name, known[i])) {
			buf_addf(out, "\"\\\"\" %s \"\\\"\"", name);
			return 0;
		}
	return schema_refuse(w, "the format '%.40s' is not understood", name ? name : "");
}

static int write_pattern(const struct schema_writer *w, const json_t *pattern, struct buf *out)
{
	struct err e = ERR_INIT;

	if (!json_is_string(pattern))
		return schema_refuse(w, "'pattern' is a text");
	buf_adds(out, "\"\\\"\" ");
	if (regex_expression(json_string_value(pattern), json_string_length(pattern), true, out, &e) < 0)
		return schema_refuse(w, "'pattern': %s", e.msg);
	buf_adds(out, " \"\\\"\"");
	return 0;
}

int schema_string(struct schema_writer *w, const json_t *s, struct buf *out)
{
	const json_t *pattern = json_object_get(s, "pattern"), *format = json_object_get(s, "format");
	bool bounded = json_object_get(s, "minLength") || json_object_get(s, "maxLength");
	int64_t least, most;

	if (!!pattern + !!format + bounded > 1)
		return schema_refuse(w, "of pattern, format and minLength or maxLength one stands alone");
	if (pattern)
		return write_pattern(w, pattern, out);
	if (format)
		return write_format(w, format, out);
	if (schema_count(w, s, "minLength", 0, &least) < 0 || schema_count(w, s, "maxLength", -1, &most) < 0)
		return -1;
	if (most >= 0 && most < least)
		return schema_refuse(w, "'maxLength' is below 'minLength'");
	buf_adds(out, "\"\\\"\" json-char");
	if (most < 0 && least)
		buf_addf(out, "{%lld,}", (long long)least);
	else if (most < 0)
		buf_adds(out, "*");
	else
		buf_addf(out, "{%lld,%lld}", (long long)least, (long long)most);
	buf_adds(out, " \"\\\"\"");
	return 0;
}

/* --- numbers between bounds --- */

static bool all(const char *digits, char c)
{
	for (; *digits; digits++)
		if (*digits != c)
			return false;
	return true;
}

static void write_free(struct buf *out, size_t n)
{
	if (n)
		buf_addf(out, " [0-9]{%zu}", n);
}

/* Digits from lo to hi, as many; each alternative is ended by " | ". before: digits that stand in front. */
static void same_length(struct buf *out, const char *before, size_t n_before, const char *lo, const char *hi)
{
	size_t n = strlen(lo);
	char nines[24] = "", zeros[24] = "", head[24];

	if (n == 0 || (all(lo, '0') && all(hi, '9'))) {
		buf_addf(out, "\"%.*s\"", (int)n_before, before);
		write_free(out, n);
		buf_adds(out, " | ");
		return;
	}
	memcpy(head, before, n_before);
	if (*lo == *hi) {
		head[n_before] = *lo;
		same_length(out, head, n_before + 1, lo + 1, hi + 1);
		return;
	}
	memset(nines, '9', n - 1);
	memset(zeros, '0', n - 1);
	char from = *lo, to = *hi;
	if (!all(lo + 1, '0')) {
		head[n_before] = from++;
		same_length(out, head, n_before + 1, lo + 1, nines);
	}
	bool partly = !all(hi + 1, '9');
	to -= partly;
	if (from <= to) {
		buf_addf(out, "\"%.*s\" [%c-%c]", (int)n_before, before, from, to);
		write_free(out, n - 1);
		buf_adds(out, " | ");
	}
	if (partly) {
		head[n_before] = *hi;
		same_length(out, head, n_before + 1, zeros, hi + 1);
	}
}

/* lo..hi without a sign, as alternatives that end in " | ". */
static void magnitudes(struct buf *out, uint64_t lo, uint64_t hi)
{
	for (uint64_t end = 9; lo <= hi; end = end * 10 + 9) {
		char from[24], to[24];
		if (lo > end && end < 1000000000000000000ULL)
			continue;
		uint64_t last = end < 1000000000000000000ULL ? MIN(hi, end) : hi;
		snprintf(from, sizeof(from), "%llu", (unsigned long long)lo);
		snprintf(to, sizeof(to), "%llu", (unsigned long long)last);
		same_length(out, "", 0, from, to);
		if (last == hi)
			return;
		lo = last + 1;
	}
}

static void cut_bar(struct buf *out)
{
	if (out->len >= 3 && !memcmp(out->data + out->len - 3, " | ", 3)) {
		out->len -= 3;
		out->data[out->len] = 0;
	}
}

#define WIDE 9999999999999999LL

static void write_whole(struct buf *out, int64_t lo, int64_t hi)
{
	if (lo < 0) {
		buf_adds(out, "\"-\" (");
		magnitudes(out, hi < 0 ? (uint64_t)-hi : 1, (uint64_t)-lo);
		cut_bar(out);
		buf_adds(out, hi < 0 ? ")" : ") | ");
	}
	if (hi >= 0)
		magnitudes(out, (uint64_t)MAX(lo, 0), (uint64_t)hi);
	cut_bar(out);
}

/* A number without a sign from lo to hi, which are its own or not: alternatives that end in " | ". */
static void write_part(struct buf *out, int64_t lo, bool lo_out, int64_t hi, bool hi_out)
{
	int64_t from = lo + lo_out;

	if (lo_out && lo < hi)
		buf_addf(out, "\"%lld.\" \"0\"{0,15} [1-9] [0-9]{0,15} | ", (long long)lo);
	if (from < hi) {
		buf_adds(out, "(");
		magnitudes(out, (uint64_t)from, (uint64_t)hi - 1);
		cut_bar(out);
		buf_adds(out, ") (\".\" [0-9]{1,16})? | ");
	}
	if (!hi_out && from <= hi)
		buf_addf(out, "\"%lld\" (\".\" \"0\"{1,16})? | ", (long long)hi);
}

static int write_real(struct schema_writer *w, double lo, bool lo_out, double hi, bool hi_out, struct buf *out)
{
	size_t was = out->len;

	if (lo != floor(lo) || hi != floor(hi))
		return schema_refuse(w, "bounds of a number are whole here");
	if (lo < 0) {
		buf_adds(out, "\"-\" (");
		size_t inner = out->len;
		write_part(out, hi < 0 ? (int64_t)-hi : 0, hi < 0 || (hi == 0 && hi_out) ? hi_out : false, (int64_t)-lo,
		           lo_out);
		if (out->len == inner)
			buf_adds(out, "[^\\x00-\\U0010FFFF]"); /* none */
		cut_bar(out);
		buf_adds(out, ") | ");
	}
	if (hi >= 0)
		write_part(out, (int64_t)MAX(lo, 0), lo >= 0 && lo_out, (int64_t)hi, hi_out);
	if (out->len == was)
		return schema_refuse(w, "no number is within its bounds");
	cut_bar(out);
	return 0;
}

/* One bound of the two that there may be; out: it is not one of the numbers. */
static int read_bound(struct schema_writer *w, const json_t *s, bool most, double *x, bool *excluded)
{
	const char *plain = most ? "maximum" : "minimum", *beyond = most ? "exclusiveMaximum" : "exclusiveMinimum";
	const json_t *a = json_object_get(s, plain), *b = json_object_get(s, beyond);

	*excluded = false;
	*x = most ? INFINITY : -INFINITY;
	if ((a && !json_is_number(a)) || (b && !json_is_number(b)))
		return schema_refuse(w, "'%s' is a number", a && !json_is_number(a) ? plain : beyond);
	if (a)
		*x = json_number_value(a);
	if (b && (most ? json_number_value(b) <= *x : json_number_value(b) >= *x)) {
		*x = json_number_value(b);
		*excluded = true;
	}
	if (isfinite(*x) && fabs(*x) > 9e15)
		return schema_refuse(w, "'%s' is beyond 16 digits", *excluded ? beyond : plain);
	return 0;
}

int schema_number(struct schema_writer *w, const json_t *s, bool whole, struct buf *out)
{
	const json_t *multiple = json_object_get(s, "multipleOf");
	double lo, hi;
	bool lo_out, hi_out;

	if (multiple && !(whole && json_is_number(multiple) && json_number_value(multiple) == 1))
		return schema_refuse(w, "'multipleOf' is not understood");
	if (read_bound(w, s, false, &lo, &lo_out) < 0 || read_bound(w, s, true, &hi, &hi_out) < 0)
		return -1;
	if (!isfinite(lo) && !isfinite(hi)) {
		buf_adds(out, whole ? "json-integer" : "json-number");
		return 0;
	}
	double least = isfinite(lo) ? ceil(lo) + (lo_out && lo == ceil(lo)) : -(double)WIDE,
	       most = isfinite(hi) ? floor(hi) - (hi_out && hi == floor(hi)) : (double)WIDE;
	if (whole && least > most)
		return schema_refuse(w, "no integer is within its bounds");
	if (!whole && (lo > hi || (lo == hi && (lo_out || hi_out))))
		return schema_refuse(w, "no number is within its bounds");
	if (!whole)
		return write_real(w, isfinite(lo) ? lo : -9e15, lo_out, isfinite(hi) ? hi : 9e15, hi_out, out);
	write_whole(out, (int64_t)least, (int64_t)most);
	return 0;
}
