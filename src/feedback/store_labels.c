/* store_labels: what was said. A label is one row that is never changed but by `withdrawn`; saved twice, by its key, it
 * is there once.
 *
 * The key of a label that has none is a hash of all that it says: version and key of its item, the rater's name, every
 * judgement, its seconds; not ids, which are a file's own, and not the time at which it was read in. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "feedback/store_parts.h"

/* --- what may be said of an item --- */

static bool is_number(double x) { return !isnan(x); }

static int check_numbers(const struct feedback_label *l, int n, struct err *e)
{
	if (l->winner < FEEDBACK_NONE || l->winner >= n)
		return err_set(e, "the winner is answer %d, the item has 0 to %d", l->winner, n - 1);
	if (l->edited_answer < FEEDBACK_NONE || l->edited_answer >= n)
		return err_set(e, "the edited answer is number %d, the item has 0 to %d", l->edited_answer, n - 1);
	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		if (l->rank[i] < 0 || l->rank[i] > n || (i >= n && l->rank[i]))
			return err_set(e, "answer %d has place %d, the item has %d answers", i, l->rank[i], n);
	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		if (isinf(l->rating[i]) || (i >= n && is_number(l->rating[i])))
			return err_set(e, "answer %d has the rating %g, the item has %d answers", i, l->rating[i], n);
	if (l->seconds < 0 || isinf(l->seconds))
		return err_set(e, "a label took %g seconds", l->seconds);
	return 0;
}

static bool says_something(const struct feedback_label *l)
{
	bool any = l->winner != FEEDBACK_NONE || l->tie || l->both_bad || l->skipped || l->label || l->edited ||
	           l->unsafe;

	for (int i = 0; i < FEEDBACK_ANSWERS; i++)
		any |= l->rank[i] > 0 || is_number(l->rating[i]);
	return any;
}

static int check(const struct feedback *f, const struct feedback_label *l, const struct feedback_item *it,
                 struct err *e)
{
	if (l->version && strcmp(l->version, it->version))
		return err_set(e, "feedback %s: item %lld is version %s, the label is of %.40s", f->path,
		               (long long)it->id, it->version, l->version);
	if (l->winner != FEEDBACK_NONE && l->tie)
		return err_set(e, "feedback %s: a label of item %lld has a winner and is a tie", f->path,
		               (long long)it->id);
	if (!says_something(l))
		return err_set(e, "feedback %s: a label of item %lld says nothing", f->path, (long long)it->id);
	return check_numbers(l, it->n, e) < 0 ? err_prefix(e, "feedback %s: item %lld", f->path, (long long)it->id) : 0;
}

/* --- adding --- */

static json_t *ratings(const struct feedback_label *l, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, jsonx_number(l->rating[i]));
	return list;
}

static json_t *places(const int8_t *x, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_integer(x[i]));
	return list;
}

static char *key_of(const struct feedback_label *l, const struct feedback_item *it, const char *rater)
{
	json_t *j = json_pack("[s, s, s, o, i, b, b, b, i, o, o, s?, i, s?, b, s?, o]", it->key, it->version, rater,
	                      places(l->shown, it->n), l->winner, l->tie, l->both_bad, l->skipped, l->strength,
	                      places(l->rank, it->n), ratings(l, it->n), l->label, l->edited_answer, l->edited,
	                      l->unsafe, l->comment, jsonx_number(l->seconds));
	char *text = jsonx_line(j), hex[33];

	hash_hex(text, strlen(text), hex);
	mem_free(text);
	json_decref(j);
	return mem_strdup(hex);
}

static int there_is(struct feedback *f, const char *key, bool *there, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT 1 FROM label WHERE key = ?", e);
	int status;

	*there = false;
	if (!s)
		return -1;
	store_bind(s, 1, key);
	while (store_next(f, s, &status, e))
		*there = true;
	return status;
}

static void bind_index(sqlite3_stmt *s, int at, int x)
{
	if (x != FEEDBACK_NONE)
		sqlite3_bind_int(s, at, x);
}

static void bind_judgement(sqlite3_stmt *s, const struct feedback_label *l)
{
	bind_index(s, 6, l->winner);
	sqlite3_bind_int(s, 7, l->tie);
	sqlite3_bind_int(s, 8, l->both_bad);
	sqlite3_bind_int(s, 9, l->skipped);
	sqlite3_bind_int(s, 10, l->strength);
	store_bind(s, 13, l->label);
	bind_index(s, 14, l->edited_answer);
	store_bind(s, 15, l->edited);
	sqlite3_bind_int(s, 16, l->unsafe);
	store_bind(s, 17, l->comment);
	store_bind_number(s, 18, l->seconds);
	if (l->repeat_of)
		sqlite3_bind_int64(s, 19, l->repeat_of);
	store_bind_number(s, 20, l->time > 0 ? l->time : clock_wall_seconds());
}

static int insert(struct feedback *f, const struct feedback_label *l, const char *key,
                  const struct feedback_item *it, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "INSERT INTO label (key, item, rater, version, shown, winner, tie, "
	                                   "both_bad, skipped, strength, rank, rating, label, edited_answer, edited, "
	                                   "unsafe, comment, seconds, repeat_of, time) VALUES (?, ?, ?, ?, ?, ?, "
	                                   "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", e);
	bool ranked = false, rated = false;

	if (!s)
		return -1;
	for (int i = 0; i < it->n; i++) {
		ranked |= l->rank[i] > 0;
		rated |= is_number(l->rating[i]);
	}
	json_t *rating = ratings(l, it->n);
	char *shown = l->shown[0] >= 0 ? store_places(l->shown, (size_t)it->n) : NULL;
	char *rank = ranked ? store_places(l->rank, (size_t)it->n) : NULL, *rates = rated ? jsonx_line(rating) : NULL;
	store_bind(s, 1, key);
	sqlite3_bind_int64(s, 2, l->item);
	sqlite3_bind_int64(s, 3, l->rater);
	store_bind(s, 4, it->version);
	store_bind(s, 5, shown);
	store_bind(s, 11, rank);
	store_bind(s, 12, rates);
	bind_judgement(s, l);
	int status = store_finish(f, s, e);
	mem_free(shown);
	mem_free(rank);
	mem_free(rates);
	json_decref(rating);
	return status;
}

/* The rater's open showing of the item is answered by the label that came last. */
static int answer_showing(struct feedback *f, const struct feedback_label *l, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "UPDATE shown SET label = ? WHERE rater = ? AND item = ? AND label IS NULL",
	                                e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, sqlite3_last_insert_rowid(f->db));
	sqlite3_bind_int64(s, 2, l->rater);
	sqlite3_bind_int64(s, 3, l->item);
	return store_finish(f, s, e);
}

static int add(struct feedback *f, const struct feedback_label *l, struct arena *mem, struct err *e)
{
	struct feedback_item it;
	bool there;

	if (feedback_item(f, l->item, mem, &it, e) < 0 || check(f, l, &it, e) < 0)
		return -1;
	const char *rater = store_rater_name(f, l->rater, mem, e);
	if (!rater)
		return -1;
	char *key = l->key ? mem_strdup(l->key) : key_of(l, &it, rater);
	int status = there_is(f, key, &there, e);
	if (status == 0 && !there)
		status = insert(f, l, key, &it, e);
	if (status == 0 && !there)
		status = answer_showing(f, l, e);
	mem_free(key);
	return status == 0 && there ? 1 : status;
}

int feedback_add_label(struct feedback *f, const struct feedback_label *l, struct err *e)
{
	struct arena mem = ARENA_INIT;

	if (feedback_begin(f, e) < 0)
		return -1;
	int status = feedback_end(f, add(f, l, &mem, e), e);
	arena_release(&mem);
	return status;
}

/* --- taking back --- */

/* The rater's label of the key, or the last; 0: there is none. */
static int find(struct feedback *f, int64_t rater, const char *key, int64_t *id, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT id FROM label WHERE rater = ?1 AND NOT withdrawn AND (?2 IS NULL OR "
	                                   "key = ?2) ORDER BY id DESC LIMIT 1", e);
	int status;

	*id = 0;
	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, rater);
	store_bind(s, 2, key);
	while (store_next(f, s, &status, e))
		*id = sqlite3_column_int64(s, 0);
	return status;
}

static int of_label(struct feedback *f, const char *sql, int64_t id, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, sql, e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	return store_finish(f, s, e);
}

int feedback_withdraw(struct feedback *f, int64_t rater, const char *key, struct err *e)
{
	int64_t id;

	if (feedback_begin(f, e) < 0)
		return -1;
	int status = find(f, rater, key, &id, e);
	if (status == 0 && !id)
		status = 1;
	if (status == 0)
		status = of_label(f, "UPDATE label SET withdrawn = 1 WHERE id = ?", id, e) < 0 ||
		         of_label(f, "INSERT INTO shown (rater, item, answers, repeat_of) SELECT rater, item, answers, "
		                     "repeat_of FROM shown WHERE label = ?", id, e) < 0 ||
		         of_label(f, "DELETE FROM shown WHERE label = ?", id, e) < 0 ? -1 : 0;
	return feedback_end(f, status, e);
}

/* --- reading --- */

static int index_at(sqlite3_stmt *s, int at)
{
	return sqlite3_column_type(s, at) == SQLITE_NULL ? FEEDBACK_NONE : sqlite3_column_int(s, at);
}

static double number_at(sqlite3_stmt *s, int at)
{
	return sqlite3_column_type(s, at) == SQLITE_NULL ? NAN : sqlite3_column_double(s, at);
}

static void take_ratings(sqlite3_stmt *s, int at, double out[FEEDBACK_ANSWERS])
{
	const char *text = (const char *)sqlite3_column_text(s, at);
	json_t *list = text ? json_loads(text, 0, NULL) : NULL;

	for (size_t i = 0; i < FEEDBACK_ANSWERS; i++) {
		const json_t *x = json_array_get(list, i);
		out[i] = json_is_number(x) ? json_number_value(x) : NAN;
	}
	json_decref(list);
}

static void take(sqlite3_stmt *s, struct arena *mem, struct feedback_label *l)
{
	*l = (struct feedback_label){
		.id = sqlite3_column_int64(s, 0),
		.key = store_text(s, 1, mem),
		.item = sqlite3_column_int64(s, 2),
		.rater = sqlite3_column_int64(s, 3),
		.version = store_text(s, 4, mem),
		.winner = index_at(s, 6),
		.tie = sqlite3_column_int(s, 7),
		.both_bad = sqlite3_column_int(s, 8),
		.skipped = sqlite3_column_int(s, 9),
		.strength = sqlite3_column_int(s, 10),
		.label = store_text(s, 13, mem),
		.edited_answer = index_at(s, 14),
		.edited = store_text(s, 15, mem),
		.unsafe = sqlite3_column_int(s, 16),
		.comment = store_text(s, 17, mem),
		.seconds = number_at(s, 18),
		.repeat_of = sqlite3_column_int64(s, 19),
		.time = sqlite3_column_double(s, 20),
	};
	store_take_places(s, 5, l->shown, -1);
	store_take_places(s, 11, l->rank, 0);
	take_ratings(s, 12, l->rating);
}

int feedback_labels(struct feedback *f, struct arena *mem, struct feedback_label **out, size_t *n, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT id, key, item, rater, version, shown, winner, tie, both_bad, "
	                                   "skipped, strength, rank, rating, label, edited_answer, edited, unsafe, "
	                                   "comment, seconds, repeat_of, time FROM label WHERE NOT "
	                                   "withdrawn ORDER BY id", e);
	struct feedback_label *all = NULL;
	size_t cap = 0;
	int status;

	*n = 0;
	if (!s)
		return -1;
	while (store_next(f, s, &status, e)) {
		all = store_room(mem, all, *n, &cap, sizeof(*all));
		take(s, mem, &all[(*n)++]);
	}
	*out = all;
	return status;
}

int feedback_count(struct feedback *f, size_t *items, size_t *labels, size_t *raters, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT (SELECT count(*) FROM item), count(*), count(DISTINCT rater) FROM "
	                                   "label WHERE NOT withdrawn", e);
	int status;

	if (!s)
		return -1;
	while (store_next(f, s, &status, e)) {
		*items = (size_t)sqlite3_column_int64(s, 0);
		*labels = (size_t)sqlite3_column_int64(s, 1);
		*raters = (size_t)sqlite3_column_int64(s, 2);
	}
	return status;
}
