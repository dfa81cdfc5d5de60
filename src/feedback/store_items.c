/* store_items: prompts and their answers. Their bytes have a hash, the version: XXH3-128 of the prompt as JSON with
 * sorted keys and of each answer, all with their lengths, so that no two lists of texts run together. */
#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "feedback/store_parts.h"

/* --- adding --- */

static void add_text(struct hash_stream *h, const char *text, size_t n)
{
	uint64_t bytes = n;

	hash_add(h, &bytes, sizeof(bytes));
	hash_add(h, text, n);
}

static int check(const struct feedback *f, const struct feedback_item *it, struct err *e)
{
	if (it->n < 1 || it->n > FEEDBACK_ANSWERS)
		return err_set(e, "feedback %s: an item has 1 to %d answers, not %d", f->path, FEEDBACK_ANSWERS, it->n);
	if (it->gold < FEEDBACK_NONE || it->gold >= it->n)
		return err_set(e, "feedback %s: the right answer is number %d of %d", f->path, it->gold, it->n);
	return 0;
}

static bool all_named(const struct feedback_item *it)
{
	for (int i = 0; i < it->n; i++)
		if (!it->models[i])
			return false;
	return true;
}

int feedback_version(const struct feedback_item *it, char hex[33], struct err *e)
{
	json_t *prompt = it->prompt ? json_loads(it->prompt, JSON_DECODE_ANY, NULL) : NULL;

	if (!json_is_string(prompt) && !json_is_array(prompt)) {
		json_decref(prompt);
		return err_set(e, "a prompt is a text or a list of messages");
	}
	char *text = json_dumps(prompt, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
	struct hash_stream *h = hash_begin();
	add_text(h, text, strlen(text));
	for (int i = 0; i < it->n; i++)
		add_text(h, it->answers[i], strlen(it->answers[i]));
	for (int i = 0; all_named(it) && i < it->n; i++)
		add_text(h, it->models[i], strlen(it->models[i]));
	hash_end(h, hex);
	mem_free(text);
	json_decref(prompt);
	return 0;
}

static int find(struct feedback *f, const char *key, const char *version, int64_t *id, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT id FROM item WHERE key = ? AND version = ?", e);
	int status;

	*id = 0;
	if (!s)
		return -1;
	store_bind(s, 1, key);
	store_bind(s, 2, version);
	while (store_next(f, s, &status, e))
		*id = sqlite3_column_int64(s, 0);
	return status;
}

static int insert(struct feedback *f, const struct feedback_item *it, const char *key, const char *version,
                  int64_t *id, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "INSERT INTO item (key, version, prompt, answers, models, extra, gold) "
	                                   "VALUES (?, ?, ?, ?, ?, ?, ?)", e);
	bool models = false;

	if (!s)
		return -1;
	for (int i = 0; i < it->n; i++)
		models |= it->models[i] != NULL;
	char *answers = store_list(it->answers, (size_t)it->n);
	char *who = models ? store_list(it->models, (size_t)it->n) : NULL;
	store_bind(s, 1, key);
	store_bind(s, 2, version);
	store_bind(s, 3, it->prompt);
	store_bind(s, 4, answers);
	store_bind(s, 5, who);
	store_bind(s, 6, it->extra);
	if (it->gold != FEEDBACK_NONE)
		sqlite3_bind_int(s, 7, it->gold);
	int status = store_finish(f, s, e);
	*id = sqlite3_last_insert_rowid(f->db);
	mem_free(answers);
	mem_free(who);
	return status;
}

int feedback_add_item(struct feedback *f, const struct feedback_item *it, int64_t *id, struct err *e)
{
	char version[33];

	if (check(f, it, e) < 0 || feedback_version(it, version, e) < 0 || feedback_begin(f, e) < 0)
		return -1;
	const char *key = it->key ? it->key : version;
	int status = find(f, key, version, id, e);
	if (status == 0)
		status = *id ? 1 : insert(f, it, key, version, id, e);
	return feedback_end(f, status, e);
}

/* --- reading --- */

#define ITEM_COLUMNS "id, key, version, prompt, answers, models, extra, gold"

static int damaged(const struct feedback *f, int64_t id, struct err *e)
{
	return err_set(e, "feedback %s: damaged: the answers of item %lld are no list of texts", f->path,
	               (long long)id);
}

static int take(const struct feedback *f, sqlite3_stmt *s, struct arena *mem, struct feedback_item *it, struct err *e)
{
	*it = (struct feedback_item){
		.id = sqlite3_column_int64(s, 0),
		.key = store_text(s, 1, mem),
		.version = store_text(s, 2, mem),
		.prompt = store_text(s, 3, mem),
		.extra = store_text(s, 6, mem),
		.gold = sqlite3_column_type(s, 7) == SQLITE_NULL ? FEEDBACK_NONE : sqlite3_column_int(s, 7),
	};
	it->n = store_take_list(s, 4, mem, it->answers, FEEDBACK_ANSWERS);
	for (int i = 0; i < it->n; i++)
		if (!it->answers[i])
			it->n = -1;
	store_take_list(s, 5, mem, it->models, FEEDBACK_ANSWERS);
	return it->n < 1 ? damaged(f, it->id, e) : 0;
}

int feedback_items(struct feedback *f, struct arena *mem, struct feedback_item **out, size_t *n, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT " ITEM_COLUMNS " FROM item ORDER BY id", e);
	struct feedback_item *all = NULL;
	size_t cap = 0;
	int status;

	*n = 0;
	if (!s)
		return -1;
	while (store_next(f, s, &status, e)) {
		all = store_room(mem, all, *n, &cap, sizeof(*all));
		if (take(f, s, mem, &all[(*n)++], e) < 0) {
			store_release(f, s);
			return -1;
		}
	}
	*out = all;
	return status;
}

int store_no_item(const struct feedback *f, int64_t id, struct err *e)
{
	return err_set(e, "feedback %s: there is no item %lld", f->path, (long long)id);
}

int feedback_item(struct feedback *f, int64_t id, struct arena *mem, struct feedback_item *out, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT " ITEM_COLUMNS " FROM item WHERE id = ?", e);
	bool there = false;
	int status, taken = 0;

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, id);
	while (store_next(f, s, &status, e)) {
		there = true;
		taken = take(f, s, mem, out, e);
	}
	if (status < 0 || taken < 0)
		return -1;
	return there ? 0 : store_no_item(f, id, e);
}
