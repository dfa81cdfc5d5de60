/* adapt_state: adapt.json, all that a run must know to go on with the same choices: its options, which rows stand where
 * (a hash), what each way costs by plan, each decision with its reason, what each way came to. It is written whole
 * after each of them; what rows came to lies beside it, a line a row. */
#include "cmd/adapt/adapt_parts.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/metering.h"

enum { FORMAT = 1 };

static json_t *child(json_t *parent, const char *key, json_t *fresh)
{
	if (!json_object_get(parent, key))
		json_object_set(parent, key, fresh);
	json_decref(fresh);
	return json_object_get(parent, key);
}

json_t *adapt_decisions(struct adapt *a) { return child(a->state, "decisions", json_array()); }

static json_t *processes(struct adapt *a) { return child(a->state, "processes", json_array()); }

int adapt_state_new(struct adapt *a, struct err *e)
{
	json_t *s = a->state;
	char now[32];

	clock_iso(now);
	json_object_set_new(s, "format", json_integer(FORMAT));
	json_object_set_new(s, "version", json_string(KUNGFU_VERSION));
	json_object_set_new(s, "began", json_string(now));
	json_t *models = json_array();
	for (size_t i = 0; i < a->n_models; i++)
		json_array_append_new(models, json_string(a->models[i].path));
	json_object_set_new(s, "model", json_string(a->models[0].path));
	json_object_set_new(s, "models", models);
	json_object_set_new(s, "options", opt_record_of(adapt_opts, &a->o));
	adapt_keep_rows(a);
	if (a->documents.open)
		json_object_set_new(s, "documents", json_string(a->documents.mark));
	for (size_t i = 0; i < a->n_models; i++)
		if (!json_array_get(models, i))
			return err_set(e, "%s: the name is no UTF-8, so " ADAPT_FILE " could not hold it",
			               a->models[i].path);
	json_array_append_new(processes(a), json_object());
	return adapt_state_save(a, "running", e);
}

int adapt_state_save(struct adapt *a, const char *status, struct err *e)
{
	char *file = io_join(a->dir, ADAPT_FILE);
	json_t *all = processes(a);

	json_object_set_new(a->state, "status", json_string(status));
	json_array_set_new(all, json_array_size(all) - 1, metering_so_far());
	int rc = jsonx_write_file(file, a->state, e);
	mem_free(file);
	return rc;
}

static void gas_since(const struct adapt *a, size_t first, struct gas *g)
{
	const json_t *all = json_object_get(a->state, "processes");
	json_t *now = metering_so_far();

	gas_none(g);
	for (size_t i = first; i + 1 < json_array_size(all); i++)
		gas_add_kept(g, json_array_get(all, i));
	gas_add_kept(g, now);
	json_decref(now);
}

void adapt_gas(const struct adapt *a, struct gas *g) { gas_since(a, 0, g); }

void adapt_round_gas(const struct adapt *a, struct gas *g) { gas_since(a, adapt_processes_before(a), g); }

/* --- outcomes --- */

static char *outcomes_file(const struct adapt *a, int round, const char *name)
{
	char *rungs = adapt_rungs(round), *file = mem_printf("%s/%s/%s.rows.jsonl", a->dir, rungs, name);

	mem_free(rungs);
	return file;
}

static json_t *outcome_json(const struct outcome *o)
{
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "said", o->said, "hit",
	                 jsonx_number(o->hit), "hit_norm", jsonx_number(o->hit_norm), "exact_match",
	                 jsonx_number(o->exact), "f1", jsonx_number(o->f1), "logprob", jsonx_number(o->logprob),
	                 "tokens", jsonx_number(o->tokens), "confidence", jsonx_number(o->confidence), "chance",
	                 jsonx_number(o->chance), "reward", jsonx_number(o->reward));
}

static double number(const json_t *j, const char *key)
{
	const json_t *x = json_object_get(j, key);
	return json_is_number(x) ? json_number_value(x) : NAN;
}

static void outcome_from(struct outcome *o, const json_t *j)
{
	*o = (struct outcome){ .hit = number(j, "hit"),
		               .hit_norm = number(j, "hit_norm"),
		               .exact = number(j, "exact_match"),
		               .f1 = number(j, "f1"),
		               .logprob = number(j, "logprob"),
		               .tokens = number(j, "tokens"),
		               .confidence = number(j, "confidence"),
		               .chance = number(j, "chance"),
		               .reward = number(j, "reward"),
		               .said = (int)json_integer_value(json_object_get(j, "said")) };
}

int adapt_save_outcomes(const struct adapt *a, const char *name, const struct outcome *out, size_t n, struct err *e)
{
	char *file = outcomes_file(a, adapt_round(a), name), *rungs = io_parent(file);
	struct buf text = BUF_INIT;
	int status = io_mkdirs(rungs, e);

	for (size_t i = 0; i < n; i++) {
		json_t *j = outcome_json(&out[i]);
		char *line = jsonx_line(j);
		buf_adds(&text, line);
		buf_addc(&text, '\n');
		mem_free(line);
		json_decref(j);
	}
	if (status == 0)
		status = io_write(file, buf_str(&text), text.len, e);
	buf_release(&text);
	mem_free(rungs);
	mem_free(file);
	return status;
}

size_t adapt_load_outcomes(const struct adapt *a, int round, const char *name, struct outcome *out, size_t most)
{
	char *file = outcomes_file(a, round, name);
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	size_t n = 0;

	if (io_exists(file) && io_read(&text, file, &e) == 0) {
		const char *at = buf_str(&text), *end;
		for (; n < most && (end = strchr(at, '\n')); at = end + 1) {
			json_t *j = jsonx_load(at, (size_t)(end - at), file, &e);
			if (!j)
				break;
			outcome_from(&out[n++], j);
			json_decref(j);
		}
	}
	buf_release(&text);
	mem_free(file);
	return n;
}

/* --- ways --- */

static json_t *span_json(struct span s)
{
	return json_pack("[o, o, o]", jsonx_number(s.mid), jsonx_number(s.low), jsonx_number(s.high));
}

static struct span span_from(const json_t *j)
{
	return (struct span){ json_number_value(json_array_get(j, 0)), json_number_value(json_array_get(j, 1)),
		              json_number_value(json_array_get(j, 2)) };
}

void adapt_keep_way(struct adapt *a, size_t i)
{
	const struct way *w = &a->ways[i];
	json_t *j = json_object();

	if (w->why[0])
		json_object_set_new(j, "why_not", jsonx_text(w->why, strlen(w->why)));
	json_object_set_new(j, "make", span_json(w->price.make));
	json_object_set_new(j, "answer", jsonx_number(w->price.answer));
	json_object_set_new(j, "spare", jsonx_number(w->price.spare));
	json_object_set_new(j, "scoring", jsonx_number(w->price.scoring));
	json_object_set_new(j, "bytes", jsonx_number(w->price.bytes));
	json_object_set_new(j, "operations", jsonx_number(w->price.operations));
	json_object_set_new(j, "make_bytes", jsonx_number(w->price.make_bytes));
	if (adapt_is_measured(a, i)) {
		json_object_set_new(j, "n", json_integer((json_int_t)w->n));
		json_object_set_new(j, "make_seconds", jsonx_number(w->make_seconds));
		json_object_set_new(j, "make_joules", jsonx_number(w->make_joules));
		json_object_set_new(j, "look_seconds", jsonx_number(w->look_seconds));
		json_object_set_new(j, "look_joules", jsonx_number(w->look_joules));
		json_object_set_new(j, "find_seconds", jsonx_number(w->find_seconds));
		json_object_set_new(j, "write_seconds", jsonx_number(w->write_seconds));
		json_object_set_new(j, "latency", jsonx_number(w->latency));
		if (adapt_has_seeds(a, i))
			adapt_keep_seeds(a, i, j);
	}
	json_object_set_new(child(a->state, "ways", json_object()), w->name, j);
	json_object_set_new(a->state, "looks", json_integer(a->looks));
}

static void recall_measured(struct adapt *a, size_t i, const json_t *j)
{
	struct way *w = &a->ways[i];
	size_t n = (size_t)json_integer_value(json_object_get(j, "n"));

	if (!n || n > a->n_choose)
		return;
	w->out = mem_array(a->n_choose, sizeof(*w->out));
	if (adapt_load_outcomes(a, adapt_round(a), w->name, w->out, a->n_choose) < n) {
		mem_free(w->out); /* it is answered again */
		w->out = NULL;
		return;
	}
	w->n = n;
	w->make_seconds = number(j, "make_seconds");
	w->make_joules = number(j, "make_joules");
	w->look_seconds = number(j, "look_seconds");
	w->look_joules = number(j, "look_joules");
	w->find_seconds = fmax(0, number(j, "find_seconds"));
	w->write_seconds = fmax(0, number(j, "write_seconds"));
	w->latency = number(j, "latency");
	if (adapt_has_seeds(a, i))
		adapt_recall_seeds(a, i, j);
	a->climb.ways[i].state = CLIMB_MEASURED;
}

int adapt_recall(struct adapt *a, struct err *e)
{
	const json_t *ways = json_object_get(a->state, "ways");
	const char *rows = json_string_value(json_object_get(a->state, "rows"));

	if (!rows || strcmp(rows, a->task.hash) != 0)
		return err_set(e, "%s%s: the rows are others than those that the run began with", a->o.data,
		               a->more.n ? ", or those that came later" : "");
	const char *mark = json_string_value(json_object_get(a->state, "documents"));
	if (a->documents.open && (!mark || strcmp(mark, a->documents.mark) != 0))
		return err_set(e, "%s: the index is another than the one that the run began with (%s, now %s)",
		               a->o.documents.documents, mark ? mark : "none", a->documents.mark);
	for (size_t i = 0; i < a->climb.n; i++) {
		const json_t *j = json_object_get(ways, a->ways[i].name);
		const char *why = json_string_value(json_object_get(j, "why_not"));
		struct way *w = &a->ways[i];
		if (!j)
			continue;
		w->price = (struct rung_price){ .make = span_from(json_object_get(j, "make")),
			                        .answer = number(j, "answer"),
			                        .spare = number(j, "spare"),
			                        .scoring = fmax(0, number(j, "scoring")),
			                        .bytes = number(j, "bytes"),
			                        .make_bytes = number(j, "make_bytes"),
			                        .operations = number(j, "operations") };
		if (why) {
			snprintf(w->why, sizeof(w->why), "%s", why);
			a->climb.ways[i].state = CLIMB_CANNOT;
		}
		recall_measured(a, i, j);
	}
	a->looks = (long)json_integer_value(json_object_get(a->state, "looks"));
	json_array_append_new(processes(a), json_object());
	return a->app->plans ? 0 : adapt_state_save(a, "running", e);
}
