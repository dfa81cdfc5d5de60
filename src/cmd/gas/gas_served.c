/* gas_served: rows of the ledger added up for eyes and for --json. Joules are of requests whose share is known. */
#include "cmd/gas/gas_served.h"

#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/mem.h"
#include "cmd/text_table.h"

enum { BY_KEY = 1, BY_MODEL = 2, BY_DAY = 4 };

struct sums {
	struct arena mem;
	struct served *rows;           /* [n] */
	size_t n, room;
	unsigned by;
};

static const char *kept(struct sums *s, unsigned of, const char *text)
{
	return s->by & of ? arena_strdup(&s->mem, text) : "";
}

static bool same(const struct sums *s, const struct served *a, const struct served *b)
{
	return (!(s->by & BY_DAY) || !strcmp(a->day, b->day)) && (!(s->by & BY_KEY) || !strcmp(a->key, b->key)) &&
	       (!(s->by & BY_MODEL) || (!strcmp(a->model, b->model) && !strcmp(a->adapter, b->adapter))) &&
	       (!a->currency[0] || !b->currency[0] || !strcmp(a->currency, b->currency));
}

static void add(void *ctx, const struct served *row)
{
	struct sums *s = ctx;
	size_t i = 0;

	while (i < s->n && !same(s, &s->rows[i], row))
		i++;
	if (i == s->n) {
		if (s->n == s->room)
			s->rows = mem_grow(s->rows, s->room = s->room ? 2 * s->room : 16, sizeof(*s->rows));
		s->rows[s->n++] = (struct served){ .day = kept(s, BY_DAY, row->day),
			                           .key = kept(s, BY_KEY, row->key),
			                           .model = kept(s, BY_MODEL, row->model),
			                           .adapter = kept(s, BY_MODEL, row->adapter) };
	}
	served_add(&s->rows[i], row);
}

static void release(struct sums *s)
{
	mem_free(s->rows);
	arena_release(&s->mem);
}

static void add_line(struct table *t, const struct sums *s, const struct served *x)
{
	char text[48], low[32], high[32];
	double tokens = (double)(x->tokens_in + x->tokens_out);

	if (s->by & BY_DAY)
		table_cell(t, "%s", x->day);
	if (s->by & BY_KEY)
		table_cell(t, "%s", *x->key ? x->key : "-");
	if (s->by & BY_MODEL) {
		table_cell(t, "%s", x->model);
		table_cell(t, "%s", *x->adapter ? x->adapter : "-");
	}
	table_cell(t, "%s", human_count((double)x->requests, text));
	table_cell(t, "%s", human_count((double)x->tokens_in, text));
	table_cell(t, "%s", human_count((double)x->cached, text));
	table_cell(t, "%s", human_count((double)x->tokens_out, text));
	if (x->joules > 0) {
		gas_joules(x->joules, text);
		table_cell(t, "%s (%s to %s)", text, gas_joules(x->joules_low, low),
		           gas_joules(x->joules_high, high));
		table_cell(t, "%s", tokens > 0 ? gas_joules(1000 * x->joules / tokens, text) : "-");
	} else {
		table_cell(t, "-");
		table_cell(t, "-");
	}
	table_cell(t, "%s", x->currency[0] ? human_money(x->money, x->currency, text) : "-");
}

static void show(const struct sums *s, const char *indent)
{
	static const char *const heads[] = { "requests", "tokens in",        "kept", "tokens out",
		                             "energy",   "per 1,000 tokens", "money" };
	unsigned first = ((s->by & BY_DAY) != 0) + ((s->by & BY_KEY) != 0) + 2 * ((s->by & BY_MODEL) != 0);
	struct table t = { .columns = (int)(first + ARRAY_LEN(heads)), .right = 0xfU << first };
	struct buf text = BUF_INIT;

	if (s->by & BY_DAY)
		table_cell(&t, "day");
	if (s->by & BY_KEY)
		table_cell(&t, "key");
	if (s->by & BY_MODEL) {
		table_cell(&t, "model");
		table_cell(&t, "adapter");
	}
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (size_t i = 0; i < s->n; i++)
		add_line(&t, s, &s->rows[i]);
	table_write(&text, &t, indent);
	app_print("%s", buf_str(&text));
	buf_release(&text);
	table_release(&t);
}

void served_of_run(const struct entry *x)
{
	struct sums s = { .mem = ARENA_INIT, .by = BY_KEY | BY_MODEL };

	for (size_t i = 0; i < x->n_served; i++)
		add(&s, &x->served[i]);
	if (s.n) {
		app_print("  served\n");
		show(&s, "    ");
	}
	release(&s);
}

int served_by(const struct app *app, struct ledger *l, const char *by, const char *since, struct err *e)
{
	struct sums s = { .mem = ARENA_INIT,
		          .by = !strcmp(by, "key")   ? BY_KEY :
		                !strcmp(by, "model") ? BY_MODEL :
		                                       BY_DAY };
	int status = ledger_each_served(l, since ? since : "", add, &s, e);

	for (size_t i = 0; i < s.n && app->json && status == 0; i++) {
		json_t *j = served_json(&s.rows[i]);
		app_json(j);
		json_decref(j);
	}
	if (status == 0 && !app->json && s.n)
		show(&s, "");
	else if (status == 0 && !app->json)
		app_print("no server has answered anything that the ledger knows\n");
	release(&s);
	return status;
}
