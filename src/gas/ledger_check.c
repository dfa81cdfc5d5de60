/* ledger_check: is the file whole (SQLite's own check), and do its rows make sense. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gas/ledger_parts.h"

static const struct { const char *sql, *says;
} rules[] = {
	{ "SELECT u.run || ' ' || u.artefact FROM artefact_use u LEFT JOIN run r ON r.id = u.run WHERE r.id IS NULL",
	  "names an artefact, but there is no such run" },
	{ "SELECT u.run || ' ' || u.artefact FROM artefact_use u LEFT JOIN artefact a ON a.hash = u.artefact WHERE "
	  "a.hash IS NULL",
	  "is used, but there is no such artefact" },
	{ "SELECT hash FROM artefact WHERE kind IS NULL OR kind NOT IN ('model', 'adapter', 'data', 'index', 'labels')",
	  "is an artefact of a kind that does not exist" },
	{ "SELECT id FROM run WHERE length(id) != 36 OR status IS NULL OR command IS NULL",
	  "is a run without id, command or status" },
	{ "SELECT id FROM run WHERE status NOT IN ('running', 'finished', 'failed', 'stopped', 'killed', 'declared')",
	  "has a status that does not exist" },
	{ "SELECT id FROM run WHERE seconds < 0 OR cpu_seconds < 0 OR joules < 0 OR money < 0",
	  "has a cost below nothing" },
	{ "SELECT id FROM run WHERE joules < joules_low OR joules > joules_high",
	  "has joules outside their own bounds" },
	{ "SELECT id FROM run WHERE joules IS NOT NULL AND (energy_method IS NULL OR energy_method = 'none')",
	  "has joules of no source" },
	{ "SELECT id FROM run WHERE money IS NOT NULL AND currency IS NULL", "has money of no currency" },
};

static int each_row(struct ledger *l, const char *sql, const char *says, void (*say)(void *, const char *), void *ctx,
                    size_t *findings, struct err *e)
{
	sqlite3_stmt *s = ledger_prepare(l, sql, e);
	int step = SQLITE_ERROR;

	while (s && (step = sqlite3_step(s)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 0);
		if (!says && text && !strcmp(text, "ok"))
			continue;
		char *line = mem_printf("%s%s%s", text ? text : "", says ? " " : "", says ? says : "");
		say(ctx, line);
		mem_free(line);
		++*findings;
	}
	sqlite3_finalize(s);
	return s && step == SQLITE_DONE ? 0 : ledger_error(l, "cannot be checked", e);
}

int ledger_check(struct ledger *l, void (*say)(void *ctx, const char *finding), void *ctx, size_t *findings,
                 struct err *e)
{
	int status;

	*findings = 0;
	status = each_row(l, "PRAGMA integrity_check", NULL, say, ctx, findings, e);
	for (size_t i = 0; i < ARRAY_LEN(rules) && !status; i++)
		status = each_row(l, rules[i].sql, rules[i].says, say, ctx, findings, e);
	return status;
}
