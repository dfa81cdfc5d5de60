/* results_front: evaluations beside each other, as `eval --output-path` keeps them.
 *
 *     a beats b   a is worse in no score and not dearer, and better in one or cheaper
 *     the front   those that nobody beats, by their values; intervals are drawn, not counted
 *
 * Which way a score is better its file says (higher_is_better). Gas are the joules of the run that made the adapter, or
 * the model, as its folder's run.json has them; a model that no run is known of has cost nothing here. Where the energy
 * was not known of one of them, seconds count in its place, for all. */
#include "cmd/results_front.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/term.h"
#include "base/text.h"
#include "cmd/chart_point.h"
#include "cmd/trial.h"

enum { SCORES_MOST = 6, LINES = 20 };

struct score { double value, error; bool higher; };
struct place {
	const char *name;              /* as it was named */
	struct score score[SCORES_MOST];
	double joules, seconds;        /* NAN: a run, of which it is not known */
	bool front;
};
struct evaluations {
	struct arena mem;
	const char *score[SCORES_MOST]; /* [n_scores] "task/metric" */
	size_t n_scores, n;
	struct place *items;           /* [n] */
	bool by_joules;
};

/* --- reading --- */

/* The last results_TIME.json in a folder or one below; mem_free; NULL: there is none. */
static char *find(const char *dir, int depth)
{
	char **names, *best = NULL;
	size_t n;
	struct err ignored = ERR_INIT;

	if (io_list(dir, &names, &n, &ignored) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		char *path = io_join(dir, names[i]), *one = NULL;
		if (io_is_dir(path) && depth < 1)
			one = find(path, depth + 1);
		else if (!strncmp(names[i], "results_", 8) && text_ends(names[i], ".json"))
			one = mem_strdup(path);
		if (one && (!best || strcmp(io_basename(one), io_basename(best)) > 0)) {
			mem_free(best);
			best = one;
		} else {
			mem_free(one);
		}
		mem_free(path);
	}
	io_list_free(names, n);
	return best;
}

/* Of any filter, none first. */
static const json_t *value_of(const json_t *task, const char *metric, const char *end)
{
	char key[200];
	const char *name;
	json_t *v;

	snprintf(key, sizeof(key), "%s%s,none", metric, end);
	if (json_object_get(task, key))
		return json_object_get(task, key);
	snprintf(key, sizeof(key), "%s%s,", metric, end);
	json_object_foreach((json_t *)(uintptr_t)task, name, v)
		if (!strncmp(name, key, strlen(key)))
			return v;
	return NULL;
}

static int read_score(struct score *out, const json_t *all, const char *score, struct err *e)
{
	const char *slash = strchr(score, '/');
	char *name = slash ? mem_strndup(score, (size_t)(slash - score)) : NULL;
	const json_t *task = name ? json_object_get(json_object_get(all, "results"), name) : NULL,
	             *better = name ? json_object_get(json_object_get(all, "higher_is_better"), name) : NULL,
	             *value = task ? value_of(task, slash + 1, "") : NULL,
	             *error = task ? value_of(task, slash + 1, "_stderr") : NULL;
	int status = 0;

	if (!slash)
		status = err_set(e, "--front %s: TASK/METRIC was wanted", score);
	else if (!json_is_number(value))
		status = err_set(e, "no score %s", score);
	else
		*out = (struct score){ json_number_value(value), json_is_number(error) ? json_number_value(error) : 0,
			               !json_is_false(json_object_get(better, slash + 1)) };
	mem_free(name);
	return status;
}

/* Of the run that made the model or adapter that was judged. */
static void read_gas(struct place *p, const json_t *all)
{
	const json_t *args = json_object_get(json_object_get(all, "config"), "model_args");
	const char *peft = json_string_value(json_object_get(args, "peft")),
	           *model = peft ? peft : json_string_value(json_object_get(args, "pretrained"));
	char *path = model && io_is_dir(model) ? io_join(model, "run.json") : NULL;
	struct err why = ERR_INIT;
	json_t *facts = path && io_exists(path) ? jsonx_load_file(path, &why) : NULL;
	struct gas gas;
	size_t unknown;

	if (facts && trial_whole_gas(facts, &gas, &unknown) > 0 && !unknown) {
		p->joules = gas.energy.joules;
		p->seconds = gas.seconds;
	} else if (facts || peft) {
		p->joules = p->seconds = NAN;
	}
	json_decref(facts);
	mem_free(path);
}

static int read_place(struct evaluations *f, struct place *p, const char *path, struct err *e)
{
	char *file = io_is_dir(path) ? find(path, 0) : mem_strdup(path);
	json_t *all = file ? jsonx_load_file(file, e) : NULL;
	int status = all ? 0 : file ? -1 :
	             err_set(e, "%s: no results_TIME.json: eval --output-path keeps them", path);

	p->name = arena_strdup(&f->mem, path);
	for (size_t i = 0; i < f->n_scores && status == 0; i++)
		status = read_score(&p->score[i], all, f->score[i], e);
	if (status < 0 && all)
		err_prefix(e, "%s", file);
	if (status == 0)
		read_gas(p, all);
	json_decref(all);
	mem_free(file);
	return status;
}

static int read_names(struct evaluations *f, const char *list, struct err *e)
{
	char *copy = arena_strdup(&f->mem, list), *one;

	while ((one = strsep(&copy, ","))) {
		if (f->n_scores == SCORES_MOST)
			return err_set(e, "--front: %d scores at most", SCORES_MOST);
		if (*one)
			f->score[f->n_scores++] = one;
	}
	return f->n_scores >= 2 ? 0 : err_set(e, "--front %s: two scores at least, TASK/METRIC,TASK/METRIC", list);
}

/* --- who is beaten --- */

static double gas_of(const struct evaluations *f, const struct place *p)
{
	return f->by_joules ? p->joules : p->seconds;
}

/* 1 better, −1 worse, 0 the same; what is not known is neither. */
static int sign_of(double x) { return (x > 0) - (x < 0); }

static bool beats(const struct evaluations *f, const struct place *a, const struct place *b)
{
	int gas = sign_of(gas_of(f, b) - gas_of(f, a));
	bool better = gas > 0, worse = gas < 0;

	for (size_t i = 0; i < f->n_scores; i++) {
		int s = sign_of(a->score[i].value - b->score[i].value) * (a->score[i].higher ? 1 : -1);
		better |= s > 0;
		worse |= s < 0;
	}
	return better && !worse;
}

static void find_front(struct evaluations *f)
{
	f->by_joules = true;
	for (size_t i = 0; i < f->n; i++)
		f->by_joules &= !isnan(f->items[i].joules);
	for (size_t i = 0; i < f->n; i++) {
		bool beaten = false;
		for (size_t k = 0; k < f->n; k++)
			beaten |= beats(f, &f->items[k], &f->items[i]);
		f->items[i].front = !beaten;
	}
}

/* --- what is seen --- */

static void place_gas(const struct evaluations *f, const struct place *p, char out[32])
{
	double gas = gas_of(f, p);

	if (isnan(gas))
		snprintf(out, 32, "gas not known");
	else if (f->by_joules)
		gas_joules(gas, out);
	else
		clock_human(gas, out);
}

static void draw(struct evaluations *f, struct chart *c)
{
	struct chart_series *s = arena_array(&f->mem, 2 * f->n, sizeof(*s));
	struct chart_mark *marks = arena_array(&f->mem, f->n, sizeof(*marks));

	*c = (struct chart){ .title = arena_printf(&f->mem, "%s against %s", f->score[1], f->score[0]),
		             .x_label = arena_printf(&f->mem, "%s, %s is better", f->score[0],
		                                     f->items[0].score[0].higher ? "more" : "less"),
		             .y_label = arena_printf(&f->mem, "%s, %s is better", f->score[1],
		                                     f->items[0].score[1].higher ? "more" : "less"),
		             .series = s, .n_series = 2 * f->n, .marks = marks, .n_marks = f->n };
	for (size_t i = 0; i < f->n; i++) {
		const struct place *p = &f->items[i];
		char gas[32];
		place_gas(f, p, gas);
		const struct chart_point point = {
			.name = arena_printf(&f->mem, "%s%s", p->name, p->front ? ", on the front" : ""),
			.x = p->score[0].value, .y = p->score[1].value, .wide = 1.96 * p->score[0].error,
			.far = 1.96 * p->score[1].error, .least_x = -INFINITY, .color = (int)(i % 8) + 1
		};
		chart_point(&point, &s[i], &s[f->n + i], &f->mem);
		marks[i] = (struct chart_mark){ point.x, point.y, arena_strdup(&f->mem, gas) };
	}
}

static json_t *place_json(const struct evaluations *f, const struct place *p)
{
	json_t *j = json_pack("{s:o, s:o, s:o, s:b}", "results", jsonx_path(p->name), "joules",
	                      jsonx_number(p->joules), "seconds", jsonx_number(p->seconds), "front", (int)p->front);

	for (size_t i = 0; i < f->n_scores; i++)
		json_object_set_new(j, f->score[i], jsonx_number(p->score[i].value));
	return j;
}

static void show(const struct evaluations *f, const struct results_front *o, const struct chart *c)
{
	struct buf text = BUF_INIT;
	int columns, rows;
	char gas[32];

	term_size(STDOUT_FILENO, &columns, &rows);
	for (size_t i = 0; i < f->n; i++) {
		const struct place *p = &f->items[i];
		term_text(&text, p->name, strlen(p->name));
		buf_adds(&text, ":");
		for (size_t k = 0; k < f->n_scores; k++)
			buf_addf(&text, " %s %.4f ± %.4f,", f->score[k], p->score[k].value, p->score[k].error);
		place_gas(f, p, gas);
		buf_addf(&text, " %s%s\n", gas, p->front ? ", on the front" : "");
	}
	if (!o->out)
		chart_braille(&text, c, o->columns ? o->columns : columns, o->rows ? o->rows : LINES,
		              term_color(STDOUT_FILENO));
	app_print("%s", buf_str(&text));
	buf_release(&text);
}

static int write_svg(const struct chart *c, const char *path, struct err *e)
{
	struct buf svg = BUF_INIT;

	chart_svg(&svg, c, 1);
	int status = io_write(path, svg.data, svg.len, e);
	buf_release(&svg);
	return status;
}

int results_front(struct app *app, const struct results_front *o, const char *const *paths, size_t n, struct err *e)
{
	struct evaluations f = { .n = n };
	struct chart c;
	int status = read_names(&f, o->scores, e);

	f.items = arena_array(&f.mem, n, sizeof(*f.items));
	for (size_t i = 0; i < n && status == 0; i++)
		status = read_place(&f, &f.items[i], paths[i], e);
	if (status == 0) {
		find_front(&f);
		draw(&f, &c);
		if (o->out)
			status = write_svg(&c, o->out, e);
	}
	if (status == 0 && !app->json)
		show(&f, o, &c);
	if (status == 0) {
		json_t *list = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(list, place_json(&f, &f.items[i]));
		app_summary(app, json_pack("{s:o, s:o}", "out", o->out ? jsonx_path(o->out) : json_null(), "places",
		                           list));
	}
	arena_release(&f.mem);
	return status;
}
