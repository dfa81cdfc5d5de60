/* ledger_served: rows of what was served, into the ledger and out of it. A row is a sum that its run alone writes, so
 * writing it again is enough after any end; sums over runs are SQLite's. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/ledger_parts.h"

void served_day(double wall_seconds, char day[11])
{
	time_t t = (time_t)wall_seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	if (!strftime(day, 11, "%Y-%m-%d", &tm))
		BUG("a day that has no four digits of a year");
}

static void add_known(double *sum, double more)
{
	if (isfinite(more))
		*sum += more;
}

void served_add_gas(struct served *s, const struct gas *g)
{
	add_known(&s->seconds, g->seconds);
	add_known(&s->joules, g->energy.joules);
	add_known(&s->joules_low, g->energy.low);
	add_known(&s->joules_high, g->energy.high);
	if (!isfinite(g->money.total) || (s->currency[0] && strcmp(s->currency, g->money.currency) != 0))
		return;
	s->money += g->money.total;
	memcpy(s->currency, g->money.currency, sizeof(s->currency));
}

/* --- every number of a row once: column, key of JSON, place --- */

#define COUNT(name) { #name, offsetof(struct served, name), true }
#define NUMBER(name) { #name, offsetof(struct served, name), false }
static const struct { const char *name; size_t offset; bool count; } numbers[] = {
	COUNT(requests), COUNT(tokens_in),  COUNT(cached),      COUNT(tokens_out), COUNT(guessed), COUNT(accepted),
	NUMBER(seconds), NUMBER(joules), NUMBER(joules_low), NUMBER(joules_high), NUMBER(money),
};

static int64_t *count_at(const struct served *s, size_t i) { return (int64_t *)((char *)s + numbers[i].offset); }
static double *number_at(const struct served *s, size_t i) { return (double *)((char *)s + numbers[i].offset); }

void served_add(struct served *sum, const struct served *more)
{
	bool foreign = sum->currency[0] && more->currency[0] && strcmp(sum->currency, more->currency) != 0;

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i].count)
			*count_at(sum, i) += *count_at(more, i);
		else if (!foreign || strcmp(numbers[i].name, "money") != 0)
			*number_at(sum, i) += *number_at(more, i);
	if (more->currency[0] && !foreign)
		memcpy(sum->currency, more->currency, sizeof(sum->currency));
}

json_t *served_json(const struct served *s)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s}", "day", s->day, "key", s->key, "model", s->model, "adapter",
	                      s->adapter);

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		json_object_set_new(j, numbers[i].name,
		                    numbers[i].count ? json_integer(*count_at(s, i)) : jsonx_number(*number_at(s, i)));
	json_object_set_new(j, "currency", s->currency[0] ? json_string(s->currency) : json_null());
	return j;
}

static const char *text_of(const json_t *j, const char *key, struct arena *a)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? arena_strdup(a, text) : NULL;
}

int served_from_json(struct served *s, const json_t *j, struct arena *a, const char *where, struct err *e)
{
	const char *currency = json_string_value(json_object_get(j, "currency"));

	*s = (struct served){ .day = text_of(j, "day", a),
		              .key = text_of(j, "key", a),
		              .model = text_of(j, "model", a),
		              .adapter = text_of(j, "adapter", a) };
	if (!s->day || !s->key || !s->model || !s->adapter)
		return err_set(e, "%s: what was served has no day, key, model or adapter", where);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		const json_t *v = json_object_get(j, numbers[i].name);
		if (!json_is_number(v) || !(json_number_value(v) >= 0) || (numbers[i].count && !json_is_integer(v)))
			return err_set(e, "%s: served: \"%s\": a number was wanted", where, numbers[i].name);
		if (numbers[i].count)
			*count_at(s, i) = json_integer_value(v);
		else
			*number_at(s, i) = json_number_value(v);
	}
	if (currency && strlen(currency) == 3)
		memcpy(s->currency, currency, 4);
	return 0;
}

/* --- the table --- */

static int put_row(struct ledger *l, const char *run, const struct served *s, struct err *e)
{
	static const char sql[] =
		"INSERT OR REPLACE INTO served(run, day, key, model, adapter, requests, tokens_in, cached, tokens_out, "
		"guessed, accepted, seconds, joules, joules_low, joules_high, money, currency) "
		"VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	sqlite3_stmt *q = ledger_prepare(l, sql, e);
	int at = 5;

	if (!q)
		return -1;
	bind_text(q, 1, run);
	bind_text(q, 2, s->day);
	bind_text(q, 3, s->key);
	bind_text(q, 4, s->model);
	bind_text(q, 5, s->adapter);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i].count)
			sqlite3_bind_int64(q, ++at, *count_at(s, i));
		else
			sqlite3_bind_double(q, ++at, *number_at(s, i));
	bind_text(q, ++at, s->currency);
	return ledger_finish(l, q, e);
}

int ledger_put_served(struct ledger *l, const char *run, const struct served *rows, size_t n, struct err *e)
{
	if (!n)
		return 0;
	if (ledger_begin(l, e) < 0)
		return -1;
	int status = 0;
	for (size_t i = 0; i < n && status == 0; i++)
		status = put_row(l, run, &rows[i], e);
	return ledger_end(l, status, e);
}

/* The columns of a row from `at` on: day, key, model, adapter, numbers, currency. */
static void read_row(sqlite3_stmt *q, struct served *s)
{
	const char *currency;
	int at = 4;

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++, at++)
		if (numbers[i].count)
			*count_at(s, i) = sqlite3_column_int64(q, at);
		else
			*number_at(s, i) = sqlite3_column_double(q, at);
	currency = (const char *)sqlite3_column_text(q, at);
	if (currency && strlen(currency) == 3)
		memcpy(s->currency, currency, 4);
}

static const char *text_at(sqlite3_stmt *q, int at)
{
	const char *text = (const char *)sqlite3_column_text(q, at);

	return text ? text : "";
}

int ledger_each_served(struct ledger *l, const char *from_day, void (*each)(void *ctx, const struct served *s),
                       void *ctx, struct err *e)
{
	static const char sql[] =
		"SELECT day, key, model, adapter, sum(requests), sum(tokens_in), sum(cached), sum(tokens_out), "
		"sum(guessed), sum(accepted), sum(seconds), sum(joules), sum(joules_low), sum(joules_high), "
		"sum(money), currency FROM served WHERE day >= ? GROUP BY day, key, model, adapter, currency "
		"ORDER BY day, key, model, adapter";
	sqlite3_stmt *q = ledger_prepare(l, sql, e);
	int step;

	if (!q)
		return -1;
	bind_text(q, 1, from_day);
	while ((step = sqlite3_step(q)) == SQLITE_ROW) {
		struct served s = { .day = text_at(q, 0), .key = text_at(q, 1), .model = text_at(q, 2),
			            .adapter = text_at(q, 3) };
		read_row(q, &s);
		each(ctx, &s);
	}
	int status = step == SQLITE_DONE ? 0 : ledger_error(l, "cannot be read", e);
	sqlite3_finalize(q);
	return status;
}

int ledger_read_served(const struct ledger *l, struct entry *x, struct arena *a, struct err *e)
{
	static const char sql[] =
		"SELECT day, key, model, adapter, requests, tokens_in, cached, tokens_out, guessed, accepted, seconds, "
		"joules, joules_low, joules_high, money, currency FROM served WHERE run = ? ORDER BY day, key, model, "
		"adapter";
	sqlite3_stmt *q = ledger_prepare(l, sql, e);
	size_t room = 0;

	if (!q)
		return -1;
	bind_text(q, 1, x->id);
	while (sqlite3_step(q) == SQLITE_ROW) {
		if (x->n_served == room) {
			struct served *more = arena_array(a, room = room ? 2 * room : 8, sizeof(*more));
			if (x->n_served)
				memcpy(more, x->served, x->n_served * sizeof(*more));
			x->served = more;
		}
		struct served *s = &x->served[x->n_served++];
		*s = (struct served){ .day = column_text(q, 0, a), .key = column_text(q, 1, a),
			              .model = column_text(q, 2, a), .adapter = column_text(q, 3, a) };
		read_row(q, s);
	}
	sqlite3_finalize(q);
	return 0;
}
