/* gas export: the whole ledger as text: JSONL, which gas import reads again without loss, or CSV, one row a run, for
 * spreadsheets. */
#include "cmd/metering.h"

#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"

extern const struct command cmd_gas_export;

struct export {
	struct common common;
	const char *format;
};

static const struct opt export_opts[] = { OPT_CHOICE("format", struct export, format, "jsonl", "jsonl|csv",
	                                             "one JSON object a run with its artefacts, or one CSV row"),
	                                  COMMON_OPTS(struct export, common), OPT_END };

/* RFC 4180: a field with a comma, quote or line end is quoted, quotes are doubled. */
static void csv_field(struct buf *out, const char *text)
{
	if (!strpbrk(text, ",\"\r\n")) {
		buf_adds(out, text);
		return;
	}
	buf_addc(out, '"');
	for (; *text; text++) {
		if (*text == '"')
			buf_addc(out, '"');
		buf_addc(out, *text);
	}
	buf_addc(out, '"');
}

static void csv_row(struct buf *out, const struct entry *x)
{
	json_t *j = x ? entry_json(x, false) : NULL;

	for (const struct column *c = entry_columns; c->name; c++) {
		const json_t *value = json_object_get(j, c->name);
		char *line = value && !json_is_null(value) && !json_is_string(value) ? jsonx_line(value) : NULL;
		if (c->inner)
			continue;
		if (c != entry_columns)
			buf_addc(out, ',');
		csv_field(out, !x ? c->name : line ? line : json_is_string(value) ? json_string_value(value) : "");
		mem_free(line);
	}
	buf_addc(out, '\n');
	json_decref(j);
}

static void write_all(const struct export *o, const struct entries *all)
{
	bool csv = !strcmp(o->format, "csv");
	struct buf out = BUF_INIT;

	if (csv)
		csv_row(&out, NULL);
	for (size_t i = 0; i < all->n; i++) {
		if (csv) {
			csv_row(&out, &all->items[i]);
			continue;
		}
		json_t *j = entry_json(&all->items[i], true);
		app_json(j);
		json_decref(j);
	}
	if (csv)
		app_print("%s", buf_str(&out));
	buf_release(&out);
}

static int export(const struct export *o, struct err *e)
{
	struct ledger *l = NULL;
	struct entries all;
	char *path = metering_ledger_path(&o->common);
	int status = path ? ledger_open(&l, path, LEDGER_READ, e) :
	                    err_set(e, "neither XDG_STATE_HOME nor HOME is set; --ledger FILE names a ledger");

	if (!status && (status = ledger_runs(l, NULL, &all, e)) == 0) {
		write_all(o, &all);
		entries_release(&all);
	}
	ledger_close(l);
	mem_free(path);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	(void)app;
	(void)p;
	return export(options, e);
}

const struct command cmd_gas_export = {
	.name = "gas export",
	.summary = "the whole ledger as JSONL or CSV",
	.usage = "[--format jsonl|csv] > FILE",
	.example = "kungfu gas export > runs.jsonl",
	.order = 72,
	.looks = true,
	.opts = export_opts,
	.options_size = sizeof(struct export),
	.run = run,
};
