/* ledger_past: how far predictions were off on this machine: raw figures of finished runs beside what they took. */
#include <math.h>
#include <string.h>

#include "gas/ledger_parts.h"

/* rows that are looked through, so that a long ledger costs no more than a short one */
enum { NEWEST = 4000 };

static const char *const sql =
	"SELECT json_extract(prediction, '$.kind'), json_extract(prediction, '$.planned_seconds'), seconds,"
	" json_extract(prediction, '$.planned_seconds_sigma'), json_extract(prediction, '$.planned_bytes'),"
	" peak_rss_bytes, threads, joules, energy_method, energy_source, share, cpu_seconds"
	" FROM (SELECT * FROM run ORDER BY rowid DESC LIMIT ?4)"
	" WHERE command = ?1 AND machine = ?2 AND kernels = ?3 AND"
	" status = 'finished' AND parent IS NULL AND seconds > 0 AND peak_rss_bytes > 0 AND json_valid(prediction) AND "
        "json_extract(prediction, '$.kind') IS NOT NULL"
	" ORDER BY began DESC, rowid DESC LIMIT ?5";

/* Only what counters told teaches: the model's own figures would teach the model. */
static void take_energy(sqlite3_stmt *s, struct arena *a, struct ledger_past *x)
{
	const char *method = column_text(s, 8, a), *source = column_text(s, 9, a);

	if (!method || (strcmp(method, "measured") && strcmp(method, "mixed")) ||
	    sqlite3_column_type(s, 7) == SQLITE_NULL)
		return;
	x->joules = sqlite3_column_double(s, 7);
	x->share = sqlite3_column_type(s, 10) == SQLITE_NULL ? 1 : sqlite3_column_double(s, 10);
	x->energy_method = method;
	x->energy_source = source ? source : "";
}

size_t ledger_past(struct ledger *l, const struct entry *like, const char *command, struct arena *a,
                   struct ledger_past *out, size_t room)
{
	struct err ignored = ERR_INIT;
	sqlite3_stmt *s = ledger_prepare(l, sql, &ignored);
	size_t n = 0;

	if (!s)
		return 0;
	bind_text(s, 1, command);
	bind_text(s, 2, like->machine);
	bind_text(s, 3, like->kernels);
	bind_count(s, 4, NEWEST);
	bind_count(s, 5, (int64_t)room);
	while (n < room && sqlite3_step(s) == SQLITE_ROW) {
		out[n] = (struct ledger_past){ column_text(s, 0, a),
			                       sqlite3_column_double(s, 1),
			                       sqlite3_column_double(s, 2),
			                       sqlite3_column_double(s, 3),
			                       sqlite3_column_double(s, 4),
			                       sqlite3_column_double(s, 5),
			                       column_count(s, 6),
			                       NAN,
			                       1,
			                       NAN,
			                       "",
			                       "" };
		if (sqlite3_column_type(s, 11) != SQLITE_NULL)
			out[n].cpu_seconds = sqlite3_column_double(s, 11);
		take_energy(s, a, &out[n++]);
	}
	sqlite3_finalize(s);
	return n;
}
