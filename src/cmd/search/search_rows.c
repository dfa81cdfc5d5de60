/* search_rows: the evaluation rows parted: those by which choices are made, and a third that no choice sees. Rows that
 * are the same stay on one side, so that what was seen is not held back too. */
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cmd/search/study.h"
#include "data/rows.h"
#include "data/shape.h"

enum { HELD_BACK = 3, LEAST_ROWS = 6 };        /* one row of three; fewer rows than six are no two samples */

/* The number of the first row that is the same, for each. */
static size_t *first_of_same(char **line, size_t n)
{
	size_t *first = mem_array(n, sizeof(*first));
	json_t *seen = json_object();

	for (size_t i = 0; i < n; i++) {
		const json_t *at = json_object_get(seen, line[i]);
		first[i] = at ? (size_t)json_integer_value(at) : i;
		if (!at)
			json_object_set_new_nocheck(seen, line[i], json_integer((json_int_t)i));
	}
	json_decref(seen);
	return first;
}

static int write_lines(const struct study *s, const char *name, char **line, const bool *wanted, bool which, size_t n,
                       size_t *count, struct err *e)
{
	struct buf text = BUF_INIT;
	char *path = mem_printf("%s/rows/%s", s->dir, name);

	*count = 0;
	for (size_t i = 0; i < n; i++) {
		if (wanted[i] != which)
			continue;
		buf_addf(&text, "%s\n", line[i]);
		++*count;
	}
	int status = io_write(path, buf_str(&text), text.len, e);
	mem_free(path);
	buf_release(&text);
	return status;
}

/* Which rows are held back: the first third of a permutation by the seed. */
static bool *choose(const struct study *s, char **line, size_t n)
{
	bool *held = mem_array(n, sizeof(*held));
	size_t *first = first_of_same(line, n);
	struct rng_key key = { (uint64_t)s->o.recipe.seed, RNG_SHUFFLE };

	for (size_t i = 0; i < n / HELD_BACK && !s->o.test_data; i++)
		held[rng_permute(key, 0, n, i)] = true;
	for (size_t i = 0; i < n; i++)
		held[i] = held[first[i]];
	mem_free(first);
	return held;
}

static int write_both(struct study *s, char **line, size_t n, struct err *e)
{
	bool *held = choose(s, line, n);
	int status = write_lines(s, "selection.jsonl", line, held, false, n, &s->selection, e);

	if (!status && !s->o.test_data)
		status = write_lines(s, "held-back.jsonl", line, held, true, n, &s->held_back, e);
	mem_free(held);
	if (!status && (!s->selection || (!s->o.test_data && !s->held_back)))
		return err_set(e, "%s: too many of its rows are the same to hold some back; --test-data FILE names "
		                  "rows for the end", s->o.recipe.eval_data);
	return status;
}

/* They are read at the end: what is wrong with them is said before anything is spent. */
static int check_test_rows(const struct study *s, const struct rows *eval, struct err *e)
{
	struct rows test = { 0 };
	int status = 0;

	if (!s->o.test_data)
		return 0;
	if (rows_load(&test, s->o.test_data, e) < 0)
		status = -1;
	else if (!test.n)
		status = err_set(e, "%s holds no rows", s->o.test_data);
	else if (test.shape != eval->shape)
		status = err_set(e, "%s: rows of %s, but %s has rows of %s", s->o.test_data, shape_name(test.shape),
		                 s->o.recipe.eval_data, shape_name(eval->shape));
	rows_release(&test);
	return status;
}

int study_split(struct study *s, struct err *e)
{
	const char *path = s->o.recipe.eval_data;
	char *dir = io_join(s->dir, "rows");
	struct rows rows = { 0 };
	int status = io_mkdirs(dir, e);

	mem_free(dir);
	if (status || rows_load(&rows, path, e) < 0)
		status = -1;
	else if (rows.n < (s->o.test_data ? 1 : LEAST_ROWS))
		status = err_set(e, "%s: %zu rows; %d or more are wanted, so that a third can be held back, or "
		                    "--test-data FILE", path, rows.n, LEAST_ROWS);
	else
		status = check_test_rows(s, &rows, e);
	char **line = mem_array(rows.n + 1, sizeof(*line));
	for (size_t i = 0; i < rows.n; i++)
		line[i] = jsonx_line(rows.items[i].json);
	if (!status)
		status = write_both(s, line, rows.n, e);
	for (size_t i = 0; i < rows.n; i++)
		mem_free(line[i]);
	mem_free(line);
	rows_release(&rows);
	return status;
}
