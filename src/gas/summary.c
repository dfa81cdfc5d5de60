/* summary: reads what --json wrote, and figures that a person types. A summary is the last line of a file of JSON
 * lines, whatever was printed before it. See summary.h. */
#include "gas/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"

/* A whole finite number of at least 0 at the beginning of *at. */
static bool take(const char **at, double *x)
{
	char *end;
	*x = strtod(*at, &end);
	bool fine = end != *at && isfinite(*x) && *x >= 0;
	*at = end;
	return fine;
}

int number_parse(struct span *s, const char *text, const char *what, struct err *e)
{
	const char *at = text;
	double x, half = 0;
	bool fine = take(&at, &x);

	if (fine && (!strncmp(at, "±", strlen("±")) || !strncmp(at, "+-", 2))) {
		at += 2; /* either has two bytes */
		fine = take(&at, &half);
	}
	if (!fine || *at)
		return err_set(e, "%s %s: a number, or a number±half of its interval, was wanted", what, text);
	*s = (struct span){ x, fmax(0, x - half), x + half };
	return 0;
}

json_t *summary_load(const char *path, struct err *e)
{
	struct buf text = BUF_INIT;
	json_t *j = NULL;

	if (io_read(&text, path, e) == 0) {
		while (text.len && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r'))
			text.len--;
		const char *begin = buf_str(&text), *last = text.len ? memrchr(begin, '\n', text.len) : NULL;
		last = last ? last + 1 : begin;
		j = jsonx_load(last, text.len - (size_t)(last - begin), path, e);
	}
	buf_release(&text);
	if (j && !json_is_object(j)) {
		json_decref(j);
		j = NULL;
		err_set(e, "%s: its last line is no JSON object, as --json writes them", path);
	}
	return j;
}

/* A share of n rows. All or none of them right has an error of 0 by the usual formula and is not exact: then Wilson's
 * interval (1927); where neither error nor n is known there is no interval. */
static struct span share_of(double mean, double error, double n)
{
	double z = SPAN_Z * SPAN_Z;

	if (!(error > 0) && n > 0) {
		double middle = (mean + z / (2 * n)) / (1 + z / n),
		       half = SPAN_Z / (1 + z / n) * sqrt(mean * (1 - mean) / n + z / (4 * n * n));
		return (struct span){ mean, fmin(mean, middle - half), fmax(mean, middle + half) };
	}
	if (!(error > 0))
		return (struct span){ mean, NAN, NAN };
	struct span s = span_error(mean, error);
	return (struct span){ mean, fmax(s.low, 0), fmin(s.high, 1) };
}

int summary_quality(struct span *s, const json_t *summary, const char *path, struct err *e)
{
	static const char *const names[] = { "acc", "exact_match", "acc_norm" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char key[32];
		const json_t *mean = json_object_get(summary, names[i]);
		snprintf(key, sizeof(key), "%s_stderr", names[i]);
		if (!json_is_number(mean))
			continue;
		const json_t *error = json_object_get(summary, key);
		*s = share_of(json_number_value(mean), json_is_number(error) ? json_number_value(error) : NAN,
		              json_number_value(json_object_get(summary, "n")));
		return 0;
	}
	return err_set(e, "%s: no acc, exact_match or acc_norm in it; kungfu eval --json has one", path);
}

void span_put(json_t *j, const char *name, struct span s)
{
	const double x[] = { s.mid, s.low, s.high };
	static const char *const ends[] = { "", "_low", "_high" };

	for (int i = 0; i < 3; i++) {
		char *key = mem_printf("%s%s", name, ends[i]);
		json_object_set_new(j, key, jsonx_number(x[i]));
		mem_free(key);
	}
}
