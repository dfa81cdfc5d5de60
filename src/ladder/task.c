/* task: rows sorted out. Classes are the choices that all rows share, or answers of which there are few: at most a
 * fifth of the rows, at most 200, none longer than 200 bytes. See task.h. */
#include "ladder/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/label.h"
#include "data/shape.h"
#include "eval/label_scores.h"

enum { CLASSES_MOST = 200, CLASS_BYTES = 200, ROWS_A_CLASS = 5 };
#define BLANK "-" /* in the place of an answer */

const struct outcome outcome_none = { NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, -1 };

/* --- answers --- */

/* The last turn's text of a conversation, in either form of turns. */
static const char *last_turn(const json_t *list)
{
	const json_t *last = json_array_get(list, json_array_size(list) - 1), *text = json_object_get(last, "content");

	return json_string_value(text ? text : json_object_get(last, "value"));
}

static const char *answer_column(const json_t *row)
{
	static const char *const keys[] = { "completion", "output", "response", "answer" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const json_t *x = json_object_get(row, keys[i]);
		if (json_is_string(x))
			return json_string_value(x);
		if (json_is_array(x))
			return last_turn(x);
	}
	return NULL;
}

static const char *text_of_label(struct arena *mem, const json_t *label)
{
	if (json_is_string(label))
		return json_string_value(label);
	if (json_is_integer(label))
		return arena_printf(mem, "%lld", json_integer_value(label));
	return NULL;
}

/* What is right; NULL where the row does not say it. */
static const char *answer_of(struct arena *mem, enum task_kind kind, const json_t *row)
{
	const json_t *list = json_object_get(row, "messages");

	if (kind == TASK_CHOICES) {
		size_t gold = (size_t)json_integer_value(json_object_get(row, "gold"));
		return json_string_value(json_array_get(json_object_get(row, "choices"), gold));
	}
	if (kind == TASK_LABELS)
		return text_of_label(mem, json_object_get(row, "label"));
	if (kind == TASK_TEXTS)
		return NULL;
	if (!list)
		list = json_object_get(row, "conversations");
	const char *answer = list ? last_turn(list) : answer_column(row);
	return answer ? answer : "";
}

static void trim(struct arena *mem, const char **text)
{
	const char *at = *text;
	size_t n = strlen(at);

	while (n && strchr(" \t\r\n", at[n - 1]))
		n--;
	while (n && strchr(" \t\r\n", *at))
		at++, n--;
	if (at != *text || at[n])
		*text = arena_strndup(mem, at, n);
}

/* --- rows --- */

static int kind_of(const struct rows *r, enum task_kind *kind, struct err *e)
{
	static const char *const unpaired[SHAPE_ROLES + 1] = LABEL_ROLES;
	const struct shape *s = r->shape;

	if (s->asks_only)
		return err_set(e, "%s: rows of %s have no answers, so nothing can be learnt or measured",
		               r->items[0].file, shape_name(s));
	if (shape_has_roles(s, unpaired))
		return err_set(e, "%s: rows of %s say whether an answer is good, not which is right", r->items[0].file,
		               shape_name(s));
	if (s->roles[0])
		return err_set(e,
		               "%s: rows of %s say which of two answers is better, not which is right: kungfu tune "
		               "--objective dpo learns from them",
		               r->items[0].file, shape_name(s));
	if (s->labelled && json_object_get(r->items[0].json, "label"))
		*kind = TASK_LABELS;
	else if (s->judged == JUDGED_CHOICES)
		*kind = TASK_CHOICES;
	else if (s->judged == JUDGED_ANSWERS)
		*kind = TASK_ANSWERS;
	else if (s->judged == JUDGED_TEXTS)
		*kind = TASK_TEXTS;
	else
		return err_set(e, "%s: rows of %s cannot be measured", r->items[0].file, shape_name(s));
	return 0;
}

static int add_row(struct task *t, const struct row *r, struct err *e)
{
	struct task_row *x = &t->rows[t->n];

	*x = (struct task_row){ .row = *r, .class = -1 };
	if (!(x->text = split_text(&t->mem, r, t->shape, e)))
		return -1;
	x->key = split_key(x->text);
	x->answer = answer_of(&t->mem, t->kind, r->json);
	if (!x->answer && t->kind == TASK_LABELS)
		return err_set(e, "%s:%zu: label is neither a text nor a whole number: one class a row was wanted",
		               r->file, r->line);
	if (t->asks_only)
		x->answer = NULL;
	if (!x->answer && t->kind != TASK_TEXTS && !t->asks_only)
		return err_set(e, "%s:%zu: the row has no answer", r->file, r->line);
	if (x->answer)
		trim(&t->mem, &x->answer);
	if (x->answer && !*x->answer)
		return err_set(e, "%s:%zu: the row has no answer", r->file, r->line);
	t->n++;
	return 0;
}

/* --- classes --- */

static bool same_choices(const struct task *t)
{
	const json_t *first = json_object_get(t->rows[0].row.json, "choices");

	for (size_t i = 1; i < t->n; i++)
		if (!json_equal(first, json_object_get(t->rows[i].row.json, "choices")))
			return false;
	return true;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* The different answers, sorted; their number. */
static size_t different(const struct task *t, const char **out)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		out[i] = t->rows[i].answer;
	qsort(out, t->n, sizeof(*out), by_text);
	for (size_t i = 0; i < t->n; i++)
		if (!n || strcmp(out[n - 1], out[i]) != 0)
			out[n++] = out[i];
	return n;
}

static void classes_of_choices(struct task *t)
{
	const json_t *choices = json_object_get(t->rows[0].row.json, "choices"), *x;
	size_t i;

	t->n_classes = (int)json_array_size(choices);
	t->classes = arena_array(&t->mem, (size_t)t->n_classes, sizeof(*t->classes));
	json_array_foreach (choices, i, x) {
		t->classes[i] = json_string_value(x);
		trim(&t->mem, &t->classes[i]);
	}
}

static void classes_of_answers(struct task *t)
{
	const char **all = mem_array(t->n, sizeof(*all));
	size_t n = different(t, all), longest = 0;

	for (size_t i = 0; i < n; i++)
		longest = MAX(longest, strlen(all[i]));
	if (t->kind == TASK_LABELS || (n <= CLASSES_MOST && n * ROWS_A_CLASS <= t->n && longest <= CLASS_BYTES)) {
		t->n_classes = (int)n;
		t->classes = arena_array(&t->mem, n, sizeof(*t->classes));
		memcpy(t->classes, all, n * sizeof(*all));
	}
	mem_free(all);
}

static void find_classes(struct task *t)
{
	if (t->kind == TASK_CHOICES && same_choices(t))
		classes_of_choices(t);
	else if ((t->kind == TASK_ANSWERS && !t->asks_only) || t->kind == TASK_LABELS)
		classes_of_answers(t);
	t->class_rows = arena_array(&t->mem, (size_t)MAX(t->n_classes, 1), sizeof(*t->class_rows));
	for (size_t i = 0; i < t->n; i++)
		for (int c = 0; c < t->n_classes && t->rows[i].class < 0; c++)
			if (!strcmp(t->classes[c], t->rows[i].answer)) {
				t->rows[i].class = c;
				t->class_rows[c]++;
			}
}

int task_check_classes(const struct task *t, struct err *e)
{
	for (int c = 0; c < t->n_classes; c++)
		if (t->class_rows[c] == t->n && t->n > 1)
			return err_set(e, "%s: all %zu rows have one answer, '%.60s': there is nothing to tell apart",
			               t->rows[0].row.file, t->n, t->classes[c]);
	return 0;
}

/* --- sides --- */

static int by_row_key(const void *a, const void *b)
{
	const struct task_row *x = *(struct task_row *const *)a, *y = *(struct task_row *const *)b;
	return x->key != y->key ? (x->key < y->key ? -1 : 1) : (x > y) - (x < y);
}

/* All rows sorted by what they ask; mem_free. */
static struct task_row **sorted_rows(const struct task *t)
{
	struct task_row **p = mem_array(t->n, sizeof(*p));

	for (size_t i = 0; i < t->n; i++)
		p[i] = &t->rows[i];
	qsort(p, t->n, sizeof(struct task_row *), by_row_key);
	return p;
}

/* The end of the group that begins at i. */
static size_t group_end(struct task_row *const *p, size_t n, size_t i)
{
	size_t end = i + 1;

	while (end < n && p[end]->key == p[i]->key)
		end++;
	return end;
}

/* A row that asks what a test row of another file asks has no side. */
static void mark_groups(struct task *t, bool apart)
{
	struct task_row **p = sorted_rows(t);

	for (size_t i = 0, end; i < t->n; i = end) {
		bool tested = false;
		end = group_end(p, t->n, i);
		for (size_t j = i; j < end; j++) {
			p[j]->repeated = end - i > 1;
			tested |= p[j]->side == SIDE_TEST;
		}
		for (size_t j = i; apart && tested && j < end; j++)
			if (p[j]->side != SIDE_TEST) {
				p[j]->side = SIDE_NONE;
				t->n_leaks++;
			}
	}
	mem_free(p);
}

static int give_sides(struct task *t, const struct rows *rows, size_t n_test, const struct split_options *o,
                      struct err *e)
{
	size_t n = t->n - n_test;
	struct split_row *x = mem_array(n, sizeof(*x));
	enum side *side = mem_array(n, sizeof(*side));
	int *since = mem_array(n, sizeof(*since)), came = 0;

	for (size_t i = 0; i < n; i++)
		x[i] = (struct split_row){ t->rows[i].text, t->rows[i].class >= 0 ? t->rows[i].answer : NULL };
	int status = split_rows(rows, x, o, side, since, e);
	for (size_t i = 0; i < n && status == 0; i++) {
		came += (size_t)came < o->n_later && o->later[came] == i;
		t->rows[i].side = side[i];
		t->rows[i].came = came;
		t->rows[i].since = since[i];
	}
	for (size_t i = n; i < t->n; i++)
		t->rows[i].side = SIDE_TEST;
	mem_free(x);
	mem_free(side);
	mem_free(since);
	return status;
}

static void hash_rows(struct task *t)
{
	struct hash_stream *h = hash_begin();

	for (size_t i = 0; i < t->n; i++) {
		char *line = jsonx_line(t->rows[i].row.json), side = (char)('0' + (int)t->rows[i].side);
		hash_add(h, line, strlen(line));
		hash_add(h, &side, 1);
		mem_free(line);
	}
	hash_end(h, t->hash);
}

static int fill(struct task *t, const struct rows *rows, const struct rows *test, const struct split_options *o,
                struct err *e)
{
	size_t n_test = test ? test->n : 0;

	t->shape = rows->shape;
	t->rows = arena_array(&t->mem, rows->n + n_test, sizeof(*t->rows));
	if (test && test->shape != rows->shape)
		return err_set(e, "%s: rows of %s, but %s has rows of %s", test->items[0].file, shape_name(test->shape),
		               rows->items[0].file, shape_name(rows->shape));
	for (size_t i = 0; i < rows->n; i++)
		if (add_row(t, &rows->items[i], e) < 0)
			return -1;
	for (size_t i = 0; i < n_test; i++)
		if (add_row(t, &test->items[i], e) < 0)
			return -1;
	find_classes(t);
	if (give_sides(t, rows, n_test, o, e) < 0)
		return -1;
	mark_groups(t, test != NULL);
	for (size_t i = 0; i < t->n; i++)
		t->side_n[t->rows[i].side]++;
	hash_rows(t);
	return 0;
}

static int open_rows(struct task *t, const struct rows *rows, const struct rows *test, const struct split_options *o,
                     struct err *e)
{
	if (kind_of(rows, &t->kind, e) == 0 && fill(t, rows, test, o, e) == 0)
		return 0;
	task_release(t);
	return -1;
}

int task_open(struct task *t, const struct rows *rows, const struct rows *test, const struct split_options *o,
              struct err *e)
{
	*t = (struct task){ .n = 0 };
	return open_rows(t, rows, test, o, e);
}

int task_open_asked(struct task *t, const struct rows *rows, const struct rows *test, const struct split_options *o,
                    struct err *e)
{
	*t = (struct task){ .asks_only = true };
	return open_rows(t, rows, test, o, e);
}

bool task_blank(struct rows *rows)
{
	if (!rows->n || !rows->shape || !rows->shape->asks_only)
		return false;
	for (size_t i = 0; i < rows->n; i++) {
		json_t *row = json_copy(rows->items[i].json);
		json_t *blank = json_is_string(json_object_get(row, "prompt")) ?
		                        json_string(BLANK) :
		                        json_pack("[{s:s, s:s}]", "role", "assistant", "content", BLANK);
		json_object_set_new(row, "completion", blank);
		json_decref(rows->items[i].json);
		rows->items[i].json = row;
	}
	rows->shape = shape_of(rows->items[0].json);
	return true;
}

void task_release(struct task *t)
{
	arena_release(&t->mem);
	*t = (struct task){ .n = 0 };
}

size_t *task_side(const struct task *t, enum side side, size_t *n)
{
	size_t *at = mem_array(MAX(t->side_n[side], 1), sizeof(*at));

	*n = 0;
	for (size_t i = 0; i < t->n; i++)
		if (t->rows[i].side == side)
			at[(*n)++] = i;
	return at;
}

/* --- measures --- */

int task_measures(const struct task *t, enum measure m, struct err *e)
{
	static const char *const kinds[] = { "choices", "answers", "labels", "texts without answers" };
	bool can = !measure_is_score(m) || (m == MEASURE_PERPLEXITY && t->kind != TASK_LABELS);

	if (t->asks_only)
		can = !measure_is_score(m) || m == MEASURE_REWARD;
	else if (t->kind == TASK_CHOICES)
		can |= m == MEASURE_ACCURACY || m == MEASURE_ACC_NORM || (m == MEASURE_F1 && t->n_classes);
	else if (t->kind == TASK_ANSWERS)
		can |= m == MEASURE_EXACT_MATCH || m == MEASURE_F1 || m == MEASURE_REWARD ||
		       (m == MEASURE_ACCURACY && t->n_classes);
	else if (t->kind == TASK_LABELS)
		can |= m == MEASURE_ACCURACY || m == MEASURE_F1;
	if (can)
		return 0;
	if (m == MEASURE_ACCURACY && t->kind == TASK_ANSWERS && !t->asks_only)
		return err_set(e,
		               "--goal: accuracy wants classes, and these rows' answers are too many different ones; "
		               "exact_match, f1 or perplexity can be measured");
	return err_set(e, "--goal: %s cannot be measured on rows of %s, which have %s", measure_names[m],
	               shape_name(t->shape), t->asks_only ? "no answers" : kinds[t->kind]);
}

enum measure task_usual_measure(const struct task *t)
{
	return t->kind == TASK_TEXTS                    ? MEASURE_PERPLEXITY :
	       t->kind == TASK_ANSWERS && !t->n_classes ? MEASURE_EXACT_MATCH :
	                                                  MEASURE_ACCURACY;
}

/* --- what is known --- */

static int by_answer(const void *a, const void *b)
{
	const struct task_row *x = *(struct task_row *const *)a, *y = *(struct task_row *const *)b;
	return strcmp(x->answer ? x->answer : "", y->answer ? y->answer : "");
}

/* How many of a group's rows the most frequent answer has; pairs that agree are added. */
static size_t most_frequent(struct task_row **p, size_t n, double *agree)
{
	size_t most = 0;

	qsort(p, n, sizeof(struct task_row *), by_answer);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && !by_answer(&p[end], &p[i]);)
			end++;
		most = MAX(most, end - i);
		*agree += (double)(end - i) * (double)(end - i - 1) / 2;
	}
	return most;
}

static void look_at_repeats(const struct task *t, struct known *k)
{
	struct task_row **p = sorted_rows(t);
	double agree = 0, pairs = 0;
	size_t right = 0;

	for (size_t i = 0, end; i < t->n; i = end) {
		end = group_end(p, t->n, i);
		size_t n = end - i, most = most_frequent(p + i, n, &agree);
		right += most;
		pairs += (double)n * (double)(n - 1) / 2;
		if (n < 2)
			continue;
		k->n_repeated += n;
		k->n_groups++;
		k->n_conflicting += most < n && !t->asks_only;
	}
	k->ceiling = t->kind == TASK_TEXTS || t->asks_only ? 1 : (double)right / (double)t->n;
	k->agreement = pairs > 0 && t->kind != TASK_TEXTS && !t->asks_only ? agree / pairs : NAN;
	mem_free(p);
}

void task_known(const struct task *t, struct known *k)
{
	double bytes = 0;

	*k = (struct known){ .majority = NAN, .agreement = NAN, .least_class = SIZE_MAX };
	look_at_repeats(t, k);
	for (size_t i = 0; i < t->n; i++) {
		size_t n = strlen(t->rows[i].text);
		bytes += (double)n;
		k->longest_bytes = fmax(k->longest_bytes, (double)n);
	}
	k->mean_bytes = bytes / (double)t->n;
	for (int c = 0; c < t->n_classes; c++) {
		double share = (double)t->class_rows[c] / (double)t->n;
		if (!(share <= k->majority)) {
			k->majority = share;
			k->majority_class = t->classes[c];
		}
		if (t->class_rows[c] < k->least_class) {
			k->least_class = t->class_rows[c];
			k->least_class_name = t->classes[c];
		}
	}
}
