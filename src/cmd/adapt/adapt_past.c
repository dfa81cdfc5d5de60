/* adapt_past: what this machine's ledger knows of ways: earlier runs of adapt on rows with classes. A run's way that
 * scored s went a share of the way from the floor to the ceiling,
 *
 *     c = (s − floor)/(ceiling − floor) / (n/(n + half))
 *
 * n its rows to learn from, and what is believed of the way is the mean of those, the prior counting as much as WEIGHT
 * runs. It is decided once a run and kept in its notes, so that a run that goes on believes the same. */
#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/adapt/adapt_parts.h"
#include "cmd/metering.h"
#include "gas/ledger.h"

enum { WEIGHT = 4, RUNS_MOST = 50 };

/* Of a rung, on whichever model. */
struct seen {
	double sum, n;
};

static const struct rung_prior *prior_of_way(const struct adapt *a, const char *name, size_t *at)
{
	size_t n = strcspn(name, "@");

	for (*at = 0; *at < a->priors.n; (*at)++)
		if (strlen(rung_table[*at]->name) == n && !strncmp(rung_table[*at]->name, name, n))
			return &a->priors.rung[*at];
	return NULL;
}

static double number(const json_t *j, const char *key)
{
	const json_t *x = json_object_get(j, key);
	return json_is_number(x) ? json_number_value(x) : NAN;
}

static void look_at_run(const struct adapt *a, const json_t *metrics, struct seen *seen)
{
	double floor = number(metrics, "floor"), ceiling = number(metrics, "ceiling"),
	       n = number(metrics, "rows_train");
	json_t *ways = json_object_get(metrics, "ways"), *score;
	const char *measure = json_string_value(json_object_get(metrics, "measure")), *name;

	if (!measure || strcmp(measure, measure_names[MEASURE_ACCURACY]) != 0 || !(ceiling > floor))
		return;
	json_object_foreach (ways, name, score) {
		size_t i;
		const struct rung_prior *p = prior_of_way(a, name, &i);
		double share = p ? (number(ways, name) - floor) / (ceiling - floor) * (n + p->half) / n : NAN;
		if (!isfinite(share) || p->reach <= 0)
			continue;
		seen[i].sum += fmin(fmax(share, 0), 1);
		seen[i].n++;
	}
}

static void look_at_ledger(const struct adapt *a, struct seen *seen)
{
	struct err ignored = ERR_INIT;
	struct ledger_filter f = { .command = "adapt", .status = "finished", .limit = RUNS_MOST };
	struct ledger *l;
	struct entries runs;
	char *path = metering_ledger_path(&a->o.common);

	if (path && strcmp(path, "off") != 0 && ledger_open(&l, path, LEDGER_READ, &ignored) == 0) {
		if (ledger_runs(l, &f, &runs, &ignored) == 0) {
			for (size_t i = 0; i < runs.n; i++) {
				const char *text = runs.items[i].metrics;
				json_t *m = text ? jsonx_load(text, strlen(text), "metrics", &ignored) : NULL;
				look_at_run(a, m, seen);
				json_decref(m);
			}
			entries_release(&runs);
		}
		ledger_close(l);
	}
	mem_free(path);
}

void adapt_learn_from_past(struct adapt *a)
{
	struct seen *seen = mem_array(a->priors.n + 1, sizeof(*seen));
	json_t *kept = json_object_get(a->notes, "reach");

	if (!kept) {
		kept = json_object();
		json_object_set_new(a->notes, "reach", kept);
		look_at_ledger(a, seen);
		for (size_t i = 0; i < a->priors.n; i++)
			if (seen[i].n > 0)
				json_object_set_new(kept, rung_table[i]->name,
				                    json_real((WEIGHT * a->priors.rung[i].reach + seen[i].sum) /
				                              (WEIGHT + seen[i].n)));
	}
	for (size_t i = 0; i < a->priors.n; i++) {
		const json_t *reach = json_object_get(kept, rung_table[i]->name);
		if (reach)
			a->priors.rung[i].reach = json_number_value(reach);
	}
	mem_free(seen);
}
