/* adapt_facts: what a folder of `kungfu adapt` is, of its artefact.json and of what adapt.json says came of the run
 * that left it: which way on which model, what it was chosen for and shows, what making it and using it takes. For
 * info. */
#include <math.h>
#include <string.h>

#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "cmd/adapt/adapt_parts.h"

static double number(const json_t *j, const char *key)
{
	const json_t *x = json_object_get(j, key);
	return json_is_number(x) ? json_number_value(x) : NAN;
}

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	return s ? s : "";
}

/* The round that left the artefact: the last that ended. */
static const json_t *last_round(const json_t *state)
{
	const json_t *rounds = json_object_get(state, "rounds");
	size_t n = json_array_size(rounds);

	if (json_object_get(state, "results"))
		return state;
	while (n && !json_object_get(json_array_get(rounds, n - 1), "results"))
		n--;
	return n ? json_array_get(rounds, n - 1) : NULL;
}

static void put_run(json_t *j, const json_t *state)
{
	static const char *const keys[] = { "verdict",         "measure",        "goal",            "score_choose",
		                            "score_test",      "score_test_low", "score_test_high", "test_confidence",
		                            "rows_train",      "rows_choose",    "rows_test",       "uses",
		                            "seconds_winner",  "joules_winner",  "seconds_per_use", "joules_per_use",
		                            "seconds",         "joules",         "looks" };
	const json_t *round = last_round(state), *results = json_object_get(round, "results");
	const json_t *way = json_object_get(json_object_get(round, "ways"), text(results, "winner"));

	json_object_set(j, "began", json_object_get(state, "began"));
	json_object_set(j, "data", json_object_get(json_object_get(state, "options"), "data"));
	json_object_set(j, "way", json_object_get(results, "winner"));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		json_object_set(j, keys[i], json_object_get(results, keys[i]));
	json_object_set(j, "latency", json_object_get(way, "latency"));
	json_object_set(j, "memory_bytes", json_object_get(way, "bytes"));
}

json_t *adapt_facts(const char *dir, struct err *e)
{
	static const char *const keys[] = { "rung", "base", "kind", "asked", "documents", "calibrate", "threshold" };
	char *file = io_join(dir, ADAPT_FILE), *artefact = io_join(dir, ADAPTED_FILE);
	json_t *left = jsonx_load_file(artefact, e), *state = NULL, *j = NULL;

	if (left) {
		j = json_object();
		json_object_set_new(j, "folder", jsonx_path(dir));
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			json_object_set(j, keys[i], json_object_get(left, keys[i]));
		json_object_set(j, "first", json_object_get(json_object_get(left, "first"), "rung"));
		json_object_set(j, "second", json_object_get(json_object_get(left, "second"), "rung"));
	}
	if (left && io_exists(file) && (state = jsonx_load_file(file, &(struct err){ .msg = "" })))
		put_run(j, state);
	json_decref(state);
	json_decref(left);
	mem_free(artefact);
	mem_free(file);
	return j;
}

/* --- for eyes --- */

static void line(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void line(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *s = sentence_vprintf(fmt, ap);
	va_end(ap);
	app_print("  %-14s %s\n", name, s);
	mem_free(s);
}

static void show_way(const json_t *j)
{
	const struct rung *r = rung_find(text(j, "rung"));

	line("way", "%s%s%s", text(j, *text(j, "way") ? "way" : "rung"), r ? ": " : "", r ? r->summary : "");
	if (*text(j, "first"))
		line("", "%s where it is sure (%.3f), %s for the rest", text(j, "first"), number(j, "threshold"),
		     text(j, "second"));
	line("model", "%s", r && r->no_model ? "none answers" : text(j, "base"));
	const json_t *d = json_object_get(j, "documents");
	if (d)
		line("documents", "%s: %.0f chunks by %s", text(d, "index"), number(d, "num"), text(d, "retriever"));
	const struct rung *last = rung_find(text(j, *text(j, "second") ? "second" : "rung"));
	bool labels = last && (last->no_model || last->learns);
	if (!labels && !strcmp(text(j, "asked"), ADAPTED_TEXTS))
		line("asks", "texts, without a chat template");
}

static void show_goal(const json_t *j)
{
	const json_t *term;
	struct buf all = BUF_INIT;
	size_t i;
	const char *verdict = text(j, "verdict");

	json_array_foreach (json_object_get(j, "goal"), i, term)
		buf_addf(&all, "%s%s %s %g", i ? " and " : "", text(term, "measure"), text(term, "sign"),
		         number(term, "value"));
	if (*verdict)
		line("goal", "%s: %s", all.len ? buf_str(&all) : "none, the best for the gas",
		     !strcmp(verdict, "not_shown") ? (all.len ? "not shown" : "not shown to be better than the floor") :
		     all.len                       ? verdict :
		                                     "shown to be better than the floor");
	buf_release(&all);
}

static void show_score(const json_t *j)
{
	double one_side = number(j, "test_confidence");

	if (isnan(number(j, "score_test")))
		return;
	line(text(j, "measure"), "%.4g (%.4g to %.4g, %.4g %%) on %.0f test rows",
	     number(j, "score_test"), number(j, "score_test_low"), number(j, "score_test_high"),
	     isnan(one_side) ? 90 : 100 * (1 - 2 * (1 - one_side)), number(j, "rows_test"));
	line("", "%.4g on the %.0f that it was chosen by, of %.0f to learn from", number(j, "score_choose"),
	     number(j, "rows_choose"), number(j, "rows_train"));
}

static void show_costs(const json_t *j)
{
	char time[32], joules[32], alone[32], bytes[32];

	if (isnan(number(j, "seconds_per_use")))
		return;
	predict_human(number(j, "seconds_per_use"), time);
	gas_joules(number(j, "joules_per_use"), joules);
	predict_human(number(j, "latency"), alone);
	line("a use", "%s, %s, beside others; one alone %s%s%s", time, joules, alone,
	     number(j, "memory_bytes") > 0 ? "; memory " : "",
	     number(j, "memory_bytes") > 0 ? human_bytes((size_t)number(j, "memory_bytes"), bytes) : "");
	predict_human(number(j, "seconds_winner"), time);
	gas_joules(number(j, "joules_winner"), joules);
	char all[32], all_joules[32];
	bool made = number(j, "seconds_winner") > 0;
	line("made in", "%s%s%s; finding out took %s, %s in all", made ? time : "no time", made ? ", " : "",
	     made ? joules : "",
	     predict_human(number(j, "seconds"), all), gas_joules(number(j, "joules"), all_joules));
}

void adapt_facts_show(const json_t *j)
{
	const char *began = text(j, "began"), *data = text(j, "data");

	app_print("%s: left by kungfu adapt%s%.10s\n", text(j, "folder"), *began ? " on " : "", began);
	show_way(j);
	show_goal(j);
	show_score(j);
	show_costs(j);
	if (*data)
		line("rows", "%s", data);
}
