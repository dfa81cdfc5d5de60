/* store_raters: who labels, what lets them in, and what they were shown. A token is 128 random bits as 32 hex digits;
 * the file keeps its SHA-256 alone, so who reads the file cannot label in another's name. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "base/sha.h"
#include "base/utf8.h"
#include "feedback/store_parts.h"

/* --- names --- */

static int find(struct feedback *f, const char *name, int64_t *id, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT id FROM rater WHERE name = ?", e);
	int status;

	*id = 0;
	if (!s)
		return -1;
	store_bind(s, 1, name);
	while (store_next(f, s, &status, e))
		*id = sqlite3_column_int64(s, 0);
	return status;
}

static int insert(struct feedback *f, const char *name, int64_t *id, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "INSERT INTO rater (name, role) VALUES (?, ?)", e);

	if (!s)
		return -1;
	store_bind(s, 1, name);
	sqlite3_bind_int(s, 2, ROLE_RATER);
	int status = store_finish(f, s, e);
	*id = sqlite3_last_insert_rowid(f->db);
	return status;
}

int feedback_rater(struct feedback *f, const char *name, int64_t *id, struct err *e)
{
	if (!*name || !utf8_valid(name, strlen(name), NULL))
		return err_set(e, "feedback %s: a rater's name is %s", f->path, *name ? "not UTF-8" : "empty");
	if (feedback_begin(f, e) < 0)
		return -1;
	int status = find(f, name, id, e);
	if (status == 0 && !*id)
		status = insert(f, name, id, e);
	return feedback_end(f, status, e);
}

static struct feedback_rater take(sqlite3_stmt *s, struct arena *mem)
{
	return (struct feedback_rater){ sqlite3_column_int64(s, 0), store_text(s, 1, mem),
		                        sqlite3_column_int(s, 2) == ROLE_OWNER ? ROLE_OWNER : ROLE_RATER };
}

int feedback_raters(struct feedback *f, struct arena *mem, struct feedback_rater **out, size_t *n, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT id, name, role FROM rater ORDER BY id", e);
	struct feedback_rater *all = NULL;
	size_t cap = 0;
	int status;

	*n = 0;
	if (!s)
		return -1;
	while (store_next(f, s, &status, e)) {
		all = store_room(mem, all, *n, &cap, sizeof(*all));
		all[(*n)++] = take(s, mem);
	}
	*out = all;
	return status;
}

const char *store_rater_name(struct feedback *f, int64_t id, struct arena *mem, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT name FROM rater WHERE id = ?", e);
	const char *name = NULL;
	int status;

	if (!s)
		return NULL;
	sqlite3_bind_int64(s, 1, id);
	while (store_next(f, s, &status, e))
		name = store_text(s, 0, mem);
	if (status == 0 && !name)
		err_set(e, "feedback %s: there is no rater %lld", f->path, (long long)id);
	return name;
}

/* --- tokens --- */

static void token_hash(const char *token, char hex[65]) { sha_256(token, strlen(token), hex); }

int feedback_invite(struct feedback *f, const char *name, enum feedback_role role, char *token, struct err *e)
{
	uint8_t random[16];
	char hash[65];
	int64_t id;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return err_set(e, "no random numbers for a token: %s", strerror(errno));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(token + 2 * i, 3, "%02x", random[i]);
	token_hash(token, hash);
	if (feedback_begin(f, e) < 0)
		return -1;
	int status = feedback_rater(f, name, &id, e);
	sqlite3_stmt *s = status < 0 ? NULL : store_prepare(f, "UPDATE rater SET role = ?, token = ? WHERE id = ?", e);
	if (s) {
		sqlite3_bind_int(s, 1, role);
		store_bind(s, 2, hash);
		sqlite3_bind_int64(s, 3, id);
		status = store_finish(f, s, e);
	}
	return feedback_end(f, s ? status : -1, e);
}

/* In a time that says nothing of where they differ. */
static bool same_hash(const char *a, const char *b)
{
	unsigned differ = 0;

	for (size_t i = 0; i < 64; i++)
		differ |= (unsigned)(a[i] ^ b[i]);
	return !differ;
}

int feedback_admit(struct feedback *f, const char *token, struct feedback_rater *out, struct arena *mem, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT id, name, role, token FROM rater WHERE length(token) = 64", e);
	char hash[65];
	int status, found = 1;

	if (!s)
		return -1;
	token_hash(token, hash);
	while (store_next(f, s, &status, e)) {
		if (!same_hash(hash, (const char *)sqlite3_column_text(s, 3)))
			continue;
		*out = take(s, mem);
		found = 0;
	}
	return status < 0 ? status : found;
}

/* --- showings --- */

static char *order_text(const int8_t order[FEEDBACK_ANSWERS])
{
	size_t n = 0;

	while (n < FEEDBACK_ANSWERS && order[n] >= 0)
		n++;
	return store_places(order, n);
}

static int forget_open(struct feedback *f, int64_t rater, int64_t item, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "DELETE FROM shown WHERE rater = ? AND item = ? AND label IS NULL", e);

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, rater);
	sqlite3_bind_int64(s, 2, item);
	return store_finish(f, s, e);
}

int feedback_show(struct feedback *f, int64_t rater, int64_t item, const int8_t order[FEEDBACK_ANSWERS],
                  int64_t repeat_of, struct err *e)
{
	if (feedback_begin(f, e) < 0)
		return -1;
	int status = forget_open(f, rater, item, e);
	sqlite3_stmt *s = status < 0 ? NULL : store_prepare(f, "INSERT INTO shown (rater, item, answers, repeat_of) "
	                                                       "VALUES (?, ?, ?, ?)", e);
	char *text = order_text(order);
	if (s) {
		sqlite3_bind_int64(s, 1, rater);
		sqlite3_bind_int64(s, 2, item);
		store_bind(s, 3, text);
		if (repeat_of)
			sqlite3_bind_int64(s, 4, repeat_of);
		status = store_finish(f, s, e);
	}
	mem_free(text);
	return feedback_end(f, s ? status : -1, e);
}

int feedback_shown(struct feedback *f, int64_t rater, int64_t *item, int8_t order[FEEDBACK_ANSWERS],
                   int64_t *repeat_of, struct err *e)
{
	sqlite3_stmt *s = store_prepare(f, "SELECT item, answers, repeat_of FROM shown WHERE rater = ? AND label IS "
	                                   "NULL ORDER BY id DESC LIMIT 1", e);
	int status, found = 1;

	if (!s)
		return -1;
	sqlite3_bind_int64(s, 1, rater);
	while (store_next(f, s, &status, e)) {
		*item = sqlite3_column_int64(s, 0);
		store_take_places(s, 1, order, -1);
		*repeat_of = sqlite3_column_int64(s, 2);
		found = 0;
	}
	return status < 0 ? status : found;
}
