/* adapt_more: rows that come after a run had ended, or was stopped: kungfu resume DIR --data MORE. Each file begins a
 * round of its own:
 *
 *     sides     rows that were there stay on theirs; a new row that asks what an old one asks joins it; the others are
 *               parted among themselves (data/split.h)
 *     beliefs   what a way came to is what is believed of it, with what more rows to learn from should bring
 *     ways      what does not hang on the rows to learn from stays and answers the new rows alone; the rest is made
 *               anew of all rows. Trained ways begin at the base again, and not where they ended: from there on they
 *               generalize worse than from the start (Ash and Adams 2020), and cost as much
 *     test      rows of a test that was opened are spent. Where the new test rows are half as many at least, they
 *               alone are the test. Else all of them are looked at again, and the k-th look is judged at
 *               α/2^(k−1), so that all looks together mislead with 2α at most
 *
 * Rounds that ended are in adapt.json under "rounds"; the files of round k lie in rungs/round-k. */
#include "cmd/adapt/adapt_parts.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"

enum { TEST_LEAST = 3 };
static const double alpha = 0.05;

/* --- rounds --- */

static const json_t *round_at(const struct adapt *a, int round)
{
	return json_array_get(json_object_get(a->state, "rounds"), (size_t)round - 1);
}

int adapt_round(const struct adapt *a) { return 1 + (int)json_array_size(json_object_get(a->state, "rounds")); }

char *adapt_rungs(int round) { return round == 1 ? mem_strdup("rungs") : mem_printf("rungs/round-%d", round); }

static char *dir_in(const struct adapt *a, int round, const char *way)
{
	char *rungs = adapt_rungs(round), *dir = mem_printf("%s/%s/%s", a->dir, rungs, way);

	mem_free(rungs);
	return dir;
}

char *adapt_way_dir(const struct adapt *a, const char *way) { return dir_in(a, adapt_round(a), way); }

size_t adapt_processes_before(const struct adapt *a)
{
	int round = adapt_round(a);

	return round > 1 ? (size_t)json_integer_value(json_object_get(round_at(a, round - 1), "processes")) : 0;
}

/* The last round whose test was opened; 0: none was. */
static int last_tested(const struct adapt *a)
{
	int round = adapt_round(a) - 1;

	while (round > 0 && !json_is_true(json_object_get(round_at(a, round), "tested")))
		round--;
	return round;
}

/* --- rows --- */

static int by_hash(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static uint64_t hash_of(const json_t *row)
{
	char *line = jsonx_line(row);
	uint64_t hash = hash_64(line, strlen(line));

	mem_free(line);
	return hash;
}

/* The rows of a file that are not there yet go after those that are. */
static void append(struct adapt *a, const struct rows *file)
{
	struct more *m = &a->more;
	size_t n = a->all.n;
	uint64_t *known = mem_array(n + 1, sizeof(*known));
	struct row *items = mem_array(n + file->n + 1, sizeof(*items));

	for (size_t i = 0; i < n; i++)
		known[i] = hash_of(a->all.items[i].json);
	qsort(known, n, sizeof(*known), by_hash);
	memcpy(items, a->all.items, n * sizeof(*items));
	m->begins[m->n] = n;
	for (size_t i = 0; i < file->n; i++) {
		uint64_t hash = hash_of(file->items[i].json);
		if (!bsearch(&hash, known, n, sizeof(*known), by_hash))
			items[a->all.n++] = file->items[i];
	}
	m->known = file->n - (a->all.n - n);
	mem_free(a->all.items);
	a->all.items = items;
	mem_free(known);
}

static int load_one(struct adapt *a, const char *path, struct err *e)
{
	struct more *m = &a->more;
	struct rows *file = &m->files[m->n_files];

	if (adapt_load_file(a, file, path, e) < 0)
		return -1;
	m->n_files++;
	if (!file->n)
		return err_set(e, "%s holds no rows", path);
	if (file->shape != a->all.shape)
		return err_set(e, "%s: rows of %s, but %s has rows of %s", path, shape_name(file->shape), a->o.data,
		               shape_name(a->all.shape));
	append(a, file);
	metering_in("data", path, file->hash);
	return 0;
}

int adapt_more_load(struct adapt *a, struct err *e)
{
	struct more *m = &a->more;
	const json_t *list = json_object_get(a->state, "more"), *x;
	size_t i;

	a->all = (struct rows){ .items = mem_array(a->rows.n, sizeof(struct row)),
		                .n = a->rows.n,
		                .shape = a->rows.shape };
	memcpy(a->all.items, a->rows.items, a->rows.n * sizeof(struct row));
	m->files = mem_array(json_array_size(list) + 1, sizeof(*m->files));
	m->begins = mem_array(json_array_size(list) + 1, sizeof(*m->begins));
	json_array_foreach (list, i, x) {
		const char *path = json_string_value(json_object_get(x, "data"));
		if (!path)
			return err_set(e, "%s/" ADAPT_FILE ": rows that came later without a file", a->dir);
		if (load_one(a, path, e) < 0)
			return -1;
		m->n++;
	}
	if (!m->asked)
		return 0;
	if (load_one(a, m->asked, e) < 0)
		return -1;
	m->n_new = a->all.n - m->begins[m->n];
	m->n += m->n_new > 0;
	return 0;
}

void adapt_more_release(struct adapt *a)
{
	for (size_t i = 0; i < a->more.n_files; i++)
		rows_release(&a->more.files[i]);
	mem_free(a->more.files);
	mem_free(a->more.begins);
	mem_free(a->all.items);
	mem_free(a->before.tested);
}

/* --- a round begins --- */

static json_t *class_names(const struct task *t)
{
	json_t *list = json_array();

	for (int c = 0; c < t->n_classes; c++)
		json_array_append_new(list, jsonx_text(t->classes[c], strlen(t->classes[c])));
	return list;
}

void adapt_keep_rows(struct adapt *a)
{
	json_object_set_new(a->state, "rows", json_string(a->task.hash));
	json_object_set_new(a->state, "classes", class_names(&a->task));
}

/* What is of the round that was goes under "rounds". */
static void set_round_aside(struct adapt *a)
{
	static const char *const of_a_round[] = { "rows",      "classes", "notes",   "status", "ways",
		                                  "decisions", "looks",   "results", "worth" };
	json_t *round = json_object(), *all = json_object_get(a->state, "rounds");
	char *rungs = adapt_rungs(adapt_round(a)), *tested = mem_printf("%s/%s/test.rows.jsonl", a->dir, rungs);

	for (size_t i = 0; i < ARRAY_LEN(of_a_round); i++) {
		json_object_set(round, of_a_round[i], json_object_get(a->state, of_a_round[i]));
		json_object_del(a->state, of_a_round[i]);
	}
	json_object_set_new(round, "tested", json_boolean(io_exists(tested)));
	json_object_set_new(round, "processes",
	                    json_integer((json_int_t)json_array_size(json_object_get(a->state, "processes"))));
	if (!all) {
		all = json_array();
		json_object_set_new(a->state, "rounds", all);
	}
	json_array_append_new(all, round);
	mem_free(tested);
	mem_free(rungs);
}

int adapt_more_begin(struct adapt *a, struct err *e)
{
	json_t *more = json_object_get(a->state, "more");
	char path[PATH_MAX];

	if (a->more.known)
		log_say("%s: %zu of %zu rows are in the run already", a->more.asked, a->more.known,
		        a->more.known + a->more.n_new);
	set_round_aside(a);
	if (!more) {
		more = json_array();
		json_object_set_new(a->state, "more", more);
	}
	json_array_append_new(more, json_pack("{s:o, s:I}", "data",
	                                      jsonx_path(realpath(a->more.asked, path) ? path : a->more.asked), "rows",
	                                      (json_int_t)a->more.n_new));
	json_object_set_new(a->state, "notes", json_object());
	if (a->o.common.max_gas)
		json_object_set_new(json_object_get(a->state, "options"), "max_gas", json_string(a->o.common.max_gas));
	adapt_keep_rows(a);
	if (!json_object_get(json_array_get(more, json_array_size(more) - 1), "data"))
		return err_set(e, "%s: the name is no UTF-8, so " ADAPT_FILE " could not hold it", a->more.asked);
	return 0;
}

/* --- the test --- */

/* So that the first of them are a sample. */
static void shuffle(size_t *at, size_t n, uint64_t seed)
{
	size_t *was = mem_array(n + 1, sizeof(*was));
	struct rng_key key = { seed, RNG_SHUFFLE };

	memcpy(was, at, n * sizeof(*was));
	for (size_t i = 0; i < n; i++)
		at[i] = was[rng_permute(key, (uint64_t)SIDE_TEST, n, i)];
	mem_free(was);
}

void adapt_choose_test(struct adapt *a)
{
	int tested = last_tested(a), looks = 0;
	size_t n, *all = task_side(&a->task, SIDE_TEST, &n), opened = 0;

	for (size_t i = 0; i < n; i++)
		opened += a->task.rows[all[i]].since < tested;
	bool fresh = tested && n - opened >= TEST_LEAST && 2 * (n - opened) >= opened;
	for (int k = 1; k <= tested; k++)
		looks += json_is_true(json_object_get(round_at(a, k), "tested"));
	a->test = mem_array(MAX(n, 1), sizeof(*a->test));
	for (size_t i = 0; i < n; i++)
		if (!fresh || a->task.rows[all[i]].since >= tested)
			a->test[a->n_test++] = all[i];
	a->n_spent = fresh ? opened : 0;
	a->n_opened = fresh ? 0 : opened;
	a->test_look = fresh ? 1 : 1 + looks;
	a->test_alpha = alpha / exp2(a->test_look - 1);
	mem_free(all);
	shuffle(a->test, a->n_test, (uint64_t)a->o.seed);
}

void adapt_say_test(const struct adapt *a)
{
	if (a->n_spent)
		log_say("  %zu test rows were opened before and are spent: the test is of the %zu new ones alone",
		        a->n_spent, a->n_test);
	if (a->n_opened)
		log_say("  %zu of the test rows were opened before, and the new ones are too few for a test of their "
		        "own: this is look %d, judged with %.4g %% instead of 95 %%",
		        a->n_opened, a->test_look, 100 * (1 - a->test_alpha));
}

/* --- what was measured is what is believed --- */

static double kept(const json_t *j, const char *key)
{
	const json_t *x = json_object_get(j, key);
	return json_is_number(x) ? json_number_value(x) : NAN;
}

/* Rows to learn from in an earlier round. */
static size_t rows_then(const struct adapt *a, int round)
{
	size_t n = 0;

	for (size_t i = 0; i < a->task.n; i++)
		n += a->task.rows[i].side == SIDE_TRAIN && a->task.rows[i].came < round;
	return n;
}

/* What was said in the classes of then, in those of now. */
static void rename_classes(const struct adapt *a, const json_t *names, struct outcome *out, size_t n)
{
	for (size_t i = 0; names && i < n; i++) {
		const char *said = json_string_value(json_array_get(names, (size_t)MAX(out[i].said, 0)));
		int now = -1;
		for (int c = 0; said && out[i].said >= 0 && c < a->task.n_classes; c++)
			if (!strcmp(a->task.classes[c], said))
				now = c;
		out[i].said = now;
	}
}

/* What a way answered in an earlier round; their number. */
static size_t outcomes_then(const struct adapt *a, int round, const char *way, struct outcome *out)
{
	const json_t *r = round_at(a, round);
	const json_t *j = json_object_get(json_object_get(r, "ways"), way);
	size_t n = (size_t)json_integer_value(json_object_get(j, "n"));

	if (!n || n > a->n_choose || adapt_load_outcomes(a, round, way, out, n) < n)
		return 0;
	rename_classes(a, json_object_get(r, "classes"), out, n);
	return n;
}

static void recall_earlier(struct adapt *a, size_t i, int round, const char *way, const struct outcome *out, size_t n)
{
	struct earlier *x = &a->ways[i].earlier;
	const json_t *j = json_object_get(json_object_get(round_at(a, round), "ways"), way);
	const char *folder = json_string_value(json_object_get(j, "folder"));
	enum measure m = a->first->what;
	struct estimate score = task_score(&a->task, m, a->choose, out, n);
	struct bounds b = task_sequence(m, &score, 2 * alpha);

	if (!score.n)
		return;
	double low = adapt_quality(m, b.low), high = adapt_quality(m, b.high);
	*x = (struct earlier){ .round = round,
		               .way = way,
		               .folder = folder ? folder : way,
		               .n = n,
		               .rows_train = rows_then(a, round),
		               .score = score.mean,
		               .quality = adapt_quality(m, score.mean),
		               .low = fmin(low, high),
		               .high = fmax(low, high),
		               .look_seconds = json_number_value(json_object_get(j, "look_seconds")),
		               .look_joules = json_number_value(json_object_get(j, "look_joules")),
		               .find_seconds = json_number_value(json_object_get(j, "find_seconds")),
		               .write_seconds = json_number_value(json_object_get(j, "write_seconds")) };
}

static void recall_before(struct adapt *a)
{
	struct before *b = &a->before;
	int round = last_tested(a);
	const json_t *r = round_at(a, round), *results = json_object_get(r, "results");
	const char *winner = json_string_value(json_object_get(results, "winner"));
	const json_t *way = winner ? json_object_get(json_object_get(r, "ways"), winner) : NULL;

	while (winner && b->way < a->climb.n && strcmp(a->ways[b->way].name, winner) != 0)
		b->way++;
	if (!winner || b->way == a->climb.n)
		return;
	const char *folder = json_string_value(json_object_get(way, "folder"));
	b->round = round;
	b->folder = folder ? folder : winner;
	b->results = results;
	b->rows_train = rows_then(a, round);
	double n = json_number_value(json_object_get(way, "n"));
	b->use_seconds = n > 0 ? json_number_value(json_object_get(way, "look_seconds")) / n : 0;
}

/* What was chosen before is a way as it is, where making it anew takes a training. */
static void recall_kept(struct adapt *a, struct outcome *out)
{
	int round = last_tested(a);
	const json_t *r = round_at(a, round);
	const char *winner = json_string_value(json_object_get(json_object_get(r, "results"), "winner"));
	const struct rung *was = winner ? rung_of_way(winner) : NULL;
	size_t n = was && (was->trains || was->earlier) ? outcomes_then(a, round, winner, out) : 0;

	if (!n)
		return;
	const json_t *j = json_object_get(json_object_get(r, "ways"), winner);
	a->kept = (struct rung_price){ .answer = kept(j, "answer"),
		                       .spare = kept(j, "spare"),
		                       .scoring = kept(j, "scoring"),
		                       .bytes = kept(j, "bytes") };
	a->ladder.kept = &a->kept;
	recall_earlier(a, adapt_add_kept(a, winner), round, winner, out, n);
}

void adapt_more_recall(struct adapt *a)
{
	struct outcome *out = mem_array(a->n_choose + 1, sizeof(*out));

	for (size_t i = 0; i < a->climb.n; i++)
		for (int r = adapt_round(a) - 1; r > 0 && !a->ways[i].earlier.n; r--) {
			size_t n = outcomes_then(a, r, a->ways[i].name, out);
			if (n)
				recall_earlier(a, i, r, a->ways[i].name, out, n);
		}
	recall_kept(a, out);
	mem_free(out);
	recall_before(a);
}

size_t adapt_stays(const struct adapt *a, size_t i) { return a->ways[i].rung->stays ? a->ways[i].earlier.n : 0; }

/* Files are written beside and renamed, so a second name does as well as a copy. */
static int copy_file(const char *from, const char *to, const char *name, struct err *e)
{
	char *x = io_join(from, name), *y = io_join(to, name);
	struct buf text = BUF_INIT;
	unlink(y);
	bool done = io_is_dir(x) || link(x, y) == 0;
	int status = done ? 0 : io_read(&text, x, e);

	if (status == 0 && !done)
		status = io_write(y, buf_str(&text), text.len, e);
	buf_release(&text);
	mem_free(x);
	mem_free(y);
	return status;
}

/* Says of what was chosen before which rung it was, where it does not say so yet. */
static int name_kept(const struct way *w, const char *dir, struct err *e)
{
	char *path = io_join(dir, KEPT_FILE);
	json_t *j = json_pack("{s:s}", "rung", rung_of_way(w->earlier.way)->name);
	int status = io_exists(path) ? 0 : jsonx_write_file(path, j, e);

	json_decref(j);
	mem_free(path);
	return status;
}

int adapt_take_over(struct adapt *a, size_t i, const char *dir, struct err *e)
{
	struct way *w = &a->ways[i];
	char *from = dir_in(a, w->earlier.round, w->earlier.folder), **names = NULL;
	size_t n = 0;
	int status = io_list(from, &names, &n, e);

	for (size_t k = 0; k < n && status == 0; k++)
		status = copy_file(from, dir, names[k], e);
	if (status == 0)
		io_list_free(names, n);
	if (status == 0 && w->rung->earlier)
		status = name_kept(w, dir, e);
	mem_free(from);
	return status;
}

size_t adapt_take_outcomes(const struct adapt *a, size_t i, struct outcome *out)
{
	return adapt_stays(a, i) ? outcomes_then(a, a->ways[i].earlier.round, a->ways[i].earlier.way, out) : 0;
}

void adapt_say_more(const struct adapt *a)
{
	size_t n = a->all.n - a->more.begins[a->more.n - 1];
	size_t side[SIDE_NONE + 1] = { 0 };

	for (size_t i = 0; i < a->task.n; i++)
		if (a->task.rows[i].came == (int)a->more.n)
			side[a->task.rows[i].side]++;
	log_say("%zu rows more: %zu to learn from, %zu to choose by, %zu to test with; those that were there stay "
	        "where they are",
	        n, side[SIDE_TRAIN], side[SIDE_CHOOSE], side[SIDE_TEST]);
	for (size_t i = 0; i < a->climb.n; i++) {
		const struct earlier *x = &a->ways[i].earlier;
		if (x->n)
			log_say("  %-*s had %.4g, with %zu rows to learn from%s", a->name_width, a->ways[i].name,
			        x->score, x->rows_train,
			        adapt_stays(a, i) ? "; it stays and answers the new ones" : "");
	}
}

/* --- what the new rows bought --- */

int adapt_test_before(struct adapt *a, struct err *e)
{
	struct before *b = &a->before;

	if (!b->round)
		return 0;
	b->tested = mem_array(a->n_test, sizeof(*b->tested));
	if (adapt_load_outcomes(a, adapt_round(a), "before", b->tested, a->n_test) < a->n_test) {
		char *dir = dir_in(a, b->round, b->folder);
		adapt_stand_on(a, b->way);
		int status = a->ways[b->way].rung->answer(&a->ladder, dir, a->test, a->n_test, b->tested, e);
		mem_free(dir);
		if (status < 0 && metering_over() && !app_signalled()) { /* then nothing is said of it */
			b->round = 0;
			return 0;
		}
		if (status < 0 || adapt_save_outcomes(a, "before", b->tested, a->n_test, e) < 0)
			return -1;
	}
	b->score = task_score(&a->task, a->first->what, a->test, b->tested, a->n_test);
	b->gain = task_gain(&a->task, a->first->what, a->test, b->tested, a->tested, a->n_test);
	return 0;
}

static struct bounds gain_bounds(const struct before *b)
{
	double half = bound_z(alpha) * b->gain.stderr_;

	return (struct bounds){ b->gain.mean - half, b->gain.mean + half };
}

static json_t *before_json(const struct adapt *a)
{
	const struct before *b = &a->before;

	return json_pack("{s:s, s:O, s:I, s:o, s:o, s:o, s:o, s:o}", "winner", a->ways[b->way].name, "verdict",
	                 json_object_get(b->results, "verdict"), "rows_train", (json_int_t)b->rows_train,
	                 "score_choose", jsonx_number(kept(b->results, "score_choose")), "score_test",
	                 jsonx_number(kept(b->results, "score_test")), "score_test_low",
	                 jsonx_number(kept(b->results, "score_test_low")), "score_test_high",
	                 jsonx_number(kept(b->results, "score_test_high")), "score_same_test",
	                 jsonx_number(b->score.mean));
}

void adapt_put_more(const struct adapt *a, json_t *j)
{
	const struct before *b = &a->before;
	struct gas g;

	if (adapt_round(a) == 1)
		return;
	adapt_round_gas(a, &g);
	json_object_set_new(j, "round", json_integer(adapt_round(a)));
	json_object_set_new(j, "rows_new", json_integer((json_int_t)(a->all.n - a->more.begins[a->more.n - 1])));
	json_object_set_new(j, "test_look", json_integer(a->test_look));
	json_object_set_new(j, "test_opened_before", json_integer((json_int_t)a->n_opened));
	json_object_set_new(j, "test_spent", json_integer((json_int_t)a->n_spent));
	json_object_set_new(j, "test_confidence", jsonx_number(1 - a->test_alpha));
	json_object_set_new(j, "seconds_round", jsonx_number(g.seconds));
	json_object_set_new(j, "joules_round", jsonx_number(g.energy.joules));
	if (!b->round)
		return;
	struct bounds x = gain_bounds(b);
	json_object_set_new(j, "before", before_json(a));
	json_object_set_new(j, "gain", jsonx_number(b->gain.mean));
	json_object_set_new(j, "gain_low", jsonx_number(x.low));
	json_object_set_new(j, "gain_high", jsonx_number(x.high));
	json_object_set_new(j, "gain_per_joule", jsonx_number(b->gain.mean / g.energy.joules));
}

void adapt_say_bought(const struct adapt *a, struct buf *out)
{
	const struct before *b = &a->before;
	struct gas g;
	char seconds[32];

	if (!b->round)
		return;
	struct bounds x = gain_bounds(b);
	adapt_round_gas(a, &g);
	if (a->ways[a->winner].rung->earlier) {
		buf_addf(out,
		         "Before the %zu new rows %s was chosen, of %zu rows to learn from, and had %.4g on the test "
		         "then; it stays, and has %.4g on the rows of this test.\n",
		         a->all.n - a->more.begins[a->more.n - 1], a->ways[b->way].name, b->rows_train,
		         kept(b->results, "score_test"), b->score.mean);
		return;
	}
	buf_addf(out,
	         "Before the %zu new rows %s was chosen, of %zu rows to learn from, and had %.4g on the test then; on "
	         "the rows of this test it has %.4g and what is left now %.4g, better by %.3g (%.3g to %.3g)%s",
	         a->all.n - a->more.begins[a->more.n - 1], a->ways[b->way].name, b->rows_train,
	         kept(b->results, "score_test"), b->score.mean, a->test_score[a->first_at].mean, b->gain.mean, x.low,
	         x.high, a->first->what == MEASURE_PERPLEXITY ? " in nats a token" : "");
	buf_addf(out, ", for %s", predict_human(g.seconds, seconds));
	if (g.energy.joules > 0)
		buf_addf(out, " and %.3g J, that is %.2g a kilojoule", g.energy.joules,
		         1000 * b->gain.mean / g.energy.joules);
	buf_adds(out, ".\n");
}
